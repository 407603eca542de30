"""When a session begins and is over, to gateways that see the chain's head sooner or later."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

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
