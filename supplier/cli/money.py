"""The commands that say where the money is, and what became of it."""

import csv
import time
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated

import typer

from contracts import Market, read_claims
from node.errors import OperatorError
from node.spans import read_span
from relay_mining import Address
from supplier.cli.command import Command, Config, Json
from supplier.mining.store import SessionRecord, read_records
from supplier.operation.earnings import (
    BY,
    Amounts,
    Earned,
    earn_closed,
    earn_open,
    group,
    is_unsettled,
)
from supplier.operation.funds import describe_funds, read_funds_view
from supplier.operation.ledger import read_books

ROWS_MAX = 100_000
COLUMNS = tuple(each.name for each in fields(Amounts))
SHOWN = ("relays", "served", "unreceipted", "sampling", "unclaimed", "shares", "pending", "lost",
         "paid")  # fmt: skip


def funds(config: Config = None, json: Json = False) -> None:
    """Show where the money is, until when, and what frees it.

    Example: supplier funds
    """

    async def work(command: Command) -> dict[str, object]:
        async with command.at_market() as here:
            books = read_books(here.settings, here.supplier, here.market.domain)
            gas = here.settings.settlement.gas_units_per_claim
            view = await read_funds_view(here.market, here.supplier, books, gas)
        holdings = describe_funds(view)
        command.output.table(
            "funds", ("where", "amount", "unit", "until", "what frees it"),
            [(each.where, each.amount, each.unit, each.until, each.frees) for each in holdings],
        )  # fmt: skip
        return {
            **asdict(view.funds),
            "supplier": here.supplier,
            "payout": view.account.payout,
            "holdings": [asdict(each) for each in holdings],
        }

    Command(config, json).run(work)


def earnings(
    config: Config = None,
    json: Json = False,
    by: Annotated[str, typer.Option(help=", ".join(BY))] = "day",
    since: Annotated[str, typer.Option(help="30d, 12h, 90m; default everything")] = "",
    csv_file: Annotated[Path | None, typer.Option("--csv", help="write the rows here too")] = None,
) -> None:
    """Show what was served and paid, by service, and every reason why the two differ.

    A session counts when it is closed; those that are not are pending.

    Example: supplier earnings --by hour --since 2d --csv earnings.csv
    """

    async def work(command: Command) -> dict[str, object]:
        if by not in BY:
            raise OperatorError(f"--by is one of {', '.join(BY)}")
        oldest = time.time() - parse_span(since) if since else 0.0
        async with command.at_market() as here:
            records = [e for e in read_records(here.settings, ROWS_MAX) if e.closed_at >= oldest]
            books = read_books(here.settings, here.supplier, here.market.domain)
            unsettled = [e for e in records if is_unsettled(e)]
            paid = await _read_paid(here.market, here.supplier, unsettled)
        found = [earn_closed(each, paid.get(each.session)) for each in records]
        found += [earn_open(book, time.time()) for book in books.sessions.values()]
        return _show_earnings(command, found, by, csv_file)

    Command(config, json).run(work)


def parse_span(text: str) -> int:
    """Seconds of `30d`, `12h` or `90m` (OperatorError for anything else)."""
    span = read_span(text)
    if span is None:
        raise OperatorError(f"{text!r} is no span of time: write 30d, 12h or 90m")
    return span


async def _read_paid(
    market: Market, supplier: Address, records: Sequence[SessionRecord]
) -> dict[str, int]:
    """What the chain paid for sessions whose end this node did not see, by session id in hex."""
    if not records:
        return {}
    clock, head = await market.sessions.clock(), (await market.chain.head()).number
    first = clock.claim_window(min(each.number for each in records)).opens
    last = min(head, clock.proof_window(max(each.number for each in records)).closes)
    claims = await read_claims(market.chain, market.book, first, last)
    return {e.claim.session.id.hex(): e.paid for e in claims if e.claim.supplier == supplier}


def _show_earnings(
    command: Command, found: Sequence[Earned], by: str, csv_file: Path | None
) -> dict[str, object]:
    rows = [
        {by: label, "service": service, **asdict(amounts)}
        for label, service, amounts in group(found, by)
    ]
    command.output.table(
        "earnings, in token base units", (by, "service", *SHOWN),
        [[row[by], str(row["service"])[:10], *(row[each] for each in SHOWN)] for row in rows],
    )  # fmt: skip
    if csv_file is not None:
        with csv_file.open("w", newline="") as file:
            writer = csv.DictWriter(file, [by, "service", *COLUMNS])
            writer.writeheader()
            writer.writerows(rows)
    total = sum((each.amounts for each in found), Amounts())
    outcomes = {each.outcome: 0 for each in found}
    for each in found:
        outcomes[each.outcome] += 1
    return {"by": by, "rows": rows, "total": asdict(total), "outcomes": outcomes}
