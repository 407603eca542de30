"""The promises a mechanism can make, each as a check of one random book."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from random import Random
from statistics import stdev
from typing import TypeAlias

from pricing import (
    LINEAR,
    Book,
    Deviation,
    Lies,
    Mechanism,
    Values,
    best_deviation,
    climb,
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
IDENTITIES_MAX = 4
SEARCH_DRAWS = 8
CONFIRM_DRAWS = 200
TRIES = 40
"""Random lies a trader before the best of them is climbed from."""
CLIMBS = 12
ERRORS_MIN = 4
"""Standard errors by which a mean gain must exceed zero to count as one."""


class Promise(Enum):
    """A property with the heading of its column."""

    PRICE = "truthful in price"
    QUANTITY = "in price and quantity"
    IDENTITIES = "with several identities"
    RATIONAL = "rational"
    DEFICIT = "no deficit"
    BALANCED = "balanced"
    EFFICIENT = "efficient"
    ENVY = "envy-free"
    MONOTONE = "monotone"


@dataclass(frozen=True, slots=True)
class Rule:
    """A mechanism by its public seed, and whether the seed decides anything."""

    bind: Callable[[bytes], Mechanism]
    is_drawn: bool


@dataclass(frozen=True, slots=True)
class Round:
    """One book before a mechanism with its public seed."""

    mechanism: Rule
    book: Book
    seed: bytes
    values: Values = LINEAR

    @property
    def rule(self) -> Mechanism:
        """The mechanism under this round's seed."""
        return self.mechanism.bind(self.seed)

    def draws(self, first: int, count: int) -> list[Mechanism]:
        """The mechanism under `count` other seeds, or once where they change nothing."""
        if not self.mechanism.is_drawn:
            return [self.rule]
        return [
            self.mechanism.bind(self.seed + number.to_bytes(4, "big"))
            for number in range(first, first + count)
        ]

    @property
    def quantity_max(self) -> int:
        """1 in a book of unit lots, whose traders can report no more."""
        units = {order.quantity for order in (*self.book.bids, *self.book.asks)}
        return 1 if units == {1} else QUANTITY_MAX


@dataclass(frozen=True, slots=True)
class Gain:
    """A lie of several identities with its mean gain on fresh draws and the error of that mean."""

    lie: Deviation
    mean: Fraction
    error: float

    @property
    def is_above_zero(self) -> bool:
        """Whether chance alone would hardly show as much."""
        return self.mean > ERRORS_MIN * self.error


Check: TypeAlias = Callable[[Round], bool]


def _no_lie(lies: Callable[[Round], Lies]) -> Check:
    """Nobody gains although it knows the seed."""
    return lambda each: is_truthful([each.rule], each.book, lies(each), each.values)


def search_identities(each: Round, rng: Random) -> Gain | None:
    """The lie of several identities that gains most in the mean over seeds; None if none is found.

    No identity is chosen after the seed. The best lie of a random search over few draws is climbed
    from on the same draws, and judged on many fresh ones.
    """
    lies = random_lies(rng.randint, TRIES, LIE_MAX, each.quantity_max, IDENTITIES_MAX)
    draws = each.draws(0, SEARCH_DRAWS)
    found = best_deviation(draws, each.book, lies, each.values)
    if found is None:
        return None
    best = climb(draws, each.book, found, CLIMBS, each.quantity_max, each.values)
    fresh = gains(each.draws(SEARCH_DRAWS, CONFIRM_DRAWS), each.book, best, each.values)
    return Gain(best, Fraction(sum(fresh), len(fresh)), _error(fresh))


def _error(sample: Sequence[int]) -> float:
    return stdev(sample) / math.sqrt(len(sample)) if len(sample) > 1 else 0.0


def _is_efficient(each: Round) -> bool:
    best = gains_from_trade(each.book, uniform_price(each.book))
    return gains_from_trade(each.book, each.rule(each.book)) == best


CHECKS: dict[Promise, Check] = {
    # What several identities gain is searched by itself: `search_identities`.
    Promise.PRICE: _no_lie(lambda each: price_lies(range(LIE_MAX + 1))),
    Promise.QUANTITY: _no_lie(
        lambda each: joint_lies(range(0, LIE_MAX + 1, 3), range(1, each.quantity_max + 2))
    ),
    Promise.RATIONAL: lambda each: is_individually_rational(
        each.book, each.rule(each.book), each.values
    ),
    Promise.DEFICIT: lambda each: is_without_deficit(each.rule(each.book)),
    Promise.BALANCED: lambda each: is_budget_balanced(each.rule(each.book)),
    Promise.EFFICIENT: _is_efficient,
    Promise.ENVY: lambda each: is_envy_free(each.book, each.rule(each.book), each.values),
    Promise.MONOTONE: lambda each: is_monotone(each.rule, each.book, range(0, LIE_MAX + 1, 2)),
}
