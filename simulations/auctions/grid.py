"""Every small book there is, and every lie in it: an exhaustive search for one that pays."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations_with_replacement, islice, product

from pricing import Book, Deviation, Lies, Order, Values, best_deviation, joint_lies
from simulations.auctions.promises import Rule


@dataclass(frozen=True, slots=True)
class Grid:
    """Prices and quantities of truthful orders, the most traders a side, and which sides trade."""

    prices: tuple[int, ...]
    quantities: tuple[int, ...] = (1,)
    traders: int = 2
    has_bids: bool = True
    has_asks: bool = True

    def books(self) -> Iterator[Book]:
        """Every book up to the names of its traders."""
        bids = self._sides(b"buyer ") if self.has_bids else [()]
        asks = self._sides(b"seller ") if self.has_asks else [()]
        for side, across in product(bids, asks):
            yield Book(side, across)

    def _sides(self, name: bytes) -> list[tuple[Order, ...]]:
        lots = tuple(product(self.prices, self.quantities))
        return [
            tuple(Order(name + b"%d" % place, *lot) for place, lot in enumerate(side))
            for count in range(1, self.traders + 1)
            for side in combinations_with_replacement(lots, count)
        ]

    def lies(self) -> Lies:
        """Every price up to one above the highest, with every quantity there can be."""
        most = max(self.quantities)
        return joint_lies(range(max(self.prices) + 2), range(1, most + 2 if most > 1 else most + 1))

    @property
    def lies_a_trader(self) -> int:
        """How many those are, the truth among them."""
        most = max(self.quantities)
        return (max(self.prices) + 2) * (most + 1 if most > 1 else 1)


UNIT_LOTS = Grid((0, 2, 4, 6, 8, 10))
SEVERAL_LOTS = Grid((0, 2, 4, 6), (1, 2))
FEW_LOTS = Grid((0, 3, 6))
BIDDERS = Grid((0, 1, 2, 3, 4, 5, 6), traders=4, has_asks=False)
PLANS = Grid((0, 3, 6, 9), (1, 2), traders=3, has_asks=False)
WORKERS = Grid((0, 1, 2, 3, 4, 5, 6), traders=4, has_bids=False)


@dataclass(frozen=True, slots=True)
class Exhausted:
    """How many books and lies were tried, and the best that was found."""

    books: int
    lies: int
    best: Deviation | None

    @property
    def gain(self) -> Fraction:
        """What the best lie gains, 0 where none does."""
        return self.best.gain if self.best else Fraction(0)


def exhaust(grid: Grid, rule: Rule, values: Values, stride: int = 1) -> Exhausted:
    """Try every lie of one identity in every book, or in every `stride`-th.

    Each book has its own seed, which the liar knows.
    """
    lies, books, tried = grid.lies(), 0, 0
    best: Deviation | None = None
    for number, book in islice(enumerate(grid.books()), 0, None, stride):
        mechanism = rule.bind(number.to_bytes(4, "big"))
        found = best_deviation([mechanism], book, lies, values)
        books += 1
        tried += (len(book.bids) + len(book.asks)) * grid.lies_a_trader
        if found and (best is None or found.gain > best.gain):
            best = found
    return Exhausted(books, tried, best)
