"""When a session begins and is over, to gateways that see the chain's head sooner or later."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from supplier.errors import ChainUnavailableError
from supplier.mining.chain_view import GRACE_BLOCKS, ChainView
from tests.factories import CLOCK, SUPPLIER
from tests.supplier.market import until

NEXT = CLOCK.start(8)
"""The first block of session 8."""


@pytest.mark.parametrize(
    ("blocks", "has_ended"),
    [(-1, False), (0, True), (GRACE_BLOCKS - 1, True), (GRACE_BLOCKS, False)],
)
def test_a_session_has_just_ended_for_some_blocks(blocks: int, has_ended: bool) -> None:
    nowhere: Any = None
    view = ChainView(nowhere, SUPPLIER, 0, 0.01)
    view.clock, view.head = CLOCK, NEXT + blocks

    assert view.has_just_ended(7) == has_ended
    assert not view.has_just_ended(6)
    assert not view.has_just_ended(8)


class SlowChain:
    """A chain whose answers are of the moment they are asked for, and come when they are let."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.asked = 0
        self.let = asyncio.Event()
        self.chain = self

    async def head(self) -> Any:
        self.asked += 1
        number = self.number
        await self.let.wait()
        return SimpleNamespace(number=number, timestamp=int(time.time()))


def a_view(chain: Any) -> ChainView:
    view = ChainView(chain, SUPPLIER, 0, 0.01)
    view.clock, view.head = CLOCK, NEXT - 1
    return view


@pytest.mark.anyio
async def test_a_session_that_begins_during_a_look_is_seen_by_the_next() -> None:
    chain = SlowChain(NEXT - 1)
    view = a_view(chain)
    poll = asyncio.create_task(view.refresh())
    await until(lambda: chain.asked == 1)
    chain.number = NEXT
    question = asyncio.create_task(view.is_current(8))
    await asyncio.sleep(0)
    chain.let.set()
    assert await question
    await poll
    assert view.current == 8


@pytest.mark.anyio
async def test_questions_that_come_together_cost_few_looks() -> None:
    chain = SlowChain(NEXT - 1)
    chain.let.set()
    view = a_view(chain)
    assert not any(await asyncio.gather(*(view.is_current(8) for _ in range(100))))
    assert chain.asked <= 2


@pytest.mark.anyio
async def test_an_older_answer_that_comes_later_changes_nothing() -> None:
    chain = SlowChain(NEXT - 1)
    view = a_view(chain)
    first = asyncio.create_task(view.refresh())
    await until(lambda: chain.asked == 1)
    chain.number, late, chain.let = NEXT, chain.let, asyncio.Event()
    chain.let.set()
    await view.refresh()
    late.set()
    await first
    assert view.head == NEXT


BLOCK_S = 2


class SteadyChain:
    """A chain of one pace, as far as it has come."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.chain = self

    async def head(self) -> Any:
        return await self.block(self.number)

    async def block(self, number: int) -> Any:
        return SimpleNamespace(number=number, timestamp=BLOCK_S * number)


async def seen_once(chain: SteadyChain, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """A view that has looked at the chain once, and the clock it goes by."""
    clock = SimpleNamespace(now=50.0)
    fake = SimpleNamespace(monotonic=lambda: clock.now)
    monkeypatch.setattr("supplier.mining.chain_view.time", fake)
    view = a_view(chain)
    heads = view.heads()
    await anext(heads)
    return view, clock


@pytest.mark.anyio
async def test_while_the_chain_is_away_a_session_is_served_as_long_as_its_blocks_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chain = SteadyChain(NEXT - 3)
    view, clock = await seen_once(chain, monkeypatch)

    clock.now += (3 + GRACE_BLOCKS) * BLOCK_S - 0.1
    assert await view.is_current(7)
    clock.now += 0.1
    with pytest.raises(ChainUnavailableError, match="over by its pace"):
        await view.is_current(7)
    chain.number = NEXT - 1  # blocks came slower
    await view.refresh()
    assert await view.is_current(7)


@pytest.mark.anyio
async def test_while_the_chain_is_away_no_session_has_just_ended_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    view, clock = await seen_once(SteadyChain(NEXT), monkeypatch)

    clock.now += GRACE_BLOCKS * BLOCK_S - 0.1
    assert view.has_just_ended(7)
    clock.now += 0.1
    assert not view.has_just_ended(7)
    assert await view.is_current(8)
