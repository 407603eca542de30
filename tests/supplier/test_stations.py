"""Several engines behind one relay server, over real sockets: spread, stood in for, drained."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from node.http import Server, serve
from relay_mining import Status
from supplier.engines.capacity import Capacity, read_capacity
from supplier.mining.records import CorruptRecordError, Served, decode_record, encode_record
from supplier.server.gate import Post, compute_limit
from supplier.server.stations import Station
from supplier.settings import AdmissionSettings, EngineSettings
from tests.factories import a_hash, a_session
from tests.supplier.market import FakeEngine, RelayWorld, a_body, read_response, relay_world, until

pytestmark = pytest.mark.anyio

ONE = AdmissionSettings(active_max=1, active_min=1, wait_s_max=5.0)
PREEMPTS = Capacity(2, is_bound=True, preempts=True, takes_priorities=True)


@dataclass
class Two:
    """A relay server before two engines."""

    world: RelayWorld
    other: FakeEngine
    server: Server

    @property
    def stations(self) -> dict[str, Station]:
        return {each.name: each for each in self.world.relays.stations}

    def send(self, **body: Any) -> asyncio.Task[tuple[Status, int]]:
        """The status and the units of a relay, under way."""

        async def ask() -> tuple[Status, int]:
            data = a_body(**body)
            signed = self.world.sign(data, max_units=50_000)
            answer = await self.world.post(data, signed)
            found = read_response(signed, answer.headers.get(b"lode-response"), answer.body)
            return found.response.status, found.response.units

        return asyncio.create_task(ask())


@asynccontextmanager
async def two_engines(folder: Path, **options: Any) -> AsyncIterator[Two]:
    other = options.pop("other", None) or FakeEngine()
    server = await serve(other.handle)
    try:
        async with relay_world(folder, more_engines={"other": server.port}, **options) as world:
            yield Two(world, other, server)
    finally:
        await server.close(0)


def gated() -> FakeEngine:
    return FakeEngine(gate=asyncio.Event())


async def test_relays_go_where_the_least_work_is(tmp_path: Path) -> None:
    engine, other = gated(), gated()
    async with two_engines(tmp_path, engine=engine, other=other) as two:
        long = two.send(max_tokens=64)
        await until(lambda: len(engine.bodies) == 1)
        short = [two.send(max_tokens=4) for _ in range(5)]
        await until(lambda: len(engine.bodies) + len(other.bodies) == 6)
        # 5 prompt tokens and half of what is allowed, 4 units each: 69 < 6 * 13
        assert (len(engine.bodies), len(other.bodies)) == (1, 5)
        assert engine.gate is not None
        assert other.gate is not None
        engine.gate.set()
        other.gate.set()
        await asyncio.gather(long, *short)
        assert [(each.relays, each.units) for each in two.stations.values()] == [(0, 0), (0, 0)]


async def test_what_each_engine_served_is_known_after_a_restart_too(tmp_path: Path) -> None:
    engine = gated()
    async with two_engines(tmp_path, engine=engine) as two:
        first = two.send(max_tokens=64)
        await until(lambda: len(engine.bodies) == 1)
        _, other_units = await two.send(max_tokens=4)  # where less work is
        assert engine.gate is not None
        engine.gate.set()
        _, units = await first
        served = two.world.books.sessions[a_session().id].totals.engines
        assert served == {"engine": units, "other": other_units}
    async with relay_world(tmp_path) as world:
        assert world.books.sessions[a_session().id].totals.engines == served


def test_a_record_of_what_was_served_names_its_engine() -> None:
    record = Served(a_hash(1), a_hash(2), a_hash(3), 77, "left")
    data = encode_record(record)
    assert decode_record(data) == record
    assert decode_record(data[: -len("left")]) == replace(record, engine="")  # of earlier releases
    for bad in (data[:-5], data + b"x" * 61, data + b"\xff"):
        with pytest.raises(CorruptRecordError):
            decode_record(bad)


@pytest.mark.parametrize("fault", ["500", "gone"])
async def test_an_engine_that_fails_is_stood_in_for_and_the_client_sees_nothing(
    tmp_path: Path, fault: str
) -> None:
    engine = FakeEngine(fault=fault)
    async with two_engines(tmp_path, engine=engine) as two:
        if fault == "gone":
            two.stations["engine"].url = "http://127.0.0.1:1"
        for stream in (False, True):
            body = a_body(stream=stream)
            answer = await two.world.post(body, two.world.sign(body))
            assert (answer.status, b"error" in answer.body) == (200, False)

        assert len(two.other.bodies) == 2


async def test_a_stream_that_has_begun_is_broken_and_not_begun_again(tmp_path: Path) -> None:
    engine = FakeEngine(fault="dies")
    async with two_engines(tmp_path, engine=engine) as two:
        body = a_body(stream=True)
        answer = await two.world.post(body, two.world.sign(body))

        assert b"the engine failed" in answer.body
        assert two.other.bodies == []


async def test_where_both_fail_it_is_the_engine_s_fault_and_asked_once_each(tmp_path: Path) -> None:
    engine, other = FakeEngine(fault="500"), FakeEngine(fault="500")
    async with two_engines(tmp_path, engine=engine, other=other) as two:
        assert await two.send() == (Status.UPSTREAM_ERROR, 0)
        assert (len(engine.bodies), len(other.bodies)) == (1, 1)


async def test_an_engine_s_refusal_is_the_client_s_and_goes_nowhere_else(tmp_path: Path) -> None:
    engine = FakeEngine(fault="400")
    async with two_engines(tmp_path, engine=engine) as two:
        assert await two.send() == (Status.REFUSED, 0)
        assert two.other.bodies == []


async def test_a_drained_engine_ends_what_it_has_and_who_waits_goes_elsewhere(
    tmp_path: Path,
) -> None:
    engine, other = gated(), gated()
    async with two_engines(tmp_path, engine=engine, other=other, admission=ONE) as two:
        relays = [two.send() for _ in range(4)]
        await until(lambda: len(engine.bodies) + len(other.bodies) == 2)
        await until(lambda: all(each.relays == 2 for each in two.stations.values()))
        station = two.stations["engine"]
        draining = asyncio.create_task(station.drain(5.0))
        await until(lambda: two.stations["other"].relays == 3)
        assert (station.relays, draining.done()) == (1, False)
        assert engine.gate is not None
        assert other.gate is not None
        engine.gate.set()
        assert await draining == 0
        other.gate.set()
        assert {status for status, _ in await asyncio.gather(*relays)} == {Status.OK}
        assert (len(engine.bodies), len(other.bodies)) == (1, 3)
        await two.send()
        assert len(engine.bodies) == 1
        station.reopen()
        await two.send()
        assert len(engine.bodies) == 2


async def test_what_does_not_end_in_time_is_counted(tmp_path: Path) -> None:
    engine = gated()
    async with relay_world(tmp_path, engine=engine) as world:
        body = a_body()
        asking = asyncio.create_task(world.post(body, world.sign(body)))
        await until(lambda: len(engine.bodies) == 1)
        assert await world.station.drain(0.01) == 1
        assert (await world.post(body, world.sign(body))).status == 503
        assert engine.gate is not None
        engine.gate.set()
        assert (await asking).status == 200


async def test_who_waits_for_an_only_engine_that_dies_is_refused_unpaid(tmp_path: Path) -> None:
    engine = gated()
    async with relay_world(tmp_path, engine=engine, admission=ONE) as world:
        body = a_body()
        first, second = (world.sign(body) for _ in range(2))
        tasks = [asyncio.create_task(world.post(body, each)) for each in (first, second)]
        await until(lambda: world.station.relays == 2)
        world.station.move(None)
        answer = await tasks[1]
        response = read_response(second, answer.headers.get(b"lode-response"), answer.body)
        assert (answer.status, response.response.status) == (503, Status.REFUSED)
        assert engine.gate is not None
        engine.gate.set()
        await tasks[0]


@pytest.mark.parametrize(
    ("capacity", "active_max"),
    [(PREEMPTS, None), (Capacity(4, is_bound=False, preempts=False, takes_priorities=True), 2)],
    ids=["preempting", "with slots to spare"],
)
async def test_interactive_relays_pass_batch_ones_where_the_engine_lets_them(
    tmp_path: Path, capacity: Capacity, active_max: int | None
) -> None:
    engine, admission = gated(), AdmissionSettings(active_max=active_max)
    async with relay_world(
        tmp_path, engine=engine, capacity=capacity, admission=admission
    ) as world:

        def send(**more: Any) -> asyncio.Task[Any]:
            data = a_body(**more)
            return asyncio.create_task(world.post(data, world.sign(data)))

        tasks = [send(service_tier="batch") for _ in range(3)]
        await until(lambda: world.station.relays == 3 and len(engine.bodies) == 2)
        tasks += [send(priority=-5) for _ in range(3)]
        await until(lambda: world.station.relays == 6 and len(engine.bodies) == 4)
        assert [orjson.loads(each)["priority"] for each in engine.bodies] == [1, 1, 0, 0]
        assert engine.gate is not None
        engine.gate.set()
        assert {(await each).status for each in tasks} == {200}


async def test_an_engine_that_takes_no_priorities_gets_the_body_as_it_came(tmp_path: Path) -> None:
    async with relay_world(tmp_path) as world:
        body = a_body(priority=3, service_tier="flex")
        await world.post(body, world.sign(body))

        assert world.engine.bodies == [body]


@pytest.mark.parametrize(
    ("settings", "task", "expected"),
    [
        ({}, "generate", Capacity(16, True, True, True)),
        ({"arguments": ["--max-num-seqs", "4"]}, "generate", Capacity(4, True, True, True)),
        ({}, "embed", Capacity(16, True, False, False)),
        ({"kind": "vllm"}, "generate", Capacity(None, False, False, False)),
        (
            {"kind": "vllm", "arguments": ["--max-num-seqs=8", "--max-num-seqs=64"]},
            "generate", Capacity(64, False, False, False),
        ),
        (
            {"kind": "vllm", "arguments": ["--scheduling-policy", "priority"]},
            "generate", Capacity(None, False, False, True),
        ),
        ({"kind": "vllm", "arguments": ["--max-num-seqs"]}, "generate",
         Capacity(None, False, False, False)),
        ({"url": "http://127.0.0.1:1"}, "generate", Capacity(None, False, False, False)),
    ],
)  # fmt: skip
def test_what_an_engine_can_do_is_read_from_its_settings(
    settings: dict[str, Any], task: Any, expected: Capacity
) -> None:
    assert read_capacity(EngineSettings(**settings), task) == expected


@pytest.mark.parametrize(
    ("active_max", "slots", "is_bound", "expected"),
    [(None, 16, True, 16), (None, None, False, 256), (None, 64, False, 64), (8, 16, True, 8),
     (99, 16, True, 16), (99, 64, False, 99), (999, None, False, 256)],
)  # fmt: skip
def test_how_many_at_once_is_what_the_engine_has_slots_for(
    active_max: int | None, slots: int | None, is_bound: bool, expected: int
) -> None:
    post = Post("engine", Capacity(slots, is_bound, False, False), 256)

    assert compute_limit(AdmissionSettings(active_max=active_max), post).value == expected
