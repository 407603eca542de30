"""The commands that say what is wrong, and what to do about it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from node.errors import OperatorError
from node.settings import parse_hex
from supplier.cli.command import Command, Config, Json
from supplier.mining.store import read_records
from supplier.operation.doctor import Finding, Verdict, check_settings, examine, is_healthy
from supplier.operation.explain import Explained, Explainer, gather_served
from supplier.operation.funnel import REMEDIES, find_stop
from supplier.operation.ledger import read_books
from supplier.operation.outside import Outside, Regard, find_gateways, gateway_pool

ROWS_MAX = 10_000
"""Closed sessions read from the store at most."""

config_cli = typer.Typer(no_args_is_help=True, help="The settings file.")


def doctor(config: Config = None, json: Json = False) -> None:
    """Look at every precondition of serving and being paid, each with its remedy.

    Exit status 1 where something has to be mended; warnings pass. Changes nothing.

    Example: supplier doctor
    """

    async def look(command: Command) -> list[Finding]:
        settings = command.settings()
        with command.output.progress("looking"):
            return [each async for each in examine(settings)]

    run_findings(Command(config, json), "doctor", look)


def explain(
    config: Config = None,
    json: Json = False,
    sessions: Annotated[int, typer.Option(min=1, max=200, help="sessions looked back")] = 8,
) -> None:
    """Show the last sessions gate by gate, from listed to paid, and where traffic stops.

    Example: supplier explain --sessions 20
    """

    async def work(command: Command) -> dict[str, object]:
        services = [parse_hex("services", each, 32) for each in command.settings().services]
        if not services:
            raise OperatorError("no services: run `supplier list SERVICE --price PRICE` first")
        async with command.at_market() as here:
            books = read_books(here.settings, here.supplier, here.market.domain)
            served = gather_served(read_records(here.settings, ROWS_MAX), books)
            explainer = Explainer(here.market, here.supplier, served)
            with command.output.progress("reading the chain"):
                found = [await explainer.explain(each, sessions) for each in services]
                places = await find_gateways(here.market, here.settings)
            with command.output.progress("asking gateways"):
                async with gateway_pool(here.settings, here.market.book.chain_id) as pool:
                    regards = await Outside(pool, places, here.supplier).regards()
        shown = [_show_funnel(command, each) for each in found]
        return {"services": shown, "gateways": _show_regards(command, regards)}

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


def _show_regards(command: Command, regards: Sequence[Regard]) -> list[dict[str, object]]:
    """What gateways say of this supplier, those with most funds behind them first."""
    command.output.table(
        "what gateways say of this supplier, in units",
        ("gateway", "standing", "credit", "owed", "tries", "answers", "faults", "price"),
        [
            (
                each.url, each.standing or each.error, each.credit_units, each.owed_units,
                each.tries, each.answers, each.faults, "; ".join(each.prices),
            )
            for each in regards
        ],
    )  # fmt: skip
    return [asdict(each) for each in regards]


@config_cli.command("check")
def config_check(config: Config = None, json: Json = False) -> None:
    """Read the settings as `serve` would, and say what cannot work; asks neither chain nor engine.

    Example: supplier config check --config supplier.toml
    """

    async def look(command: Command) -> list[Finding]:
        return check_settings(command.settings())

    run_findings(Command(config, json), "settings", look)


def run_findings(
    command: Command, title: str, look: Callable[[Command], Awaitable[list[Finding]]]
) -> None:
    """Run a command that looks for what is wrong; its exit status is 1 where it finds something."""
    found: list[Finding] = []

    async def work(command: Command) -> dict[str, object]:
        found.extend(await look(command))
        return _show_findings(command, title, found)

    command.run(work)
    if not is_healthy(found):
        raise typer.Exit(1)


def _show_findings(command: Command, title: str, found: list[Finding]) -> dict[str, object]:
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
