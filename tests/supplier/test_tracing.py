"""What a relay leaves at a real collector, and what it must not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from node.http import serve
from node.traces import TelemetrySettings, open_traces
from relay_mining import Status
from tests.collector import Collector, collecting
from tests.factories import SERVICE, WEIGHTS
from tests.supplier.market import CHAT, FakeEngine, RelayWorld, a_body, relay_world

pytestmark = pytest.mark.anyio

CALLER = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECRET = "a-prompt-that-nobody-may-see"


@asynccontextmanager
async def traced(
    folder: Path, engine: FakeEngine, **more_engines: int
) -> AsyncIterator[tuple[RelayWorld, Collector]]:
    async with collecting() as collector:
        traces = open_traces(TelemetrySettings(otlp_endpoint=collector.url), "lode-supplier")
        async with relay_world(
            folder, engine=engine, traces=traces, more_engines=more_engines
        ) as world:
            for station in world.relays.stations:
                station.model = "demo"
            yield world, collector
        await asyncio.to_thread(traces.close)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_relay_is_one_trace_with_its_parts_and_its_counts(
    tmp_path: Path, stream: bool
) -> None:
    engine = FakeEngine(cached=2)
    async with traced(tmp_path, engine) as (world, collector):
        body = a_body(
            stream=stream, messages=[{"role": "user", "content": SECRET}], service_tier="flex"
        )
        signed = world.sign(body)
        await world.post(body, signed, CHAT, (b"traceparent", CALLER))

    relay, queue, call = (collector.named(each) for each in ("relay", "queue", "chat demo"))
    assert {each.trace for each in (relay, queue, call)} == {CALLER[3:35].decode()}
    assert (relay.parent, queue.parent, call.parent) == (CALLER[36:52].decode(), relay.id, relay.id)
    assert (relay.kind, queue.kind, call.kind) == ("server", "internal", "client")
    sent = engine.traceparents[0]
    assert sent is not None
    assert sent[36:52].decode() == call.id
    cached = 2 if stream else 0
    assert call.attributes == {
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "demo", "lode.engine": "engine",
        "gen_ai.usage.input_tokens": 5, "gen_ai.usage.cache_read.input_tokens": cached,
        "gen_ai.usage.output_tokens": 4,
    }  # fmt: skip
    assert relay.attributes == {
        **{name: value for name, value in call.attributes.items() if name != "lode.engine"},
        "lode.session": 7, "lode.service": "0x" + SERVICE.hex(), "lode.priority": "batch",
        "lode.status": "ok", "lode.units": WEIGHTS.units(5, cached, 4),
    }  # fmt: skip
    assert not any(each.failed for each in collector.spans)
    assert SECRET.encode() not in b"".join(collector.bodies)
    assert signed.signature not in b"".join(collector.bodies)


async def test_each_engine_that_was_asked_is_there_and_the_broken_one_says_so(
    tmp_path: Path,
) -> None:
    other = FakeEngine()
    server = await serve(other.handle)
    engine = FakeEngine(fault="garbage")
    async with traced(tmp_path, engine, other=server.port) as (world, collector):
        first = next(iter(world.relays.stations))
        first.url = "http://127.0.0.1:1"
        body = a_body()
        answer = await world.post(body, world.sign(body))
        assert answer.status == 200
    await server.close(0)

    calls = [each for each in collector.spans if each.name == "chat demo"]
    assert [(each.failed, each.attributes["lode.engine"]) for each in calls] == [
        (True, "engine"), (False, "other"),
    ]  # fmt: skip
    assert calls[0].attributes["error.type"] == "ConnectFailed"
    assert len([each for each in collector.spans if each.name == "queue"]) == 2
    assert not collector.named("relay").failed


async def test_a_relay_that_fails_is_failed_by_its_status(tmp_path: Path) -> None:
    async with traced(tmp_path, FakeEngine(fault="500")) as (world, collector):
        body = a_body()
        assert (await world.post(body, world.sign(body))).status >= 500

    relay = collector.named("relay")
    status = Status.UPSTREAM_ERROR.name.lower()
    assert (relay.failed, relay.attributes["error.type"]) == (True, status)


async def test_without_a_collector_the_engine_is_told_nothing(tmp_path: Path) -> None:
    async with relay_world(tmp_path) as world:
        body = a_body()
        await world.post(body, world.sign(body), CHAT, (b"traceparent", CALLER))

        assert world.engine.traceparents == [None]
