"""The market under kills and chain faults, and its books afterwards.

    python -m localnet.chaos --kills 200 --faults 50 --seed 1    what `make test-chaos` runs
    python -m localnet.chaos --minutes 30                        the same, spread over half an hour
    python -m localnet.chaos --kills 6 --faults 4 --json         a short one, JSON on the last line

Under a steady load through the stock client, nodes are killed with `kill -9` and started again
through their command lines, stopped and continued; their RPC fails; the chain reorganises, loses
transactions, grows dear. Where PostgreSQL is installed the gateway has its tables there, one
supplier is two relay servers over it, it is killed as they are, and the ways between them are cut.
Then everything settles, and every receipt is accounted for.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from openai import AsyncOpenAI
from rich.console import Console

from contracts import Market
from localnet.audit import (
    Audit,
    SessionBooks,
    SupplierAudit,
    keep_segments,
    read_owed,
    read_sessions,
)
from localnet.chaos_report import checks, show
from localnet.cluster import FENCED, Cluster, clustered
from localnet.databases import run_postgres
from localnet.demo import SETTLE_SESSIONS
from localnet.errors import NotInstalledError
from localnet.exits import Exits, leave
from localnet.fault_proxy import FaultProxy
from localnet.faults import REORG_DEPTH_MAX, Cast, Injection, plan_injections, stretch
from localnet.injector import Injector
from localnet.ledger import ChainBooks, ChainLedger, Conservation, check_conservation
from localnet.load import Load
from localnet.market import LocalMarket, MarketPlan
from localnet.nodes import SupplierNode
from localnet.processes import wait_until
from localnet.provision import MODEL, TOKEN, Terms
from localnet.stage import Stage
from localnet.steady import SteadyLoad
from localnet.watched import Watched, page_answers
from relay_mining import Hash32

SUPPLIERS = 3
TERMS = Terms(session_blocks=72, seed_offset=6, confirmations=REORG_DEPTH_MAX, cap=2 * TOKEN)
"""Sessions long enough that a node which is killed again and again still finds its claim window,
and a cap so small that most receipts are payable."""
KEEP_EVERY_S = 1.0
ANSWER_S_MAX = 60.0
SETTLE_S_MAX = 240.0
"""Beyond the last window."""
RECOVERING = (b"pre-existing shared memory block", b'lock file "postmaster.pid" already exists')
"""What PostgreSQL says that was started before what a killed one left has ended."""


@dataclass(frozen=True, slots=True)
class ChaosPlan:
    """How much is done to the market, how fast."""

    kills: int
    faults: int
    stalls: int
    skews: int
    partitions: int
    """Where there is a database."""
    seed: int = 1
    gap_s: float = 3.0
    """Mean seconds between two injections."""
    minutes: float = 0.0
    """Over which they are spread instead."""
    rate: float = 3.0
    """Requests a second."""

    def injections(self, cast: Cast) -> list[Injection]:
        """The schedule."""
        drawn = plan_injections(
            self.seed, cast, kills=self.kills, faults=self.faults, stalls=self.stalls,
            skews=self.skews, partitions=self.partitions if cast.servers else 0, gap_s=self.gap_s,
        )  # fmt: skip
        return stretch(drawn, 60 * self.minutes) if self.minutes else drawn


class Chaos:
    """One run on a running market."""

    def __init__(
        self, market: LocalMarket, cluster: Cluster | None, stage: Stage, plan: ChaosPlan,
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.market = market
        self.cluster = cluster
        self.stage = stage
        self.plan = plan
        self.say = say
        load = Load(market.base_url, market.api_key, MODEL)
        self.steady = SteadyLoad(load, plan.rate)
        self.injector = Injector(stage, market.chain, self._answer, say)

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
        alive = self.market.chain.node.is_alive() and all(
            each.node.is_alive() for each in self.stage.watched
        )
        await asyncio.to_thread(self._stop_nodes)
        return {"alive": alive} | await self._sum_up(seconds)

    async def _break(self) -> None:
        stop = asyncio.Event()
        loading = asyncio.create_task(self.steady.run(stop, self.say))
        try:
            await self.injector.run(self.plan.injections(self.stage.cast))
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
        for each in self._single:
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
        for watched in self.stage.nodes:
            watched.node.stop()

    @property
    def _single(self) -> list[SupplierNode]:
        """The suppliers with a disk of their own."""
        return self.market.suppliers[self.cluster is not None :]

    async def _read_sessions(self, supplier: SupplierNode) -> dict[Hash32, SessionBooks]:
        """All that a supplier ever acknowledged."""
        if self.cluster is not None and supplier not in self._single:
            return self.cluster.read_sessions()
        return await read_sessions(_archive(supplier))

    async def _sum_up(self, seconds: float) -> dict[str, Any]:
        books = await self._chain_books()
        async with await self._connect() as chain:
            conservation = await self._conservation(chain, books.ledger)
            audit = Audit(chain.domain, await read_owed(self._gateway_log), books.claims)
        audits = [
            audit.check(each.name, each.supplier, await self._read_sessions(each))
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
        injector, tally, watched = self.injector, self.steady.tally, self.stage.watched
        chain = [ledger.suppliers[each.supplier] for each in self.market.suppliers]
        return {
            "seed": self.plan.seed,
            "seconds": round(seconds),
            "with_database": self.cluster is not None,
            "kills": {each.node.name: each.kills for each in watched}
            | {"engines": injector.engines_killed},
            "injections": dict(sorted(injector.done.items())),
            "own_ends": [asdict(end) for each in watched for end in each.own_ends],
            "orphans": sum(each.orphans() for each in watched),
            "connections_broken": sum(each.broken for each in self.stage.proxies),
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


def run_chaos(plan: ChaosPlan, console: Console, logs: Path, *, database: bool) -> dict[str, Any]:
    """Start a market behind fault proxies, run the plan on it, and return what came of it.

    The nodes' logs are kept in the folder `logs`. Raises NotInstalledError where `database` is
    asked for and there is no PostgreSQL.
    """
    with ExitStack() as stack:
        postgres = stack.enter_context(run_postgres()) if database else None
        rpc = stack.enter_context(FaultProxy())
        start = MarketPlan(suppliers=SUPPLIERS, terms=TERMS, front=rpc.front)
        market = stack.enter_context(LocalMarket.start(start, console.print))
        stack.enter_context(_logs_kept(market.folder, logs))
        cluster = None
        if postgres is not None:
            console.print("PostgreSQL: the gateway's tables, and two relay servers of supplier-0")
            cluster = stack.enter_context(clustered(market, postgres))
        stage = _stage(market, cluster, rpc, logs)
        return asyncio.run(Chaos(market, cluster, stage, plan, console.print).run())


def _stage(market: LocalMarket, cluster: Cluster | None, rpc: FaultProxy, logs: Path) -> Stage:
    page = market.base_url.removesuffix("/v1") + "/healthz"
    gateway = Watched(market.gateway, page_answers(page), logs)
    single = [
        Watched(each.node, page_answers(f"{each.url}/lode/v1/health"), logs)
        for each in market.suppliers[cluster is not None :]
    ]
    if cluster is None:
        return Stage(single, gateway, rpc)
    database = Watched(cluster.postgres.node, cluster.postgres.answers, logs, RECOVERING)
    servers = cluster.servers
    return Stage(
        single, gateway, rpc,
        servers=[Watched(each.node, page_answers(each.health), logs, FENCED) for each in servers],
        database=database,
        database_ways=[*(each.database_way for each in servers), cluster.gateway_way],
        server_ways=[each.gateway_way for each in servers],
    )  # fmt: skip


@contextmanager
def _logs_kept(folder: Path, to: Path) -> Iterator[None]:
    try:
        yield
    finally:
        to.mkdir(parents=True, exist_ok=True)
        for log in folder.glob("*.log"):
            (to / log.name).write_bytes(log.read_bytes())


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make test-chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--faults", type=int, default=50, help="of the chain and the way to it")
    parser.add_argument("--stalls", type=int, help="default a tenth of the kills")
    parser.add_argument("--skews", type=int, help="default a twentieth of the kills")
    parser.add_argument("--partitions", type=int, help="default a fifth of the kills")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--gap", type=float, default=3.0, help="mean seconds between injections")
    parser.add_argument("--minutes", type=float, default=0.0, help="spread them over so many")
    parser.add_argument("--rate", type=float, default=3.0, help="requests a second")
    parser.add_argument("--no-database", action="store_true", help="as where there is none")
    parser.add_argument("--logs", type=Path, help="a folder for the nodes' logs; default a new one")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    return parser.parse_args(argv)


def _plan(options: argparse.Namespace) -> ChaosPlan:
    kills = options.kills
    return ChaosPlan(
        kills=kills,
        faults=options.faults,
        stalls=kills // 10 if options.stalls is None else options.stalls,
        skews=kills // 20 if options.skews is None else options.skews,
        partitions=kills // 5 if options.partitions is None else options.partitions,
        seed=options.seed,
        gap_s=options.gap,
        minutes=options.minutes,
        rate=options.rate,
    )


def _run(options: argparse.Namespace, console: Console, logs: Path) -> dict[str, Any]:
    """Run with a database where there is one, saying so where there is none."""
    plan = _plan(options)
    if not options.no_database:
        try:
            return run_chaos(plan, console, logs, database=True)
        except NotInstalledError as error:
            console.print(f"{error}: no relay servers and no database are killed in this run")
    return run_chaos(plan, console, logs, database=False)


def main(argv: list[str] | None = None) -> int:
    """Run from the command line; 0 if all that has to hold does."""
    options = _parse(argv)
    console = Console(stderr=options.json, highlight=False, soft_wrap=True, width=120)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    logs = options.logs or Path(tempfile.mkdtemp(prefix="lode-chaos-"))
    result = _run(options, console, logs)
    show(result, console)
    console.print(f"logs: {logs}")
    if options.json:
        sys.stdout.write(orjson.dumps(result).decode() + "\n")
    return 0 if all(checks(result).values()) else 1


if __name__ == "__main__":
    sys.exit(main())
