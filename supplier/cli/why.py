"""The commands that say what is wrong, and what to do about it."""

from dataclasses import asdict
from typing import Annotated

import typer

from contracts import Market
from node.errors import OperatorError
from node.settings import parse_hex
from supplier.cli.command import Command, Config, Json
from supplier.mining.store import read_records
from supplier.operation.doctor import Finding, Verdict, check_settings, examine, is_healthy
from supplier.operation.explain import Explained, Explainer, gather_served
from supplier.operation.funnel import REMEDIES, find_stop
from supplier.operation.ledger import read_books

ROWS_MAX = 10_000
"""Closed sessions read from the store at most."""

config_cli = typer.Typer(no_args_is_help=True, help="The settings file.")


def doctor(config: Config = None, json: Json = False) -> None:
    """Look at every precondition of serving and being paid, each with its remedy.

    Exit status 1 where something has to be mended; warnings pass. Changes nothing.

    Example: supplier doctor
    """
    found: list[Finding] = []

    async def work(command: Command) -> dict[str, object]:
        settings = command.settings()
        with command.output.progress("looking"):
            found.extend([each async for each in examine(settings)])
        return show_findings(command, "doctor", found)

    Command(config, json).run(work)
    if not is_healthy(found):
        raise typer.Exit(1)


def explain(
    config: Config = None,
    json: Json = False,
    sessions: Annotated[int, typer.Option(min=1, max=200, help="sessions looked back")] = 8,
) -> None:
    """Show the last sessions gate by gate, from listed to paid, and where traffic stops.

    Example: supplier explain --sessions 20
    """

    async def work(command: Command) -> dict[str, object]:
        settings = command.settings()
        supplier = settings.supplier()
        services = [parse_hex("services", each, 32) for each in settings.services]
        if not services:
            raise OperatorError("no services: run `supplier list SERVICE --price PRICE` first")
        async with await Market.open(settings.chain) as market:
            books = read_books(settings, supplier, market.domain)
            served = gather_served(read_records(settings, ROWS_MAX), books)
            explainer = Explainer(market, supplier, served)
            with command.output.progress("reading the chain"):
                found = [await explainer.explain(each, sessions) for each in services]
        return {"services": [_show_funnel(command, each) for each in found]}

    Command(config, json).run(work)


def _show_funnel(command: Command, found: Explained) -> dict[str, object]:
    standing, stop = found.standing, find_stop(found.standing, found.sessions)
    columns = [
        "number", "is_in_roster", "delegated", "drawn", "opened", "relays", "served", "receipted",
        "payable", "claimed", "proved", "paid", "stop",
    ]  # fmt: skip
    rows = [[getattr(each, name) for name in columns] for each in found.sessions]
    command.output.table(f"{found.name}, the newest session first", columns, rows)
    if standing.rank:
        command.output.line(
            f"asks {standing.unit_price}, rank {standing.rank} of {standing.rivals} by price; "
            f"{standing.weight_share:.0%} of the weight, member of about "
            f"{standing.member_share:.0%} of the sessions"
        )
    command.output.line(
        f"traffic stops at: {stop}. {REMEDIES[stop]}" if stop else "traffic comes through"
    )
    return {
        "service": found.service,
        "name": found.name,
        "stop": stop,
        "remedy": REMEDIES.get(stop, ""),
        "standing": asdict(standing),
        "sessions": [{**asdict(each), "stop": each.stop} for each in found.sessions],
    }


@config_cli.command("check")
def config_check(config: Config = None, json: Json = False) -> None:
    """Read the settings as `serve` would, and say what cannot work; asks neither chain nor engine.

    Example: supplier config check --config supplier.toml
    """
    found: list[Finding] = []

    async def work(command: Command) -> dict[str, object]:
        found.extend(check_settings(command.settings()))
        return show_findings(command, "settings", found)

    Command(config, json).run(work)
    if not is_healthy(found):
        raise typer.Exit(1)


def show_findings(command: Command, title: str, found: list[Finding]) -> dict[str, object]:
    """Show findings to people; returns them for programs."""
    command.output.table(
        title, ("", "what", "found", "remedy"),
        [(each.verdict, each.name, each.says, each.remedy) for each in found],
    )  # fmt: skip
    counts = {each: sum(one.verdict is each for one in found) for each in Verdict}
    return {
        "ok": is_healthy(found),
        **{each.value + "_count": count for each, count in counts.items()},
        "findings": [asdict(each) for each in found],
    }
