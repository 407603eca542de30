"""Spans of a request and its tries, as a collector sees them: names, counts and outcomes."""

import asyncio
from pathlib import Path

import openai
import pytest

from node.traces import TelemetrySettings, open_traces
from tests.collector import Collector, collecting
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, a_gateway

pytestmark = pytest.mark.anyio
HI = [{"role": "user", "content": "a secret prompt"}]
TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = f"00-{TRACE}-b7ad6b7169203331-01"


async def ask(
    folder: Path, collector: Collector, *fakes: FakeSupplier, stream: bool = False, seed: int = 1
) -> None:
    """One request, until an honest supplier has answered, and all spans sent."""
    traces = open_traces(TelemetrySettings(otlp_endpoint=collector.url), "gateway")
    try:
        async with a_gateway(folder, *fakes, traces=traces, seed=seed) as gateway:
            async with gateway.client() as client:
                answer = await client.chat.completions.create(
                    model=MODEL, messages=HI, stream=stream, max_tokens=50,
                    extra_headers={"traceparent": CALLER},
                )  # fmt: skip
                if stream:
                    assert [chunk async for chunk in answer]
            await gateway.settled()
    finally:
        await asyncio.to_thread(traces.close)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_is_part_of_its_client_s_trace(tmp_path: Path, stream: bool) -> None:
    fake = FakeSupplier("one")
    async with collecting() as collector:
        await ask(tmp_path, collector, fake, stream=stream)
        (request,) = [each for each in collector.spans if each.kind == "server"]
        (attempt,) = [each for each in collector.spans if each.kind == "client"]

    assert request.name == attempt.name == f"chat {MODEL}"
    assert (request.trace, request.parent) == (TRACE, CALLER.split("-")[2])
    assert (attempt.trace, attempt.parent) == (TRACE, request.id)
    assert request.attributes["gen_ai.operation.name"] == "chat"
    assert request.attributes["gen_ai.request.max_tokens"] == 50
    assert request.attributes["lode.request.id"].startswith("req_")
    assert attempt.attributes["gen_ai.usage.input_tokens"] > 0
    assert attempt.attributes["gen_ai.usage.output_tokens"] == 12
    assert attempt.attributes["lode.supplier"] == "0x" + fake.supplier.hex()
    assert attempt.attributes["lode.result"] == "ok"
    assert not request.failed
    assert not attempt.failed
    assert ("gen_ai.response.time_to_first_chunk" in attempt.attributes) == stream
    (sent,) = fake.headers
    assert sent[b"traceparent"] == f"00-{TRACE}-{attempt.id}-01".encode()
    assert b"secret prompt" not in b"".join(collector.bodies)


async def test_a_try_that_fails_is_a_failed_span_beside_the_one_that_answers(
    tmp_path: Path,
) -> None:
    bad, good = FakeSupplier("bad", "500"), FakeSupplier("good")
    async with collecting() as collector:
        while not bad.served:
            collector.spans.clear()
            seed = good.served
            await ask(tmp_path / str(seed), collector, bad, good, seed=seed)
        tries = [each for each in collector.spans if each.kind == "client"]

    assert sorted(each.failed for each in tries) == [False, True]
    (failed,) = [each for each in tries if each.failed]
    assert failed.attributes["error.type"] == "broken"
    assert len({each.parent for each in tries}) == 1


async def test_a_request_that_nobody_answers_is_a_failed_span(tmp_path: Path) -> None:
    async with collecting() as collector:
        with pytest.raises(openai.InternalServerError):
            await ask(tmp_path, collector, FakeSupplier("bad", "500"))
        (request,) = [each for each in collector.spans if each.kind == "server"]

    assert request.failed
    assert request.attributes["error.type"] == "UpstreamBrokenError"
