"""The promises a mechanism can make, each as a check of one random book."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random
from statistics import fmean, stdev
from typing import TypeAlias

from pricing import (
    LINEAR,
    Book,
    Lies,
    Mechanism,
    Values,
    best_deviation,
    gains,
    gains_from_trade,
    is_budget_balanced,
    is_envy_free,
    is_individually_rational,
    is_monotone,
    is_truthful,
    is_without_deficit,
    joint_lies,
    price_lies,
    random_lies,
    uniform_price,
)

PRICE_MAX = 20
LIE_MAX = PRICE_MAX + 2
QUANTITY_MAX = 4
SEARCH_DRAWS = 8
CONFIRM_DRAWS = 200
TRIES = 12
ERRORS_MIN = 4
"""Standard errors by which a mean gain must exceed zero to count as one."""


class Promise(Enum):
    """A property with the heading of its column."""

    PRICE = "truthful in price"
    QUANTITY = "in price and quantity"
    IDENTITIES = "with two identities"
    RATIONAL = "rational"
    DEFICIT = "no deficit"
    BALANCED = "balanced"
    EFFICIENT = "efficient"
    ENVY = "envy-free"
    MONOTONE = "monotone"


@dataclass(frozen=True, slots=True)
class Round:
    """One book before a mechanism: `draw` binds its public seed."""

    draw: Callable[[bytes], Mechanism]
    book: Book
    seed: bytes
    values: Values = LINEAR

    @property
    def rule(self) -> Mechanism:
        """The mechanism under this round's seed."""
        return self.draw(self.seed)

    def draws(self, first: int, count: int) -> list[Mechanism]:
        """The mechanism under `count` other seeds."""
        return [self.draw(self.seed + i.to_bytes(4, "big")) for i in range(first, first + count)]

    @property
    def quantity_max(self) -> int:
        """1 in a book of unit lots, whose traders can report no more."""
        units = {order.quantity for order in (*self.book.bids, *self.book.asks)}
        return 1 if units == {1} else QUANTITY_MAX


Check: TypeAlias = Callable[[Round, Random], bool]


def _no_lie(lies: Callable[[Round], Lies]) -> Check:
    """Nobody gains although it knows the seed."""
    return lambda each, rng: is_truthful([each.rule], each.book, lies(each), each.values)


def _no_identities_pay(each: Round, rng: Random) -> bool:
    """Nobody gains by two identities in the mean over seeds, which no identity is chosen after.

    The best lie of a search over few draws is judged on many fresh ones.
    """
    lies = random_lies(rng.randint, TRIES, LIE_MAX, each.quantity_max)
    draws = each.draws(0, SEARCH_DRAWS)
    found = best_deviation(draws, each.book, lies, each.values)
    if found is None:
        return True
    fresh = gains(each.draws(SEARCH_DRAWS, CONFIRM_DRAWS), each.book, found, each.values)
    return not _is_above_zero(fresh)


def _is_above_zero(sample: Sequence[int]) -> bool:
    return fmean(sample) > ERRORS_MIN * stdev(sample) / math.sqrt(len(sample))


def _is_efficient(each: Round, rng: Random) -> bool:
    best = gains_from_trade(each.book, uniform_price(each.book))
    return gains_from_trade(each.book, each.rule(each.book)) == best


CHECKS: dict[Promise, Check] = {
    Promise.PRICE: _no_lie(lambda each: price_lies(range(LIE_MAX + 1))),
    Promise.QUANTITY: _no_lie(
        lambda each: joint_lies(range(0, LIE_MAX + 1, 3), range(1, each.quantity_max + 2))
    ),
    Promise.IDENTITIES: _no_identities_pay,
    Promise.RATIONAL: lambda each, rng: is_individually_rational(
        each.book, each.rule(each.book), each.values
    ),
    Promise.DEFICIT: lambda each, rng: is_without_deficit(each.rule(each.book)),
    Promise.BALANCED: lambda each, rng: is_budget_balanced(each.rule(each.book)),
    Promise.EFFICIENT: _is_efficient,
    Promise.ENVY: lambda each, rng: is_envy_free(each.book, each.rule(each.book), each.values),
    Promise.MONOTONE: lambda each, rng: is_monotone(each.rule, each.book, range(0, LIE_MAX + 1, 2)),
}
