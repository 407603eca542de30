"""The market under kills and chain faults, and its books afterwards.

    python -m localnet.chaos --kills 200 --faults 50 --seed 1    what `make test-chaos` runs
    python -m localnet.chaos --kills 6 --faults 4 --json         a short one, JSON on the last line

Under a steady load through the stock client, nodes are killed with `kill -9` and started again
through their command lines, stopped and continued; their RPC fails; the chain reorganises, loses
transactions, grows dear. Then everything settles, and every receipt is accounted for.
"""

import argparse
import asyncio
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson
from openai import AsyncOpenAI
from rich import box
from rich.console import Console
from rich.table import Table

from contracts import ClaimAccepted, Market
from localnet.audit import Audit, SupplierAudit, keep_segments, read_owed, read_sessions
from localnet.demo import SETTLE_SESSIONS
from localnet.exits import Exits, leave
from localnet.fault_proxy import FaultProxy
from localnet.faults import REORG_DEPTH_MAX, Injection, plan_injections
from localnet.injector import Injector, Watched
from localnet.ledger import ChainLedger, Conservation, check_conservation
from localnet.load import Load
from localnet.market import LocalMarket, MarketPlan, SupplierNode
from localnet.processes import wait_until
from localnet.provision import MODEL, TOKEN, Terms
from localnet.steady import SteadyLoad
from relay_mining import Address, Claim, Hash32

SUPPLIERS = 3
TERMS = Terms(session_blocks=72, seed_offset=6, confirmations=REORG_DEPTH_MAX, cap=2 * TOKEN)
"""Sessions long enough that a node which is killed again and again still finds its claim window,
and a cap so small that most receipts are payable."""
KEEP_EVERY_S = 1.0
ANSWER_S_MAX = 60.0
SETTLE_S_MAX = 240.0
"""Beyond the last window."""


@dataclass(frozen=True, slots=True)
class ChaosPlan:
    """How much is done to the market, how fast."""

    kills: int
    faults: int
    stalls: int
    skews: int
    seed: int = 1
    gap_s: float = 3.0
    """Mean seconds between two injections."""
    rate: float = 3.0
    """Requests a second."""

    def injections(self) -> list[Injection]:
        """The schedule."""
        return plan_injections(
            self.seed, kills=self.kills, faults=self.faults, stalls=self.stalls,
            skews=self.skews, suppliers=SUPPLIERS, gap_s=self.gap_s,
        )  # fmt: skip


@dataclass(slots=True)
class ChainBooks:
    """All that the chain says at the end of a run."""

    ledger: ChainLedger = field(default_factory=ChainLedger)
    claims: dict[tuple[Address, Hash32], list[Claim]] = field(
        default_factory=lambda: defaultdict(list)
    )

    async def read(self, chain: Market) -> None:
        """Take in every event since the deployment."""
        events = chain.events(confirmations=0)
        while await events.is_behind():
            for outcome in self.ledger.fold((await events.read()).events):
                if isinstance(outcome, ClaimAccepted):
                    claim = outcome.claim
                    self.claims[claim.supplier, claim.session.id].append(claim)


class Chaos:
    """One run on a running market."""

    def __init__(
        self, market: LocalMarket, proxy: FaultProxy, plan: ChaosPlan, say: Callable[[str], None]
    ) -> None:
        self.market = market
        self.plan = plan
        self.say = say
        load = Load(market.base_url, market.api_key, MODEL)
        self.steady = SteadyLoad(load, plan.rate)
        if market.gateway is None:
            raise ValueError("a market without a gateway")
        gateway_health = market.base_url.removesuffix("/v1") + "/healthz"
        self.injector = Injector(
            [Watched(each.node, f"{each.url}/lode/v1/health") for each in market.suppliers],
            Watched(market.gateway, gateway_health),
            market.chain, proxy, self._answer, say,
        )  # fmt: skip

    async def run(self) -> dict[str, Any]:
        """Load, kill, settle; then stop the nodes, audit, and have everybody leave."""
        began = time.monotonic()
        keeper = asyncio.create_task(self._keep_logs())
        try:
            await self._break()
            seconds = time.monotonic() - began
            self.say("settling: the last session's claims are made, proved and paid")
            await asyncio.to_thread(self._settle)
        finally:
            keeper.cancel()
        self._keep_segments()
        alive = self.market.is_alive()
        await asyncio.to_thread(self._stop_nodes)
        return {"alive": alive} | await self._sum_up(seconds)

    async def _break(self) -> None:
        stop = asyncio.Event()
        loading = asyncio.create_task(self.steady.run(stop, self.say))
        try:
            await self.injector.run(self.plan.injections())
        finally:
            stop.set()
            await loading

    async def _answer(self) -> None:
        """One request of the load's, at its end."""
        load = self.steady.load
        async with AsyncOpenAI(
            base_url=load.base_url, api_key=load.api_key, timeout=ANSWER_S_MAX
        ) as client:
            await load.send(client, self.steady.tally, 0)

    async def _keep_logs(self) -> None:
        while True:
            self._keep_segments()
            await asyncio.sleep(KEEP_EVERY_S)

    def _keep_segments(self) -> None:
        for each in self.market.suppliers:
            keep_segments(each.config.parent / "supplier-data" / "receipts", _archive(each))

    def _settle(self) -> None:
        """Wait until every session is over, and nobody has a claim left to settle."""
        clock = asyncio.run(self._clock())
        chain = self.market.chain
        end = clock.start(clock.session_at(chain.height()) + SETTLE_SESSIONS) + TERMS.confirmations
        blocks = end - chain.height()
        wait_until(lambda: chain.height() >= end, "the last window is open", 3.0 * blocks + 60, 1.0)
        wait_until(
            lambda: not asyncio.run(self._chain_books()).ledger.open, "claims stay open",
            SETTLE_S_MAX, 2.0,
        )  # fmt: skip

    async def _clock(self) -> Any:
        async with await self._connect() as chain:
            return await chain.sessions.clock()

    async def _connect(self) -> Market:
        return await Market.connect([self.market.chain.url], self.market.book)

    async def _chain_books(self) -> ChainBooks:
        books = ChainBooks()
        async with await self._connect() as chain:
            await books.read(chain)
        return books

    def _stop_nodes(self) -> None:
        for watched in self.injector.nodes:
            watched.node.stop()

    async def _sum_up(self, seconds: float) -> dict[str, Any]:
        books = await self._chain_books()
        async with await self._connect() as chain:
            conservation = await self._conservation(chain, books.ledger)
            audit = Audit(chain.domain, await read_owed(self._gateway_log), books.claims)
        audits = [
            audit.check(each.name, each.supplier, await read_sessions(_archive(each)))
            for each in self.market.suppliers
        ]
        self.say("everybody leaves")
        exits = await asyncio.to_thread(leave, self.market)
        return self._report(seconds, books.ledger, audits, conservation, exits)

    @property
    def _gateway_log(self) -> Path:
        return self.market.folder / "gateway" / "receipts"

    async def _conservation(self, chain: Market, ledger: ChainLedger) -> Conservation:
        height = (await chain.chain.head()).number
        return await check_conservation(
            chain,
            height,
            ledger,
            applications=self.market.applications,
            suppliers=[each.supplier for each in self.market.suppliers],
            payees=[*self.market.payees, await chain.parameters.treasury(block=height)],
        )

    def _report(
        self, seconds: float, ledger: ChainLedger, audits: Sequence[SupplierAudit],
        conservation: Conservation, exits: Exits,
    ) -> dict[str, Any]:  # fmt: skip
        injector, tally = self.injector, self.steady.tally
        chain = [ledger.suppliers[each.supplier] for each in self.market.suppliers]
        return {
            "seed": self.plan.seed,
            "seconds": round(seconds),
            "kills": sum(each.kills for each in injector.nodes),
            "injections": dict(sorted(injector.done.items())),
            "own_ends": {each.node.name: each.own_ends for each in injector.nodes},
            "orphans": sum(each.orphans() for each in injector.nodes),
            "connections_broken": injector.proxy.broken,
            "transactions_dropped": injector.dropped,
            "transactions_underpriced": injector.underpriced,
            "requests": tally.requests,
            "outcomes": dict(sorted(tally.outcomes.items())),
            "sessions": sorted(ledger.sessions),
            "suppliers": [
                asdict(audit) | asdict(totals) for audit, totals in zip(audits, chain, strict=True)
            ],
            "held": conservation.held,
            "owed_by_contracts": conservation.owed,
            "claims_open": len(ledger.open),
            "bonded": exits.bonded,
            "left_after_exits": exits.left,
        }


def _archive(supplier: SupplierNode) -> Path:
    return supplier.config.parent / "archive"


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
        "the money adds up": result["held"] == result["owed_by_contracts"],
        "no bond is left behind": result["bonded"] == 0,
        "everybody's money left the contracts": result["left_after_exits"] == 0,
        "no node ended by itself": not any(result["own_ends"].values()),
        "no process outlived its node": result["orphans"] == 0,
        "no node ended while the market settled": result["alive"],
    }


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
    for name in ("owed", "logged", "lost", "lost CU", "payable", "claimed", "paid"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in result["suppliers"]:
        names = ("owed", "logged", "lost", "lost_units", "payable", "claimed", "paid")
        table.add_row(each["name"], *(f"{each[name]:,}" for name in names))
    console.print(table)
    outcomes = ", ".join(f"{count} {kind}" for kind, count in result["outcomes"].items())
    console.print(f"{result['requests']} requests: {outcomes}")
    for each in result["suppliers"]:
        for breach in each["breaches"]:
            console.print(f"[red]{each['name']}[/]: {breach}")
    for what, holds in checks(result).items():
        console.print(f"{'[green]yes[/]' if holds else '[red]NO [/]'}  {what}")


def run_chaos(plan: ChaosPlan, console: Console, keep_logs: Path | None = None) -> dict[str, Any]:
    """Start a market behind a fault proxy, run the plan on it, and return what came of it."""
    with FaultProxy() as proxy:
        start = MarketPlan(suppliers=SUPPLIERS, terms=TERMS, front=proxy.front)
        with LocalMarket.start(start, console.print) as market:
            try:
                return asyncio.run(Chaos(market, proxy, plan, console.print).run())
            finally:
                if keep_logs is not None:
                    _copy_logs(market.folder, keep_logs)


def _copy_logs(folder: Path, to: Path) -> None:
    to.mkdir(parents=True, exist_ok=True)
    for log in folder.glob("*.log"):
        (to / log.name).write_bytes(log.read_bytes())


def main(argv: list[str] | None = None) -> int:
    """Run from the command line; 0 if all that has to hold does."""
    parser = argparse.ArgumentParser(prog="make test-chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--faults", type=int, default=50, help="of the chain and the way to it")
    parser.add_argument("--stalls", type=int, help="default a tenth of the kills")
    parser.add_argument("--skews", type=int, help="default a twentieth of the kills")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--gap", type=float, default=3.0, help="mean seconds between injections")
    parser.add_argument("--rate", type=float, default=3.0, help="requests a second")
    parser.add_argument("--logs", type=Path, help="a folder for the nodes' logs")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    options = parser.parse_args(argv)
    console = Console(stderr=options.json, highlight=False, soft_wrap=True)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    stalls = options.kills // 10 if options.stalls is None else options.stalls
    skews = options.kills // 20 if options.skews is None else options.skews
    plan = ChaosPlan(
        options.kills, options.faults, stalls, skews, options.seed, options.gap, options.rate
    )
    result = run_chaos(plan, console, options.logs)
    show(result, console)
    if options.json:
        sys.stdout.write(orjson.dumps(result).decode() + "\n")
    return 0 if all(checks(result).values()) else 1


if __name__ == "__main__":
    sys.exit(main())
