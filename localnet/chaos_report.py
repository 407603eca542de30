"""What has to hold after a run of chaos, and the tables that show what came of it."""

import math
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

SIGMAS_MAX = 4.0
"""Of the claimed units: beyond it once in sixteen thousand runs."""


def checks(result: dict[str, Any]) -> dict[str, bool]:
    """What has to hold after a run, and whether it does."""
    suppliers = result["suppliers"]
    whole = sum(result["outcomes"].get(each, 0) for each in ("plain", "streamed"))
    return {
        "every whole answer was owed to its supplier": sum(s["owed"] for s in suppliers) >= whole,
        "every acknowledged payable receipt is a leaf of exactly one claim": not any(
            each["breaches"] for each in suppliers
        ),
        "every claim was paid, and nobody slashed": result["claims_open"] == 0
        and not any(each["voided"] or each["slashed"] for each in suppliers),
        "every claim was paid whole": all(
            each["paid_in_all"] == each["value_claimed"] for each in suppliers
        ),
        f"claimed units are within {SIGMAS_MAX:g} standard errors of those acknowledged": abs(
            sampling_sigmas(suppliers)
        )
        <= SIGMAS_MAX,
        "the money adds up": result["held"] == result["owed_by_contracts"],
        "no bond is left behind": result["bonded"] == 0,
        "everybody's money left the contracts": result["left_after_exits"] == 0,
        "no node ended by itself": all(each["is_meant"] for each in result["own_ends"]),
        "no process outlived its node": result["orphans"] == 0,
        "no node ended while the market settled": result["alive"],
    }


def sampling_sigmas(suppliers: Sequence[dict[str, Any]]) -> float:
    """How far claimed units are from those acknowledged, in standard errors of the sampling."""
    error = sum(each["claimed_units"] - each["logged_units"] for each in suppliers)
    return float(error) / math.sqrt(sum(each["variance"] for each in suppliers) or 1)


def show(result: dict[str, Any], console: Console) -> None:
    """The tables at the end of a run."""
    done = Table(title="what was done to the market", box=box.SIMPLE_HEAD)
    done.add_column("")
    done.add_column("times", justify="right")
    for kind, count in result["injections"].items():
        done.add_row(kind, str(count))
    console.print(done)
    table = Table(title="receipts by stage, and what was paid (base units)", box=box.SIMPLE_HEAD)
    table.add_column("supplier", no_wrap=True)
    titles = ("owed", "logged", "lost", "lost CU", "payable", "claimed", "CU", "claimed CU", "paid")
    for name in titles:
        table.add_column(name, justify="right", no_wrap=True)
    for each in result["suppliers"]:
        names = (
            "owed", "logged", "lost", "lost_units", "payable", "claimed", "logged_units",
            "claimed_units", "paid",
        )  # fmt: skip
        table.add_row(each["name"], *(f"{each[name]:,}" for name in names))
    console.print(table)
    outcomes = ", ".join(f"{count} {kind}" for kind, count in result["outcomes"].items())
    console.print(f"{result['requests']} requests: {outcomes}")
    for each in result["suppliers"]:
        for breach in each["breaches"]:
            console.print(f"[red]{each['name']}[/]: {breach}")
    for end in result["own_ends"]:
        why = "as it should" if end["is_meant"] else "[red]by itself[/]"
        console.print(f"{end['node']} ended {why} with {end['status']}: {end['log']}")
    for what, holds in checks(result).items():
        console.print(f"{'[green]yes[/]' if holds else '[red]NO [/]'}  {what}")
