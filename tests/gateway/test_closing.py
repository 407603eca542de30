"""A gateway that is told to end: what still runs when its time is over ends in the open."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import openai
import orjson
import pytest

from gateway.app import finish_relays
from gateway.routing.costs import cost_of
from tests.factories import WEIGHTS
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, Gateway, a_gateway
from tests.gateway.test_leaving import HI, SENT, until, waiting
from tests.supplier.market import PROMPT_TOKENS

pytestmark = pytest.mark.anyio
DRAIN_S = 0.1


def close(gateway: Gateway, drain_s: float = DRAIN_S) -> asyncio.Task[None]:
    """What SIGTERM begins."""
    dispatcher = gateway.plane.relays.dispatcher
    return asyncio.create_task(finish_relays(dispatcher, gateway.server, drain_s))


async def read_while_it_closes(gateway: Gateway, events: int) -> bytes:
    """A whole stream, in which the gateway is told to end after some events."""
    body = {"model": MODEL, "messages": HI, "stream": True, "max_tokens": 64}
    headers = {"authorization": f"Bearer {gateway.key}"}
    url, got, closing = gateway.url + "/v1/chat/completions", b"", None
    async with (
        httpx.AsyncClient() as client,
        client.stream("POST", url, json=body, headers=headers) as answer,
    ):
        async for chunk in answer.aiter_raw():
            got += chunk
            if closing is None and got.count(b"data:") >= events:
                closing = close(gateway)
    assert closing is not None
    await closing
    return got


def end_of(stream: bytes) -> dict[str, Any]:
    """The event that a broken stream ends with."""
    *_, last, rest = stream.split(b"\n\n")
    assert rest == b""
    event: dict[str, Any] = orjson.loads(last.removeprefix(b"data: "))
    return event


async def test_a_stream_that_does_not_end_in_time_says_so_and_what_of_it_is_charged(
    tmp_path: Path,
) -> None:
    async with waiting(tmp_path, "mid-stream") as (gateway, engine):
        event = end_of(await read_while_it_closes(gateway, SENT))
        await gateway.settled()

        units = WEIGHTS.units(PROMPT_TOKENS, 0, SENT)
        assert event["error"]["code"] == "gateway_closing"
        assert event["usage"] == {
            "prompt_tokens": PROMPT_TOKENS, "completion_tokens": SENT,
            "total_tokens": PROMPT_TOKENS + SENT, "cost": cost_of(units, 1000),
        }  # fmt: skip
        assert len(engine.stopped) == 1
        assert gateway.results == ["interrupted"]
        assert gateway.ledger.requests.summary()["paid"] == 1
        assert gateway.ledger.summary()["total"]["units_receipted"] == units


@pytest.mark.parametrize("when", ["before the first token", "plain"])
async def test_who_has_nothing_yet_is_told_to_ask_again(tmp_path: Path, when: str) -> None:
    async with waiting(tmp_path, when) as (gateway, _), gateway.client() as client:
        asked: Any = {"model": MODEL, "messages": HI, "stream": when != "plain"}
        asking = asyncio.create_task(client.chat.completions.create(**asked))
        await until(lambda: bool(gateway.plane.relays.dispatcher._open))
        closing = close(gateway)
        with pytest.raises(openai.InternalServerError) as caught:
            await asking
        assert (caught.value.status_code, caught.value.code) == (503, "gateway_closing")
        assert caught.value.response.headers["retry-after"] == "1"
        await closing
        await gateway.settled()
        assert gateway.results == ["interrupted"]
        assert gateway.ledger.summary()["total"]["units_receipted"] == 0


async def test_a_supplier_that_does_not_stop_holds_nobody_up(tmp_path: Path) -> None:
    suppliers = [FakeSupplier("one", "stall"), FakeSupplier("two", "stall")]
    async with a_gateway(tmp_path, *suppliers) as gateway:
        event = end_of(await read_while_it_closes(gateway, 1))
        assert (event["error"]["code"], event["usage"]["cost"]) == ("gateway_closing", 0)
        assert sum(each.served for each in suppliers) == 1
        assert gateway.results == ["interrupted"]


async def test_a_stream_that_ends_in_time_is_whole(tmp_path: Path) -> None:
    fake = FakeSupplier("one", pause=asyncio.Event())
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        stream = await client.chat.completions.create(model=MODEL, messages=HI, stream=True)
        await anext(aiter(stream))
        closing = close(gateway, 60.0)
        await until(lambda: gateway.server.draining)
        fake.pause.set()
        assert [chunk async for chunk in stream][-1].choices[0].finish_reason == "stop"
        await closing
        assert gateway.results == ["ok"]
