"""Two relay servers of one supplier over one PostgreSQL, killed and stopped under load.

At the end every receipt that was acknowledged and is payable is a leaf of exactly one claim, paid.
"""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import httpx
import orjson
import psycopg
import pytest

from contracts import ClaimAccepted, ClaimPaid, ClaimVoided, Market, decode_outcome
from localnet import LocalMarket, MarketPlan
from localnet.audit import Audit, SessionBooks, read_owed
from localnet.chain import free_port
from localnet.load import Load, Tally
from localnet.processes import Node, module, wait_until
from localnet.provision import MODEL, TOKEN, Terms
from localnet.steady import SteadyLoad
from relay_mining import Hash32
from supplier.mining.records import Closed, Opened, Receipted, decode_record
from tests.balancer import balanced
from tests.databases import Postgres, run_postgres

pytestmark = [pytest.mark.anvil, pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(580)]

log = logging.getLogger(__name__)

TERMS = Terms(session_blocks=30, seed_offset=4, cap=2 * TOKEN)
RATE = 4.0
"""Requests a second."""
HANDED_OVER_S_MAX = 10.0
"""A lease of 3 s, a third of it until the next look, and a machine that is busy."""
ARCHIVE = """
CREATE TABLE archive (id bigint, session bytea, payload bytea);
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO archive VALUES (NEW.id, NEW.session, NEW.payload); RETURN NEW; END $$;
CREATE TRIGGER keep AFTER INSERT ON relay_record FOR EACH ROW EXECUTE FUNCTION keep();
"""
"""What is written to the log, however soon it is deleted."""


@dataclass
class RelayServer:
    """One process, at a place of its own."""

    node: Node
    port: int

    def health(self) -> dict[str, object]:
        """Its health page; empty while it does not answer."""
        try:
            page = httpx.get(f"http://127.0.0.1:{self.port}/lode/v1/health", timeout=2.0)
        except httpx.HTTPError:
            return {}
        found: dict[str, object] = page.json()
        return found

    @property
    def settles(self) -> bool:
        return self.health().get("settles") is True

    @property
    def serves(self) -> bool:
        page = httpx.get(f"http://127.0.0.1:{self.port}/metrics", timeout=5.0).text
        return "supplier_gateways_served 1.0" in page.splitlines()

    def start(self) -> None:
        self.node.start_again()
        self.node.wait_ready(lambda: self.health().get("status") == "ok", 120.0)

    def send(self, number: signal.Signals) -> None:
        os.killpg(self.node.process.pid, number)


@dataclass
class World:
    """A market whose one supplier is two relay servers."""

    market: LocalMarket
    url: str
    servers: list[RelayServer]
    tally: Tally

    def the_one(self, is_it: Callable[[RelayServer], bool]) -> RelayServer:
        (found,) = [each for each in self.servers if is_it(each)]
        return found


@contextmanager
def world(postgres: Postgres, dials: bool) -> Iterator[World]:
    """The market, its relay servers behind a balancer or dialling the gateway."""
    with ExitStack() as stack:
        plan = MarketPlan(suppliers=1, dialling=int(dials), terms=TERMS)
        market = stack.enter_context(LocalMarket.start(plan))
        supplier = market.suppliers[0]
        supplier.node.stop()
        url = postgres.create()
        argv = module("supplier", "engine", "--config", str(supplier.config))
        engine = Node.start("engine", argv, market.folder)
        stack.callback(engine.stop)
        engine.wait_ready(lambda: b"port" in engine.log.read_bytes(), 60.0)
        engine_port = orjson.loads(engine.log.read_bytes().splitlines()[0])["port"]
        servers = []
        for name in "ab":
            server = a_relay_server(market, name, url, f"http://127.0.0.1:{engine_port}")
            stack.callback(server.node.stop)
            servers.append(server)
            server.start()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(ARCHIVE)
        if not dials:
            port = int(supplier.url.rsplit(":", 1)[1])
            stack.enter_context(balanced(port, [each.port for each in servers]))
        yield World(market, url, servers, Tally())


def a_relay_server(market: LocalMarket, name: str, url: str, engine_url: str) -> RelayServer:
    """A server of the market's supplier that is not started yet."""
    supplier, port = market.suppliers[0], free_port()
    argv = module("supplier", "serve", "--config", str(supplier.config))
    node = Node(name, market.folder / f"{name}.log", tuple(argv), supplier.node.process)
    node.environment = {
        "SUPPLIER_SERVER__PORT": str(port),
        "SUPPLIER_SERVER__METRICS_PORT": "0",
        "SUPPLIER_DATA_DIR": str(market.folder / name),
        "SUPPLIER_ENGINE__URL": engine_url,
        "SUPPLIER_SHARED__DATABASE_URL": url,
        "SUPPLIER_SHARED__URL": f"http://127.0.0.1:{port}",
    }
    return RelayServer(node, port)


async def under_load(running: World, deeds: Callable[[], None]) -> None:
    """Send requests while something is done to the servers."""
    load = Load(running.market.base_url, running.market.api_key, MODEL, max_tokens=16)
    steady, stop = SteadyLoad(load, RATE, running.tally), asyncio.Event()
    loading = asyncio.create_task(steady.run(stop, log.info))
    try:
        await asyncio.to_thread(deeds)
    finally:
        stop.set()
        await loading


def served(running: World) -> int:
    """Requests with a whole answer."""
    return sum(n for name, n in running.tally.outcomes.items() if not name.startswith("failed"))


def wait_for_answers(running: World, more: int) -> None:
    before = served(running)
    wait_until(lambda: served(running) >= before + more, f"{more} more answers", 90.0)


@pytest.mark.parametrize("dials", [False, True], ids=["listening", "dialling"])
def test_what_is_acknowledged_is_claimed_once_whatever_dies(dials: bool) -> None:
    with run_postgres() as postgres, world(postgres, dials) as running:
        wait_until(lambda: any(each.settles for each in running.servers), "nobody settles", 20.0)

        def deeds() -> None:
            wait_for_answers(running, 20)
            wait_until(lambda: any(each.serves for each in running.servers), "nobody serves", 20.0)
            owner = running.the_one(lambda each: each.serves)
            other = running.the_one(lambda each: each is not owner)
            assert owner.settles == dials  # who dials first is also there first
            owner.node.kill()
            began = time.monotonic()
            wait_for_answers(running, 10)
            took = time.monotonic() - began
            log.info("10 answers %.1f s after the server of their gateway was killed", took)
            wait_until(lambda: other.serves, "nobody serves the gateway", 20.0)
            owner.start()

            wait_for_answers(running, 20)
            other.send(signal.SIGSTOP)
            began = time.monotonic()
            wait_until(lambda: owner.settles, "nobody settles", HANDED_OVER_S_MAX)
            log.info("settlement handed over in %.1f s", time.monotonic() - began)
            wait_for_answers(running, 10)
            other.send(signal.SIGCONT)
            wait_until(lambda: not other.node.is_alive(), "a fenced server goes on", 60.0)
            assert b"others serve its gateways" in other.node.log.read_bytes()
            other.start()
            assert owner.settles
            assert not other.settles

            wait_for_answers(running, 20)
            owner.node.kill()
            began = time.monotonic()
            wait_until(lambda: other.settles, "nobody settles", HANDED_OVER_S_MAX)
            log.info("settlement handed over in %.1f s", time.monotonic() - began)
            postgres.kill()
            postgres.start()
            wait_for_answers(running, 20)
            owner.start()

        asyncio.run(under_load(running, deeds))
        log.info("%s", dict(running.tally.outcomes))
        assert_books_balance(running)


def assert_books_balance(running: World) -> None:
    """Every receipt is accounted for, by the gateway's log, the suppliers', and the chain."""
    market = running.market
    settle(market)
    market.gateway.stop()
    claims = asyncio.run(read_claims(market))
    sessions = read_archive(running.url)
    owed = asyncio.run(read_owed(market.folder / "gateway" / "receipts"))
    supplier = market.suppliers[0].supplier
    domain = asyncio.run(read_domain(market))
    audit = Audit(domain, owed, claims).check("a and b", supplier, sessions)
    log.info("%s", audit)
    assert audit.breaches == []
    assert audit.lost == 0
    assert audit.owed > 60
    assert audit.claimed == audit.payable > 0
    assert {each.end for each in sessions.values()} <= {"settled", "no payable relay"}


def settle(market: LocalMarket) -> None:
    """Wait until the last session with relays is proved and paid."""

    async def end() -> int:
        async with await Market.connect([market.chain.url], market.book) as chain:
            clock = await chain.sessions.clock()
            return clock.start(clock.session_at(market.chain.height()) + 3) + 3

    last = asyncio.run(end())
    wait_until(lambda: market.chain.height() >= last, "the last window is open", 240.0, 0.5)


async def read_claims(market: LocalMarket) -> dict[tuple[bytes, Hash32], list[object]]:
    """Accepted claims by supplier and session; all were paid, none voided."""
    found: dict[tuple[bytes, Hash32], list[object]] = {}
    paid: set[Hash32] = set()
    async with await Market.connect([market.chain.url], market.book) as chain:
        events = chain.events(confirmations=0)
        while await events.is_behind():
            for each in map(decode_outcome, (await events.read()).events):
                assert not isinstance(each, ClaimVoided)
                if isinstance(each, ClaimAccepted):
                    claim = each.claim
                    found.setdefault((claim.supplier, claim.session.id), []).append(claim)
                if isinstance(each, ClaimPaid):
                    paid.add(each.claim_id)
    assert {claim.id for claims in found.values() for claim in claims} == paid
    return found


async def read_domain(market: LocalMarket) -> object:
    async with await Market.connect([market.chain.url], market.book) as chain:
        return chain.domain


def read_archive(url: str) -> dict[Hash32, SessionBooks]:
    """All that was ever in the shared log."""
    sessions: dict[Hash32, SessionBooks] = {}
    with psycopg.connect(url) as connection:
        for (payload,) in connection.execute("SELECT payload FROM archive ORDER BY id"):
            match decode_record(bytes(payload)):
                case Opened(facts, salt):
                    sessions.setdefault(facts.key.id, SessionBooks(facts, salt)).facts = facts
                case Receipted(session_id, request_hash, response_hash) as record:
                    sessions[session_id].receipts.setdefault((request_hash, response_hash), record)
                case Closed(session_id, reason):
                    sessions[session_id].end = reason
    return sessions
