"""A session that ends while a request is on its way: the request is served in the next one."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest

from gateway.routing import renewing
from gateway.routing.sessions import Session
from gateway.routing.waiting_room import WaitingRules
from relay_mining import decode_request_header, request_body_hash
from tests.factories import APPLICATION
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, TIMEOUTS, Gateway, a_gateway, a_gateway_session

pytestmark = pytest.mark.anyio
PATIENT = replace(TIMEOUTS, stall=30)
HI: Any = [{"role": "user", "content": "hi"}]


def open_next(gateway: Gateway, **options: Any) -> Session:
    """Session 8 begins, of the same members."""
    (member, *_) = gateway.table.sessions[APPLICATION, MODEL].members
    session = a_gateway_session([(each, member.url) for each in gateway.suppliers], **options)
    gateway.table.replace(session.key.number, [session], gateway.table.models)
    return session


def sessions_asked(fake: FakeSupplier) -> list[int]:
    """The number of the session of each request that came."""
    hashes = [request_body_hash(b"POST", b"/v1/chat/completions", each) for each in fake.bodies]
    headers = [each[b"lode-request"].decode() for each in fake.headers]
    return [
        decode_request_header(header, body_hash).session.number
        for header, body_hash in zip(headers, hashes, strict=True)
    ]


async def until_served(fake: FakeSupplier, count: int) -> None:
    async with asyncio.timeout(10):
        while fake.served < count:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_that_comes_when_its_session_is_over_is_served_in_the_next(
    tmp_path: Path, stream: bool
) -> None:
    fake = FakeSupplier("one", over=7)
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        asked = asyncio.create_task(
            client.chat.completions.create(model=MODEL, messages=HI, stream=stream)
        )
        await until_served(fake, 1)
        session = open_next(gateway, number=8)
        answer = await asked
        if stream:
            assert [each async for each in answer]
        await gateway.settled()

        assert gateway.results == ["refused", "ok"]
        assert sessions_asked(fake) == [7, 8]
        assert {each.session_id for each in fake.receipts.values()} == {session.id}
        assert gateway.ledger.requests.summary()["paid"] == 1


async def test_who_leaves_while_the_next_session_is_awaited_is_not_served_in_it(
    tmp_path: Path,
) -> None:
    fake = FakeSupplier("one", over=7)
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        asked = asyncio.create_task(client.chat.completions.create(model=MODEL, messages=HI))
        await until_served(fake, 1)
        asked.cancel()
        async with asyncio.timeout(10):
            while gateway.server._connections:
                await asyncio.sleep(0.01)
            open_next(gateway, number=8)
            while gateway.plane.relays.in_flight:
                await asyncio.sleep(0.01)
        assert sessions_asked(fake) == [7]


async def test_where_no_session_follows_the_supplier_s_word_is_the_client_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewing, "NEXT_S_MAX", 0.05)
    fake = FakeSupplier("one", over=7)
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        with pytest.raises(openai.APIStatusError, match="refused the session: no more"):
            await client.chat.completions.create(model=MODEL, messages=HI)
        assert gateway.results == ["refused", "refused"]


async def test_a_supplier_that_sees_the_session_begin_late_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewing, "NEXT_S_MAX", 0.2)
    fake = FakeSupplier("one", over=7)
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        asked = asyncio.create_task(client.chat.completions.create(model=MODEL, messages=HI))
        await until_served(fake, 1)
        fake.over = 6
        await asked
        assert sessions_asked(fake) == [7, 7]


async def test_who_waited_for_a_place_is_served_in_the_session_that_runs_then(
    tmp_path: Path,
) -> None:
    pause, one = asyncio.Event(), WaitingRules(in_flight_per_supplier=1)
    fake = FakeSupplier("one", pause=pause)
    async with (
        a_gateway(tmp_path, fake, waiting=one, timeouts=PATIENT) as gateway,
        gateway.client() as client,
    ):
        room = gateway.plane.relays.waiting.gate(gateway.table.sessions[APPLICATION, MODEL])
        first = await client.chat.completions.create(model=MODEL, messages=HI, stream=True)
        second = asyncio.create_task(client.chat.completions.create(model=MODEL, messages=HI))
        async with asyncio.timeout(10):
            while not room.queue.size:
                await asyncio.sleep(0.01)
        open_next(gateway, number=8)
        pause.set()
        assert [each async for each in first]
        await second
        assert sessions_asked(fake) == [7, 8]
