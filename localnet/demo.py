"""`make demo`: the whole market on this machine, from the first request to the last payment.

python -m localnet.demo            watch it
python -m localnet.demo --json     the same, and one JSON object on the last line
python -m localnet.demo --keep     leave it up; Ctrl-C ends it
"""

import argparse
import asyncio
import signal
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from rich import box
from rich.console import Console
from rich.table import Table

from contracts import ClaimAccepted, ClaimPaid, ClaimVoided, Market, Outcome
from localnet.ledger import ChainLedger, Conservation, check_conservation
from localnet.load import Load, Tally
from localnet.market import LocalMarket, MarketPlan
from localnet.nodes import SupplierNode
from localnet.provision import MODEL, TOKEN
from localnet.up import end, keep
from node.output import Output

SESSIONS = 3
REQUESTS_MIN = 240
SETTLE_SESSIONS = 3
"""Claims for n are made in n+1, proved in n+2 and over when n+3 opens."""


@dataclass(frozen=True, slots=True)
class Row:
    """One supplier at the end of the run: units, and amounts in token base units."""

    name: str
    served: int
    receipted: int
    claimed: int
    proofs: int
    paid: int
    slashed: int


class Demo:
    """One run; what is shown goes to stderr, so that stdout is free for the JSON object."""

    def __init__(self, market: LocalMarket, console: Console) -> None:
        self.market = market
        self.console = console
        self.ledger = ChainLedger()

    async def run(self) -> dict[str, Any]:
        """Send requests for some sessions, wait until all is settled, and sum it up."""
        async with await Market.connect([self.market.chain.url], self.market.book) as chain:
            clock = await chain.sessions.clock()
            first = clock.session_at((await chain.chain.head()).number)
            tally = await self._load(chain, first)
            last = clock.session_at((await chain.chain.head()).number)
            await self._settle(chain, last)
            return await self._sum_up(chain, tally)

    async def _load(self, chain: Market, first: int) -> Tally:
        clock = await chain.sessions.clock()
        self.console.rule(
            f"requests through the openai client, sessions {first} to {first + SESSIONS - 1}"
        )
        height = (await chain.chain.head()).number

        def is_enough(tally: Tally) -> bool:
            return tally.requests >= REQUESTS_MIN and clock.session_at(height) >= first + SESSIONS

        load = Load(self.market.base_url, self.market.api_key, MODEL)
        running = asyncio.create_task(load.run(is_enough))
        events = chain.events(confirmations=0)
        while not running.done():
            height = (await chain.chain.head()).number
            self._show((await events.read()).events)
            await asyncio.wait([running], timeout=0.5)
        self._events = events
        tally = await running
        self.console.print(f"[dim]model:[/] {tally.first_answer!r}")
        return tally

    async def _settle(self, chain: Market, last: int) -> None:
        clock = await chain.sessions.clock()
        end = clock.start(last + SETTLE_SESSIONS) + 3
        self.console.rule(f"claims, challenges, proofs; the last window ends in block {end}")
        while (height := (await chain.chain.head()).number) < end or (
            self.ledger.open and height < end + clock.session_blocks
        ):
            self._show((await self._events.read()).events)
            await asyncio.sleep(0.5)
        self._show((await self._events.read()).events)

    def _show(self, events: Any) -> None:
        for outcome in self.ledger.fold(events):
            line = self._line(outcome)
            if line:
                self.console.print(line)

    def _line(self, outcome: Outcome) -> str:
        match outcome:
            case ClaimAccepted(claim):
                return (
                    f"  claim    {self._name(claim.supplier):<10} session {claim.session.number}: "
                    f"{claim.root.sum:,} CU in {claim.root.count} leaves, "
                    f"{_money(claim.value)} bonded with {_money(claim.bond)}"
                )
            case ClaimPaid():
                return f"  [green]paid[/]     {_money(outcome.supplier_share)} to its supplier"
            case ClaimVoided(_, bond):
                return f"  [red]slashed[/]  {_money(bond)}: a required proof was missing"
            case _:
                return f"  refused  {outcome.error}"

    def _name(self, supplier: bytes) -> str:
        return next(each.name for each in self.market.suppliers if each.supplier == supplier)

    async def _sum_up(self, chain: Market, tally: Tally) -> dict[str, Any]:
        rows = [self._row(each) for each in self.market.suppliers]
        conservation = await self._conservation(chain)
        clock = await chain.sessions.clock()
        delays = self.ledger.claim_delays(clock)
        self.console.print(show_table(rows))
        if delays:
            self.console.print(
                f"claims came {statistics.median_low(delays)} blocks (median; {delays[-1]} at most)"
                f" after the end of their session, of the {clock.session_blocks} they may take"
            )
        outcomes = ", ".join(f"{count} {kind}" for kind, count in tally.outcomes.items())
        self.console.print(
            f"{tally.requests} requests ({outcomes}); the contracts hold "
            f"{_money(conservation.held)} and owe {_money(conservation.owed)}"
        )
        return {
            "requests": tally.requests,
            "outcomes": dict(tally.outcomes),
            "tokens": tally.tokens,
            "units_served": sum(row.served for row in rows),
            "units_receipted": sum(row.receipted for row in rows),
            "units_claimed": sum(row.claimed for row in rows),
            "paid": sum(each.paid_in_all for each in self.ledger.suppliers.values()),
            "claims": sum(each.claims for each in self.ledger.suppliers.values()),
            "claim_delays_blocks": delays,
            "proofs": sum(row.proofs for row in rows),
            "slashed": sum(row.slashed for row in rows),
            "sessions": sorted(self.ledger.sessions),
            "conserved": conservation.holds,
            "suppliers": [asdict(row) for row in rows],
        }

    def _row(self, supplier: SupplierNode) -> Row:
        status = self.market.supplier_status(supplier)
        sums = status["totals"]
        totals = self.ledger.suppliers[supplier.supplier]
        return Row(
            name=supplier.name,
            served=sums["served"],
            receipted=sums["receipted"],
            claimed=totals.units_claimed,
            proofs=sum(each["kind"] == "Prove" for each in status["actions"]),
            paid=totals.paid,
            slashed=totals.slashed,
        )

    def _applications(self) -> list[bytes]:
        return self.market.applications

    async def _conservation(self, chain: Market) -> Conservation:
        height = (await chain.chain.head()).number
        self._show((await self._events.read()).events)
        return await check_conservation(
            chain,
            height,
            self.ledger,
            applications=self._applications(),
            suppliers=[each.supplier for each in self.market.suppliers],
            payees=[*self.market.payees, await chain.parameters.treasury(block=height)],
        )


def _money(amount: int) -> str:
    return f"{amount / TOKEN:,.4f} LTT"


def show_table(rows: list[Row]) -> Table:
    """The table at the end of a run: units (CU) and whole test tokens (LTT)."""
    table = Table(title="what was served, receipted, claimed and paid", box=box.SIMPLE_HEAD)
    table.add_column("supplier", no_wrap=True)
    columns = "served\nCU|receipted\nCU|claimed\nCU|proofs|paid\nLTT|slashed\nLTT"
    for name in columns.split("|"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        units = (f"{each:,}" for each in (row.served, row.receipted, row.claimed, row.proofs))
        money = (f"{each / TOKEN:.4f}" for each in (row.paid, row.slashed))
        table.add_row(row.name, *units, *money)
    return table


def main(argv: list[str] | None = None) -> int:
    """Run the demo; 0 if the honest were paid, the cheat slashed and the money adds up."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--keep", action="store_true", help="leave the market up afterwards")
    options = parser.parse_args(argv)
    console = Console(stderr=options.json, highlight=False, soft_wrap=True)
    started = time.monotonic()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)  # as Ctrl-C does, so that no process stays behind
    with LocalMarket.start(MarketPlan(suppliers=3, cheats=("inventor",)), console.print) as market:
        result = asyncio.run(Demo(market, console).run())
        result["seconds"] = round(time.monotonic() - started, 1)
        is_good = _verdict(result, console)
        if options.keep:
            keep(market, Output(options.json).line)
    if options.json:
        sys.stdout.write(orjson.dumps(result).decode() + "\n")
    return 0 if is_good else 1


def _verdict(result: dict[str, Any], console: Console) -> bool:
    honest = [row for row in result["suppliers"] if row["name"] != "inventor"]
    checks = {
        "every honest supplier was paid": all(row["paid"] > 0 for row in honest),
        "no honest supplier was slashed": all(row["slashed"] == 0 for row in honest),
        "the supplier that invents leaves was slashed": result["slashed"] > 0,
        "the money adds up": result["conserved"],
    }
    for what, holds in checks.items():
        console.print(f"{'[green]yes[/]' if holds else '[red]NO [/]'}  {what}")
    console.print(f"done in {result['seconds']} s")
    return all(checks.values())


if __name__ == "__main__":
    sys.exit(main())
