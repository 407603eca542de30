"""Spans reach a real collector off the request path, and cost nothing where there is none."""

import asyncio
import subprocess
import sys

import pytest

from node.errors import OperatorError
from node.traces import NO_SPAN, NO_TRACES, Kind, TelemetrySettings, open_traces
from tests.collector import collecting
from tests.node.loops import on_loops

CALLER = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


@on_loops
async def test_a_call_is_one_trace_across_two_processes() -> None:
    async with collecting() as collector:
        ours = open_traces(TelemetrySettings(otlp_endpoint=collector.url), "gateway")
        theirs = open_traces(TelemetrySettings(otlp_endpoint=collector.url + "/"), "supplier")
        with (
            ours.begin("chat", Kind.SERVER) as request,
            request.child("relay", Kind.CLIENT) as call,
        ):
            ((_, sent),) = call.headers
            with theirs.begin("relay", Kind.SERVER, sent) as served:
                served.set({"gen_ai.usage.output_tokens": 7})
        for traces in (ours, theirs):
            await asyncio.to_thread(traces.close)

        assert len(collector.spans) == 3
        assert len({each.trace for each in collector.spans}) == 1
        request = collector.named("chat")
        (call_seen,) = [each for each in collector.spans if each.kind == "client"]
        (serving,) = [each for each in collector.spans if each.service == "supplier"]
        assert (request.parent, call_seen.parent, serving.parent) == ("", request.id, call_seen.id)
        assert serving.attributes == {"gen_ai.usage.output_tokens": 7}


@on_loops
async def test_an_exception_fails_its_span_by_its_class_and_nothing_of_its_text() -> None:
    async with collecting() as collector:
        traces = open_traces(TelemetrySettings(otlp_endpoint=collector.url), "node")
        with pytest.raises(ValueError, match="the prompt"), traces.begin("work", Kind.INTERNAL):
            raise ValueError("the prompt said so")
        await asyncio.to_thread(traces.close)

        seen = collector.named("work")
        assert (seen.failed, seen.attributes) == (True, {"error.type": "ValueError"})
        assert b"prompt" not in b"".join(collector.bodies)


@pytest.mark.parametrize(
    ("share", "sent"),
    [
        (1.0, CALLER),
        (1.0, None),
        (1.0, b"00-zz-b7-01"),
        (1.0, b"\xff" * 300),
        (0.0, CALLER[:-1] + b"1"),
    ],
)
def test_the_node_decides_what_is_recorded_whatever_the_caller_says(
    share: float, sent: bytes | None
) -> None:
    settings = TelemetrySettings(otlp_endpoint="http://127.0.0.1:9", sampled_share=share)
    traces = open_traces(settings, "node")
    span = traces.begin("work", Kind.SERVER, sent)

    assert span.is_recorded is (share > 0)
    ((name, value),) = span.headers
    is_sampled = int(value[-2:], 16) & 1
    assert (name, is_sampled) == (b"traceparent", int(share > 0))
    assert (value[3:35] == CALLER[3:35]) is (sent is not None and sent[:35] == CALLER[:35])


@on_loops
async def test_a_collector_that_is_gone_delays_nobody_for_long() -> None:
    traces = open_traces(TelemetrySettings(otlp_endpoint="http://127.0.0.1:9"), "node")
    for _ in range(10_000):  # more than the queue holds
        traces.begin("work", Kind.INTERNAL).end()
    async with asyncio.timeout(20):  # left to itself, the SDK waits for half a minute
        await asyncio.to_thread(traces.close)


def test_without_a_collector_nothing_is_recorded_and_nothing_imported() -> None:
    assert open_traces(TelemetrySettings(), "node") is NO_TRACES
    assert NO_TRACES.begin("work", Kind.SERVER, CALLER) is NO_SPAN
    assert NO_SPAN.child("part") is NO_SPAN
    assert (NO_SPAN.headers, NO_SPAN.is_recorded) == ((), False)
    code = (
        "import sys; from node.traces import *; open_traces(TelemetrySettings(), 'n'); "
        "sys.exit(any('opentelemetry' in each for each in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_the_extra_the_operator_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "node.otlp", None)

    with pytest.raises(OperatorError, match=r"pip install 'lode\[traces\]'"):
        open_traces(TelemetrySettings(otlp_endpoint="http://127.0.0.1:4318"), "node")
