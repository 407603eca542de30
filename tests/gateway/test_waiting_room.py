"""A gateway asked for more than its suppliers take: who waits, who is shed, and for how long."""

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path

import openai
import pytest

from gateway.errors import GatewayBusyError
from gateway.routing.fair_queue import QUANTUM
from gateway.routing.sessions import Session
from gateway.routing.waiting_room import WaitingRoom, WaitingRules
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, TIMEOUTS, Gateway, a_gateway, a_gateway_session

pytestmark = pytest.mark.anyio
PATIENT = replace(TIMEOUTS, stall=30, total=60)
HI = [{"role": "user", "content": "hi"}]


@dataclass
class Someone:
    disconnected: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


def a_session() -> Session:
    return a_gateway_session([(FakeSupplier("one"), "http://127.0.0.1:1")])


def enter(room: WaitingRoom, key: str = "k", client: Someone | None = None) -> asyncio.Task[bool]:
    gate, coming = room.gate(a_session()), client or Someone()
    return asyncio.ensure_future(room.enter(gate, coming, key, QUANTUM, is_batch=False))


async def test_there_is_no_wait_while_there_is_room() -> None:
    room = WaitingRoom(WaitingRules(in_flight_per_supplier=2, length_max=0))
    gate = room.gate(a_session())

    coroutine = room.enter(gate, Someone(), "k", 1, is_batch=False)
    with pytest.raises(StopIteration) as found:
        coroutine.send(None)  # it never gives up control

    assert found.value.value is True
    assert (room.running, room.waiting) == (1, 0)


async def test_who_waits_gets_the_turn_of_who_leaves() -> None:
    room = WaitingRoom(WaitingRules(in_flight_per_supplier=1, length_max=2))
    gate = room.gate(a_session())
    assert await enter(room)
    second, third = enter(room, "a"), enter(room, "b")
    await asyncio.sleep(0)
    assert (room.running, room.waiting) == (1, 2)
    gate.leave(0.5)
    assert await second
    assert not third.done()
    gate.leave(0.5)
    assert await third
    gate.leave(0.5)

    assert (room.running, room.waiting) == (0, 0)


async def test_who_is_shed_is_told_when_there_will_be_room() -> None:
    room = WaitingRoom(WaitingRules(in_flight_per_supplier=2, length_max=7))
    gate = room.gate(a_session())
    for _ in range(40):
        assert await enter(room)
        gate.leave(3.0)
    running = [await enter(room) for _ in range(2)]
    waiting = [enter(room) for _ in range(7)]
    await asyncio.sleep(0)
    assert all(running)
    assert not any(each.done() for each in waiting)
    with pytest.raises(GatewayBusyError) as shed:
        await enter(room)

    assert shed.value.status == 429
    assert shed.value.retry_after_s == 12  # the eighth in line, two at a time, 3 s each
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert room.waiting == 0


async def test_a_full_queue_sheds_the_key_that_fills_it() -> None:
    room = WaitingRoom(WaitingRules(in_flight_per_supplier=1, length_max=3))
    gate = room.gate(a_session())
    assert await enter(room)
    flood = [enter(room, "flood") for _ in range(3)]
    await asyncio.sleep(0)
    late = enter(room, "late")
    await asyncio.sleep(0)

    with pytest.raises(GatewayBusyError):
        await flood[2]
    gate.leave(0.1)
    gate.leave(0.1)
    assert await late
    for each in flood[:2]:
        each.cancel()
    await asyncio.gather(*flood, return_exceptions=True)


async def test_who_leaves_while_waiting_is_in_nobody_s_way() -> None:
    room = WaitingRoom(WaitingRules(in_flight_per_supplier=1))
    gate, gone = room.gate(a_session()), Someone()
    assert await enter(room)
    first, second = enter(room, "a", gone), enter(room, "b")
    await asyncio.sleep(0)
    gone.disconnected.set_result(None)
    assert not await first
    gate.leave(0.1)

    assert await second
    assert (room.running, room.waiting) == (1, 0)


async def test_a_turn_that_comes_too_late_is_passed_on() -> None:
    room = WaitingRoom(WaitingRules(in_flight_per_supplier=1))
    gate, gone = room.gate(a_session()), Someone()
    assert await enter(room)
    first, second = enter(room, "a", gone), enter(room, "b")
    await asyncio.sleep(0)
    gate.leave(0.1)  # the turn of the first, which leaves in the same moment
    gone.disconnected.set_result(None)

    assert not await first
    assert await second
    assert (room.running, room.waiting) == (1, 0)


async def test_nobody_waits_for_longer_than_allowed() -> None:
    room = WaitingRoom(WaitingRules(in_flight_per_supplier=1, wait_s=0.01))
    assert await enter(room)
    with pytest.raises(GatewayBusyError):
        await enter(room)

    assert (room.running, room.waiting) == (1, 0)


async def test_more_members_make_more_room_at_once() -> None:
    room = WaitingRoom(WaitingRules(in_flight_per_supplier=1))
    assert await enter(room)
    second = enter(room)
    await asyncio.sleep(0)
    two = a_gateway_session([(FakeSupplier(each), "http://127.0.0.1:1") for each in ("a", "b")])
    room.gate(two)

    assert await second


async def ask(gateway: Gateway) -> str:
    async with gateway.client() as client:
        answer = await client.chat.completions.create(model=MODEL, messages=HI, max_tokens=50)
        return answer.choices[0].message.content or ""


async def test_a_client_that_is_shed_sees_a_429_with_a_time(tmp_path: Path) -> None:
    fake = FakeSupplier("slow", pause=asyncio.Event())
    rules = WaitingRules(in_flight_per_supplier=1, length_max=1)
    async with (
        a_gateway(tmp_path, fake, waiting=rules, timeouts=PATIENT) as gateway,
        gateway.client() as client,
    ):
        stream = await client.chat.completions.create(model=MODEL, messages=HI, stream=True)
        await anext(aiter(stream))
        waits = asyncio.ensure_future(ask(gateway))
        async with asyncio.timeout(10):
            while not gateway.plane.relays.waiting.waiting:
                await asyncio.sleep(0.01)
        with pytest.raises(openai.RateLimitError) as shed:
            await ask(gateway)
        assert shed.value.code == "gateway_busy"
        assert int(shed.value.response.headers["retry-after"]) >= 1
        assert fake.served == 1
        fake.pause.set()
        assert await waits == "Hello, world"
        assert [chunk async for chunk in stream]
        await gateway.settled()
        found = gateway.ledger.requests.summary()
        assert (found["paid"], found["refused"]) == (2, 1)
