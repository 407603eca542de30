"""One mechanism of the table: how it is run, on which books, and what is claimed of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from pricing import LINEAR, Book, Mechanism, Outcome, Values
from simulations.auctions.promises import Promise

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


def fixed(rule: Mechanism) -> Callable[[bytes], Mechanism]:
    """A mechanism that draws nothing."""
    return lambda seed: rule


def seeded(rule: Callable[[Book, bytes], Outcome]) -> Callable[[bytes], Mechanism]:
    """A mechanism that takes its seed after the book."""
    return lambda seed: lambda book: rule(book, seed)


PRICE, QUANTITY, IDENTITIES = Promise.PRICE, Promise.QUANTITY, Promise.IDENTITIES
DEFICIT, BALANCED, EFFICIENT = Promise.DEFICIT, Promise.BALANCED, Promise.EFFICIENT
ENVY = Promise.ENVY

UNIT = frozenset({QUANTITY})
"""Moot where an order is one lot."""
ONE_SIDED = frozenset({DEFICIT, BALANCED, EFFICIENT})
"""Moot where one side is not in the book."""
