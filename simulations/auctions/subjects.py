"""The mechanisms of the table: how each is run, on which books, and what is claimed of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from pricing import (
    LINEAR,
    Book,
    Mechanism,
    Order,
    Outcome,
    Values,
    first_price,
    mcafee,
    muda,
    multi_unit_trade_reduction,
    pay_as_bid,
    posted_price_vcg,
    rank_excluding_sbba,
    sbba,
    trade_reduction,
    uniform_price,
    vcg_double_auction,
)
from simulations.auctions.promises import PRICE_MAX, QUANTITY_MAX, Promise

TRADERS_MAX = 3
EVERYTHING = frozenset(Promise)


@dataclass(frozen=True, slots=True)
class Subject:
    """A mechanism, the books it is tried on, and the promises it is known to break.

    What is not `broken` and not `moot` is claimed to hold.
    """

    name: str
    draw: Callable[[bytes], Mechanism]
    books: Callable[[Random], Book]
    broken: frozenset[Promise]
    moot: frozenset[Promise] = frozenset()
    values: Values = field(default=LINEAR)

    @property
    def kept(self) -> frozenset[Promise]:
        """The promises claimed."""
        return EVERYTHING - self.broken - self.moot


def unit_lots(rng: Random) -> Book:
    """One to three traders a side, one lot each, even prices: midpoints are exact."""
    return _book(rng, 1)


def several_lots(rng: Random) -> Book:
    """The same with up to four lots each."""
    return _book(rng, QUANTITY_MAX)


def bids_only(rng: Random) -> Book:
    """Buyers of unit lots without sellers."""
    return Book(bids=unit_lots(rng).bids)


def _book(rng: Random, quantity_max: int) -> Book:
    def side(name: bytes) -> tuple[Order, ...]:
        return tuple(
            Order(
                name + b"%d" % index,
                2 * rng.randint(0, PRICE_MAX // 2),
                rng.randint(1, quantity_max),
            )
            for index in range(rng.randint(1, TRADERS_MAX))
        )

    return Book(side(b"buyer "), side(b"seller "))


def fixed(rule: Mechanism) -> Callable[[bytes], Mechanism]:
    """A mechanism that draws nothing."""
    return lambda seed: rule


def seeded(rule: Callable[[Book, bytes], Outcome]) -> Callable[[bytes], Mechanism]:
    """A mechanism that takes its seed after the book."""
    return lambda seed: lambda book: rule(book, seed)


def spot_market(book: Book, seed: bytes) -> Outcome:
    """P2V at a price in the middle of the values."""
    return posted_price_vcg(book, PRICE_MAX // 2, seed)


PRICE, QUANTITY, IDENTITIES = Promise.PRICE, Promise.QUANTITY, Promise.IDENTITIES
DEFICIT, BALANCED, EFFICIENT = Promise.DEFICIT, Promise.BALANCED, Promise.EFFICIENT
ENVY = Promise.ENVY

UNIT = frozenset({QUANTITY})
"""Moot where an order is one lot."""
ONE_SIDED = frozenset({DEFICIT, BALANCED, EFFICIENT})
"""Moot where one side is not in the book."""

SUBJECTS = (
    Subject(
        "P2V", seeded(spot_market), several_lots, frozenset({IDENTITIES, BALANCED, EFFICIENT, ENVY})
    ),
    Subject("McAfee", fixed(mcafee), unit_lots, frozenset({IDENTITIES, BALANCED, EFFICIENT}), UNIT),
    Subject(
        "trade reduction",
        fixed(trade_reduction),
        unit_lots,
        frozenset({IDENTITIES, BALANCED, EFFICIENT}),
        UNIT,
    ),
    Subject("SBBA", seeded(sbba), unit_lots, frozenset({IDENTITIES, EFFICIENT, ENVY}), UNIT),
    Subject(
        "VCG double auction",
        fixed(vcg_double_auction),
        unit_lots,
        frozenset({IDENTITIES, DEFICIT, BALANCED}),
        UNIT,
    ),
    Subject("MUDA", seeded(muda), several_lots, frozenset({IDENTITIES, EFFICIENT, ENVY})),
    Subject(
        "multi-unit trade reduction",
        seeded(multi_unit_trade_reduction),
        several_lots,
        frozenset({QUANTITY, IDENTITIES, BALANCED, EFFICIENT, ENVY}),
    ),
    Subject(
        "uniform price",
        fixed(uniform_price),
        several_lots,
        frozenset({PRICE, QUANTITY, IDENTITIES}),
    ),
    Subject(
        "pay as bid (control)",
        fixed(pay_as_bid),
        several_lots,
        frozenset({PRICE, QUANTITY, IDENTITIES, BALANCED, ENVY}),
    ),
    Subject(
        "first price (control)",
        fixed(first_price),
        bids_only,
        frozenset({PRICE, IDENTITIES}),
        UNIT | ONE_SIDED,
    ),
    Subject(
        "SBBA by rank (control)",
        fixed(rank_excluding_sbba),
        unit_lots,
        frozenset({PRICE, IDENTITIES, EFFICIENT, ENVY}),
        UNIT,
    ),
)
