"""Relays a second and processor time a relay, of one relay server and of two over one PostgreSQL.

Each relay server is a process with an engine of its own, in another process, that answers after a
fixed time and works on so many requests at once: what bounds the rate is the engine. In the last
line the engine answers at once, and what bounds it is the relay server and this load. Each gateway
keeps twice as many requests under way, receipts every answer in batches, and follows where it is
misdirected. The PostgreSQL runs here too; its processor time is of itself and its children.

Run: python -m benchmarks.bench_relay_servers
"""

import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import orjson

from benchmarks.measuring import descendants, processor_s
from node.http import ClientPool, ClientResponse, Handler, Request, Response, run, serve
from relay_mining import Receipt, SessionKey, SignedRequest
from supplier.server.accounts import CreditPolicy
from tests.databases import Postgres, run_postgres
from tests.factories import a_session
from tests.supplier.market import (
    CREDIT,
    FakeMarket,
    RelayWorld,
    a_body,
    read_response,
    relay_world,
)
from tests.supplier.sharing import a_server

SLOTS = 8
LATENCY_S = 0.1
SECONDS = 10.0
WARM_S = 2.0
BATCH = 32
ANSWER = orjson.dumps(
    {
        "choices": [{"index": 0, "message": {"content": "x" * 64}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 4},
    }
)
LAVISH = CreditPolicy(10**12, CREDIT.growth, 10**13, receipt_due_s=30.0)


def bound_engine(latency_s: float) -> Handler:
    """An engine that takes `SLOTS` requests at once, each for so long; any number, for 0."""
    places = asyncio.Semaphore(SLOTS)

    async def handle(request: Request) -> Response:
        if latency_s:
            async with places:
                await asyncio.sleep(latency_s)
        return Response(200, ANSWER)

    return handle


def run_engine(pipe: Connection, latency_s: float = 0.0) -> None:
    """An engine in this process, until the other end is closed."""

    async def work() -> None:
        server = await serve(bound_engine(latency_s))
        pipe.send(server.port)
        await asyncio.to_thread(pipe.poll, None)
        await server.close(0)

    run(work())


def run_relay_server(pipe: Connection, engine_port: int, database_url: str, name: str) -> None:
    """A relay server in this process; without a database, on a disk of its own."""

    async def work() -> None:
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            shared = None
            if database_url:
                shared = await stack.enter_async_context(a_server(database_url, name))
            market = FakeMarket(cap=10**24)
            world = await stack.enter_async_context(
                relay_world(
                    folder, market=market, credit=LAVISH, shared=shared, relays_open_max=256
                )
            )
            world.station.move(f"http://127.0.0.1:{engine_port}")
            beating = asyncio.create_task(shared.membership.run()) if shared else None
            pipe.send(world.url)
            await asyncio.to_thread(pipe.poll, None)
            if beating is not None:
                beating.cancel()

    run(work())


@contextmanager
def started(target: Callable[..., None], *arguments: object) -> Iterator[tuple[int, object]]:
    """A process's id and what it says first; it ends with the block."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=target, args=(there, *arguments), daemon=True)
    process.start()
    assert process.pid is not None
    try:
        yield process.pid, here.recv()
    finally:
        here.send(None)
        process.join(10)


class Gateway:
    """One gateway: a closed loop of relays, receipted in batches."""

    def __init__(self, key: SessionKey, pool: ClientPool, urls: Sequence[str]) -> None:
        self._worlds = [RelayWorld(url, pool, *(None,) * 6) for url in urls]  # type: ignore[arg-type]
        self._key = key
        self._owed: list[tuple[SessionKey, Receipt]] = []
        self.relays = 0

    async def find(self) -> None:
        """Find the server of this gateway, as one that is misdirected does."""
        for world in self._worlds:
            _, answer = await self._ask(world)
            if answer.status == 200:
                self._worlds = [world]
                return
        raise RuntimeError(f"no relay server serves this gateway: {answer.body!r}")

    async def work(self, until: float) -> None:
        """Send relays until a time, one after another."""
        (world,) = self._worlds
        while time.monotonic() < until:
            signed, answer = await self._ask(world)
            assert answer.status == 200, answer.body
            header = answer.headers.get(b"lode-response")
            response = read_response(signed, header, answer.body)
            self.relays += 1
            self._owed.append(world.receipt(signed, response))
            if len(self._owed) == BATCH:
                batch, self._owed = self._owed, []
                assert (await world.deliver(*batch)).status == 200

    async def _ask(self, world: RelayWorld) -> tuple[SignedRequest, ClientResponse]:
        body = a_body()
        signed = world.sign(body, session=self._key)
        return signed, await world.post(body, signed)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    name: str
    relays_s: float
    server_us: float
    """Processor microseconds of the relay servers for each relay."""
    database_us: float

    def __str__(self) -> str:
        return (
            f"{self.name:<34} {self.relays_s:8.1f} relays/s   {self.server_us:7.0f} us a relay"
            f"   {self.database_us:7.0f} us of PostgreSQL"
        )


async def drive(urls: Sequence[str], pids: Sequence[int], database: Postgres | None) -> list[float]:
    """Relays, seconds, and processor seconds of servers and database while relays are sent."""
    async with ClientPool() as pool:
        gateways = [
            Gateway(replace(a_session(), gateway=bytes([at + 1]) * 20), pool, urls)
            for at in range(len(urls))
        ]
        for each in gateways:
            await each.find()

        def spent() -> list[float]:
            of_database = 0.0
            if database is not None:
                of_database = processor_s(descendants(database.node.process.pid))
            return [processor_s(pids), of_database]

        await send(gateways, WARM_S)
        sent, began, before = sum(each.relays for each in gateways), time.monotonic(), spent()
        await send(gateways, SECONDS)
        relays = sum(each.relays for each in gateways) - sent
        after = spent()
        return [relays, time.monotonic() - began, after[0] - before[0], after[1] - before[1]]


async def send(gateways: Sequence[Gateway], seconds: float) -> None:
    """Keep twice as many relays under way at each server as its engine works on."""
    until = time.monotonic() + seconds
    await asyncio.gather(*(each.work(until) for each in gateways for _ in range(2 * SLOTS)))


def measure(
    name: str, servers: int, database: Postgres | None, latency_s: float = LATENCY_S
) -> Row:
    """One line: so many relay servers, each with an engine."""
    url = database.create() if database is not None else ""
    with ExitStack() as stack:
        pids, urls = [], []
        for at in range(servers):
            _, port = stack.enter_context(started(run_engine, latency_s))
            pid, place = stack.enter_context(started(run_relay_server, port, url, f"server-{at}"))
            pids.append(pid)
            urls.append(str(place))
        relays, seconds, of_servers, of_database = run(drive(urls, pids, database))
        return Row(name, relays / seconds, 1e6 * of_servers / relays, 1e6 * of_database / relays)


def main() -> None:
    """Print the table."""
    print(f"engines of {SLOTS} slots and {1000 * LATENCY_S:.0f} ms: {SLOTS / LATENCY_S:.0f}/s each")
    print(measure("one server, its own disk", 1, None))
    with run_postgres() as database:
        print(measure("one server over PostgreSQL", 1, database))
        print(measure("two servers over one PostgreSQL", 2, database))
    print(measure("one server, an engine without delay", 1, None, 0.0))


if __name__ == "__main__":
    main()
