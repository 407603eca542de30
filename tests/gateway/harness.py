"""A whole gateway without a chain: real sockets, real signatures, sessions given by hand."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from openai import AsyncOpenAI

from gateway.access.accounts import Accounts
from gateway.access.admission import Admission
from gateway.access.api_keys import KeyStore, KeyTerms
from gateway.access.database import Database
from gateway.api.cors import Cors
from gateway.api.data_plane import DataPlane
from gateway.api.file_store import DirectoryStore
from gateway.api.once import Once
from gateway.books.history import History
from gateway.books.ledger import Ledger
from gateway.edge.plane import EdgePlane, EdgeRules
from gateway.opening import complete
from gateway.routing.auditing import Auditor
from gateway.routing.dispatch import Dispatcher
from gateway.routing.observation import Event, Observation, Observe, Recount, fan_out
from gateway.routing.prediction import Predictor
from gateway.routing.relay import RelaySigner, Served
from gateway.routing.relaying import RelayLimits, Relays
from gateway.routing.renewing import renew
from gateway.routing.retry_budget import RetryBudget
from gateway.routing.router import Router, RoutingRules
from gateway.routing.sessions import Member, ServiceSpec, ServiceView, Session, SessionTable
from gateway.routing.standing import Standing
from gateway.routing.supplier_view import SupplierView
from gateway.routing.upstream import Upstream, UpstreamTimeouts
from gateway.routing.waiting_room import WaitingRoom, WaitingRules
from gateway.settlement.counting import CountFiles
from gateway.settlement.delivery import Deliverer, SupplierAddress
from gateway.settlement.outbox import Outbox
from gateway.settlement.recounting import RecountWorker
from gateway.settlement.settling import Settler, load_dropped
from gateway.settlement.spool import Spool, restore_outbox
from node.append_log import AppendLog
from node.http import ClientPool, Limits, Lines, Server, line_url, serve
from node.traces import NO_TRACES, Traces
from relay_mining import DIAL_PROTOCOL, Address, SessionKey, UnitWeights, Verifier, compute_terms
from tests.factories import APPLICATION, DOMAIN, GATEWAY, GATEWAY_SIGNER, SERVICE, WEIGHTS
from tests.gateway.fakes import SPEC_HASH, TEMPLATE, TOKENIZER, FakeSupplier

MODEL = "tiny"
CONTEXT = 1024
TIMEOUTS = UpstreamTimeouts(connect=1, first_byte=0.5, stall=0.3, total=10, cancel=1)


@dataclass
class Gateway:
    """A running gateway and what a test wants to see of it."""

    server: Server
    key: str
    key_id: str
    keys: KeyStore
    accounts: Accounts
    table: SessionTable
    suppliers: list[FakeSupplier]
    events: list[Event]
    settler: Settler
    deliverer: Deliverer
    ledger: Ledger
    standing: Standing
    once: Once
    data_dir: Path
    plane: DataPlane
    lines: Lines

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def client(self, key: str | None = None) -> AsyncOpenAI:
        return AsyncOpenAI(base_url=self.url + "/v1", api_key=key or self.key, max_retries=0)

    @property
    def results(self) -> list[str]:
        return [each.result.value for each in self.events if isinstance(each, Observation)]

    @property
    def recounts(self) -> list[Recount]:
        return [each for each in self.events if isinstance(each, Recount)]

    async def settled(self) -> None:
        """Wait until every answer is recounted and every receipt acknowledged."""
        async with asyncio.timeout(60):
            while self.settler.waiting or len(self.deliverer.outbox):
                await asyncio.sleep(0.01)


@dataclass
class Clock:
    """The time that keys' limits go by; `passed` seconds ahead of what it is."""

    passed: float = 0.0

    def now(self) -> float:
        return time.time() + self.passed

    def monotonic_ns(self) -> int:
        return time.monotonic_ns() + int(self.passed * 10**9)


REAL = Clock()
RULES = RoutingRules()
WAITING = WaitingRules()
NO_PAGES = Cors()


def a_service(weights: UnitWeights = WEIGHTS) -> ServiceView:
    spec = ServiceSpec("tiny", CONTEXT, "", "", {})
    return ServiceView(SERVICE, MODEL, bytes(20), SPEC_HASH, weights, spec)


def a_gateway_session(
    members: Sequence[tuple[FakeSupplier, str]], *, cap: int = 10**9, number: int = 7
) -> Session:
    key = SessionKey(APPLICATION, GATEWAY, SERVICE, number)
    terms = compute_terms(key, cap, max(len(members), 1), 1_000, 4096)
    return Session(
        key,
        a_service(),
        cap,
        tuple(
            Member(
                fake.supplier,
                fake.signer.address,
                url,
                terms,
                Verifier(fake.signer.address),
                url.startswith("dial:"),
            )
            for fake, url in members
        ),
        GATEWAY_SIGNER.address,
    )


async def open_records(
    stack: AsyncExitStack, data_dir: Path, clock: Clock
) -> tuple[AppendLog, Spool, Outbox, Ledger]:
    """What a gateway keeps on the disk, as a start finds it."""
    log = await stack.enter_async_context(AppendLog(data_dir / "receipts"))
    spool = stack.enter_context(Spool(data_dir / "receipts"))
    usage = await stack.enter_async_context(AppendLog(data_dir / "usage"))
    ledger, outbox = Ledger(usage, now=clock.now), Outbox()
    await restore_outbox(outbox, log, spool)
    ledger.replay(usage.replay())
    return log, spool, outbox, ledger


def audited(
    upstream: Upstream, standing: Standing, observe: Observe, settler: Settler, share: float,
    seed: int,
) -> Callable[[Served], None]:  # fmt: skip
    """What takes an accepted answer, and asks for a share of them again."""
    auditor = Auditor(upstream, standing, observe, settler.owe, share, random.Random(seed))
    return fan_out((settler.owe, auditor.consider))


def open_once(
    accounts: Accounts, log: AppendLog, ledger: Ledger, data_dir: Path, clock: Clock
) -> Once:
    """The answers kept by an earlier gateway, and what it was killed in."""
    admission = Admission(accounts, clock.monotonic_ns, clock.now)
    once = Once(admission, DirectoryStore(data_dir / "answers"), now=clock.now)
    complete(ledger, ledger.log, log, once)
    return once


async def serve_suppliers(
    stack: AsyncExitStack, suppliers: Sequence[FakeSupplier], url: str
) -> dict[Address, str]:
    """Where each is reached, listening where `url` does not say that all already do."""
    urls = {fake.supplier: url or line_url(fake.supplier.hex()) for fake in suppliers}
    for fake in () if url else suppliers:
        if not fake.dials_out:
            server = await serve(fake.handle, "127.0.0.1", 0)
            stack.push_async_callback(server.close, 0)
            urls[fake.supplier] = f"http://127.0.0.1:{server.port}"
    return urls


def open_router(data_dir: Path, seed: int, rules: RoutingRules) -> Router:
    """What chooses suppliers, those dropped that there is evidence against."""
    standing = Standing(time.monotonic)
    load_dropped(data_dir / "evidence", standing)
    return Router(standing, Predictor(), random.Random(seed), rules)


@asynccontextmanager
async def a_gateway(
    data_dir: Path, *suppliers: FakeSupplier, cap: int = 10**9, seed: int = 1, url: str = "",
    flush_s: float = 0.02, timeouts: UpstreamTimeouts = TIMEOUTS,
    observe_all: Observe | None = None,
    through: ClientPool | None = None, terms: KeyTerms | None = None, clock: Clock = REAL,
    beat_s: float = 10.0, cors: Cors = NO_PAGES,
    edge: EdgeRules | None = None, audit_share: float = 0.0, rules: RoutingRules = RULES,
    waiting: WaitingRules = WAITING, traces: Traces = NO_TRACES,
) -> AsyncIterator[Gateway]:  # fmt: skip
    """Serve through these suppliers, in one session of theirs; `url` is where all already are.

    `observe_all` is told of every event, instead of `Gateway.events` keeping them.
    """
    async with AsyncExitStack() as stack:
        urls = await serve_suppliers(stack, suppliers, url)
        lines = Lines()
        stack.callback(lines.close)
        pool = await stack.enter_async_context(through or ClientPool(lines=lines))
        log, spool, outbox, ledger = await open_records(stack, data_dir, clock)
        worker = RecountWorker(60.0)
        stack.callback(worker.close)
        await worker.load(CountFiles(SERVICE, TOKENIZER, TEMPLATE))
        keys = KeyStore(stack.enter_context(Database(data_dir / "keys.db")))
        key, row = keys.create("test", APPLICATION, terms)
        router = open_router(data_dir, seed, rules)
        standing = router.standing
        events: list[Event] = []
        session = a_gateway_session([(fake, urls[fake.supplier]) for fake in suppliers], cap=cap)
        table = SessionTable()
        table.replace(7, [session], {MODEL: a_service()})
        accounts = Accounts(ledger.spending, clock.monotonic_ns)
        once = open_once(accounts, log, ledger, data_dir, clock)
        accounts.load(keys.list())
        history = History(now=clock.now)
        observe = fan_out((
            standing.observe, router.predictor.observe, ledger.observe, accounts.observe,
            history.observe, observe_all or events.append,
        ))  # fmt: skip
        signer = RelaySigner(DOMAIN, {GATEWAY_SIGNER.address: GATEWAY_SIGNER})
        settler = Settler(outbox, log, spool, worker, standing, observe, data_dir / "evidence")
        operators = {fake.supplier: frozenset({fake.signer.address}) for fake in suppliers}

        async def locate(supplier: Address, number: int) -> SupplierAddress:
            return SupplierAddress(urls[supplier], operators[supplier])

        deliverer = Deliverer(outbox, log, signer, pool, locate, standing, flush_s)
        upstream = Upstream(signer, pool, timeouts)
        dispatcher = Dispatcher(
            upstream, router, RetryBudget(time.monotonic), observe,
            fan_out((
                audited(upstream, standing, observe, settler, audit_share, seed), once.note,
            )),
            partial(renew, table), beat_s=beat_s,
        )  # fmt: skip
        relays = Relays(
            once.admission, table, dispatcher, RelayLimits(),
            lambda: settler.waiting, fan_out((ledger.record, history.record)),
            WaitingRoom(waiting), traces,
        )  # fmt: skip
        plane = DataPlane(
            relays, EdgePlane(relays, edge or EdgeRules()), history,
            SupplierView(standing, ledger, table, lines), once, cors,
        )  # fmt: skip
        limits = Limits(
            body_bytes_max=relays.limits.of_request.body_bytes_max, upgrade=DIAL_PROTOCOL
        )
        server = await serve(plane.handle, "127.0.0.1", 0, limits, refuse=plane.refuse)
        stack.push_async_callback(server.close, 1)
        tasks = [asyncio.create_task(each) for each in (settler.run(), deliverer.run())]
        try:
            yield Gateway(
                server, key, row.id, keys, accounts, table, list(suppliers), events, settler,
                deliverer, ledger, standing, once, data_dir, plane, lines,
            )  # fmt: skip
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await ledger.flush()
