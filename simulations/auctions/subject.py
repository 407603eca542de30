"""One mechanism of the table: how it is run, on which books, and what is claimed of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from pricing import LINEAR, Book, Mechanism, Outcome, Values
from simulations.auctions.grid import UNIT_LOTS, Grid
from simulations.auctions.promises import Promise, Rule

EVERYTHING = frozenset(Promise)


@dataclass(frozen=True, slots=True)
class Subject:
    """A mechanism, the books it is tried on, and the promises it is known to break.

    What is not `broken`, `rare` or `moot` is claimed to hold.
    """

    name: str
    rule: Rule
    books: Callable[[Random], Book]
    broken: frozenset[Promise]
    moot: frozenset[Promise] = frozenset()
    values: Values = field(default=LINEAR)
    grid: Grid = UNIT_LOTS
    """The small books on which every lie is tried."""
    rare: frozenset[Promise] = frozenset()
    """Broken in so few books that a search may miss it: a test of its own has the case."""

    @property
    def kept(self) -> frozenset[Promise]:
        """The promises claimed."""
        return EVERYTHING - self.broken - self.rare - self.moot


def fixed(rule: Mechanism) -> Rule:
    """A mechanism that draws nothing."""
    return Rule(lambda seed: rule, is_drawn=False)


def seeded(rule: Callable[[Book, bytes], Outcome]) -> Rule:
    """A mechanism that takes its seed after the book."""
    return Rule(lambda seed: lambda book: rule(book, seed), is_drawn=True)


PRICE, QUANTITY, IDENTITIES = Promise.PRICE, Promise.QUANTITY, Promise.IDENTITIES
DEFICIT, BALANCED, EFFICIENT = Promise.DEFICIT, Promise.BALANCED, Promise.EFFICIENT
ENVY = Promise.ENVY

UNIT = frozenset({QUANTITY})
"""Moot where an order is one lot."""
ONE_SIDED = frozenset({DEFICIT, BALANCED, EFFICIENT})
"""Moot where one side is not in the book."""
