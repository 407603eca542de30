"""Each head is told once, whatever the chain does between two looks."""

from typing import cast

import pytest

from contracts import Block, Chain, ChainUnavailableError
from contracts.trading import each_head

pytestmark = [pytest.mark.anyio]
AWAY = ChainUnavailableError(())


class Looks:
    """A chain that shows one thing after the other."""

    def __init__(self, *shown: Block | ChainUnavailableError) -> None:
        self.shown = iter(shown)

    async def head(self) -> Block:
        found = next(self.shown)
        if isinstance(found, ChainUnavailableError):
            raise found
        return found


def a_block(number: int, fork: int = 0) -> Block:
    return Block(number, 0, bytes([number, fork]) * 16, bytes(32))


async def test_a_head_is_told_once_and_a_replaced_one_again() -> None:
    one, two, other = a_block(1), a_block(2), a_block(2, fork=1)
    chain = cast(Chain, Looks(one, one, AWAY, one, two, AWAY, AWAY, other, a_block(3)))
    told = []
    async for number in each_head(chain, 0.0):
        told.append(number)
        if number == 3:
            break

    assert told == [1, 2, 2, 3]
