"""Time-outs grow with what is asked: with the request's length, and with the answer's."""

import asyncio
from dataclasses import replace
from pathlib import Path

import openai
import pytest

from gateway.api.body import RequestLimits
from gateway.api.openai import Endpoint, read_request
from gateway.routing.relay import Relay
from gateway.routing.upstream import UpstreamTimeouts
from node.http import Request, Response, StreamWriter, Timeout
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, TIMEOUTS, a_gateway, a_gateway_session

SCALED = UpstreamTimeouts(
    connect=1, first_byte=60, stall=30, total=600, prompt_bytes_per_s=1000, answer_tokens_per_s=10
)


def a_relay(text: bytes, output_tokens: int, *, is_stream: bool) -> Relay:
    stream = b"true" if is_stream else b"false"
    head = b'{"model":"tiny","stream":%b,"messages":[{"role":"user","content":"' % stream
    body = head + text + b'"}]}'
    request = read_request(Endpoint.CHAT, body, RequestLimits())
    session = a_gateway_session([(FakeSupplier("one"), "")])
    return Relay(
        bytes(16), session, request, "k", body, 1, 1, 1, output_tokens=output_tokens
    )  # fmt: skip


def test_a_stream_s_first_byte_waits_for_its_prompt_and_its_end_for_its_answer() -> None:
    relay = a_relay(b"x" * 20_000, 400, is_stream=True)
    reading = len(relay.body) / 1000

    assert SCALED.of(relay) == Timeout(1, 60 + reading, 30, 600 + reading + 40)


def test_a_plain_answer_is_written_before_its_first_byte() -> None:
    relay = a_relay(b"x", 400, is_stream=False)
    reading = len(relay.body) / 1000

    assert SCALED.of(relay) == Timeout(1, 60 + reading + 40, 30, 600 + reading + 40)


def test_without_speeds_nothing_grows() -> None:
    plain = UpstreamTimeouts()
    relay = a_relay(b"x" * 20_000, 400, is_stream=False)

    assert plain.of(relay) == Timeout(plain.connect, plain.first_byte, plain.stall, plain.total)


@pytest.mark.anyio
@pytest.mark.parametrize(("max_tokens", "kind"), [(1, "upstream_timeout"), (400, None)])
async def test_a_slow_answer_is_waited_for_where_it_may_be_long(
    tmp_path: Path, max_tokens: int, kind: str | None
) -> None:
    """A supplier of 0.3 s; a tenth of a second, and a hundredth for each token allowed."""

    class Slow(FakeSupplier):
        async def relay(self, request: Request) -> Response | StreamWriter:
            await asyncio.wait({request.disconnected}, timeout=0.3)
            return await super().relay(request)

    timeouts = replace(TIMEOUTS, first_byte=0.1, answer_tokens_per_s=100)
    async with (
        a_gateway(tmp_path, Slow("one"), timeouts=timeouts) as gateway,
        gateway.client() as client,
    ):
        asked = client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "hi"}], max_tokens=max_tokens
        )
        if kind is None:
            assert (await asked).choices[0].message.content == "Hello, world"
            return
        with pytest.raises(openai.InternalServerError) as caught:
            await asked
        assert caught.value.code == kind
