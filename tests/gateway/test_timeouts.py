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


def test_a_plain_answer_is_whole_by_when_its_first_byte_is_due() -> None:
    relay = a_relay(b"x", 400, is_stream=False)
    whole = 60 + len(relay.body) / 1000 + 40

    assert SCALED.of(relay) == Timeout(1, whole, 30, whole)


def test_without_speeds_nothing_grows() -> None:
    fixed = UpstreamTimeouts()
    stream, plain = (a_relay(b"x" * 20_000, 400, is_stream=each) for each in (True, False))

    assert fixed.of(stream) == Timeout(fixed.connect, fixed.first_byte, fixed.stall, fixed.total)
    assert fixed.of(plain).total == fixed.first_byte


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


DRIPPED = {
    "head": (b"HTTP/1.1 200 OK\r\nx: ", b"y"),
    "interim answers": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "body": (b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n", b" "),
}


class Dripping(FakeSupplier):
    """A supplier that is never silent and never done: what it begins with, and goes on with."""

    async def relay(self, request: Request) -> Response | StreamWriter:
        self.served += 1
        first, drop = DRIPPED[self.lie]
        transport = request._connection.transport
        transport.write(first)
        while not request.disconnected.done():
            transport.write(drop)
            await asyncio.wait({request.disconnected}, timeout=0.1)
        return Response(500)


@pytest.mark.anyio
@pytest.mark.parametrize("what", DRIPPED)
async def test_who_drips_an_answer_is_left_for_another_supplier(tmp_path: Path, what: str) -> None:
    bad, good = Dripping("bad", what), FakeSupplier("good")
    async with a_gateway(tmp_path, bad, good) as gateway, gateway.client() as client:
        while not bad.served:
            gateway.standing.states.clear()
            async with asyncio.timeout(TIMEOUTS.total / 2):
                answer = await client.chat.completions.create(
                    model=MODEL, messages=[{"role": "user", "content": "hi"}]
                )
            assert answer.choices[0].message.content == "Hello, world"
        assert gateway.results[-2:] == ["timeout", "ok"]
