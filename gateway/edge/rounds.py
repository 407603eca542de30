"""Who of those that wait is served, and for what: one sealed auction a window.

Plans come first and fix how much edge rate each user needs; what is auctioned is the session's
rate. A bid is net of what the relay costs at the suppliers' asks, so nobody is served below cost.
AERIA-P decides: no user gains by a false bid, nor by a plan of another size.
"""

import asyncio
import os
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from gateway.errors import NoSupplierError, OutbidError
from pricing import EdgeOffer, Ladder, best_base, draw_word, large_aeria_posted

WAITING_MAX = 2_000
"""Users of one round; a clearing of so many takes milliseconds."""
VALUE_TIMES_RATE_MAX = 2**52 - 1
"""Beyond it a clearing on arrays is not exact: a higher value counts as this over the rate."""
SEED_BYTES = 32


@dataclass(frozen=True, slots=True)
class Wish:
    """What a user needs of the edge, and what that is worth to it."""

    rate: int
    """MFLOP/s."""
    value: int
    """Token base units beyond what the relay costs."""


@dataclass(frozen=True, slots=True)
class Won:
    """What a user pays beyond the relay's cost, and among how many it was decided."""

    premium: int
    waiting: int


def clear(
    wishes: Mapping[bytes, Wish], capacity: int, rate_max: int, ladder: Ladder
) -> dict[bytes, int]:
    """What each user that is served pays beyond cost, in token base units; pure.

    `capacity` is the rate to be had, `rate_max` what one supplier gives.
    """
    if capacity < 1:
        return {}
    offer = EdgeOffer(capacity, 0, min(rate_max, capacity))
    value_max = VALUE_TIMES_RATE_MAX // offer.demand_max
    fitting = sorted(each for each in wishes if wishes[each].rate <= offer.demand_max)
    values = np.array([min(wishes[each].value, value_max) for each in fitting], np.int64)
    rates = np.array([wishes[each].rate for each in fitting], np.int64)
    paid = large_aeria_posted(values, rates, offer, ladder).tolist()
    return {trader: money for trader, money in zip(fitting, paid, strict=True) if money >= 0}


@dataclass(slots=True)
class _Round:
    wishes: dict[bytes, Wish] = field(default_factory=dict)
    answers: dict[bytes, asyncio.Future[Won]] = field(default_factory=dict)


@dataclass(slots=True)
class Auctioneer:
    """Gathers wishes for a window, then clears them together.

    The base of the ladder is fixed before any bid; its offset is drawn once the round is closed.
    """

    window_s: float
    users_expected: int
    draw: Callable[[int], bytes] = os.urandom
    base: Fraction = field(init=False)
    _rounds: dict[Hashable, _Round] = field(default_factory=dict)
    _closing: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.base = best_base(1 + Fraction(4, self.users_expected))

    async def bid(self, place: Hashable, wish: Wish, measure: Callable[[], tuple[int, int]]) -> Won:
        """The price that a wish is served at, when its round has closed (OutbidError).

        `place` names what is auctioned; `measure` tells its free rate and that of one supplier.
        """
        current = self._rounds.get(place)
        if current is None:
            current = self._rounds[place] = _Round()
            task = asyncio.create_task(self._close(place, current, measure))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        if len(current.wishes) >= WAITING_MAX:
            raise NoSupplierError("too many users wait for this round; try the next")
        trader = self.draw(16)
        answer: asyncio.Future[Won] = asyncio.get_running_loop().create_future()
        current.wishes[trader] = wish
        current.answers[trader] = answer
        return await answer

    async def _close(
        self, place: Hashable, closing: _Round, measure: Callable[[], tuple[int, int]]
    ) -> None:
        await asyncio.sleep(self.window_s)
        del self._rounds[place]
        capacity, rate_max = measure()
        ladder = Ladder(self.base, draw_word(self.draw(SEED_BYTES), b"edge round"))
        won = clear(closing.wishes, capacity, rate_max, ladder)
        for trader, answer in closing.answers.items():
            if answer.done():
                continue  # whoever waited for it is gone
            if trader in won:
                answer.set_result(Won(won[trader], len(closing.wishes)))
            else:
                answer.set_exception(_refuse(closing.wishes[trader], capacity, closing.wishes))


def _refuse(wish: Wish, capacity: int, wishes: Mapping[bytes, Wish]) -> OutbidError:
    wanted = sum(each.rate for each in wishes.values())
    return OutbidError(
        f"the bid leaves {wish.value} token base units beyond the relay's cost for "
        f"{wish.rate} MFLOP/s, too little in a round of {len(wishes)} users who want {wanted} "
        f"of {capacity} MFLOP/s: bid more, allow more time, or try the next round"
    )
