"""The nouns of an auction: orders, the book they form, and what clears.

Money and units are integers. A price is money for one unit of the book, so a caller picks the unit
(a million compute units, a lot, a chair) and scales once. Traders are bytes, as on the chain.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

Trader: TypeAlias = bytes
"""An identity; one person may hold many, and a mechanism cannot tell."""


class InvalidBookError(ValueError):
    """Orders a mechanism does not take: a caller's mistake, or a report to be dropped."""


class Side(Enum):
    """Which side of the book an order stands on."""

    BUY = "buy"
    SELL = "sell"


@dataclass(frozen=True, slots=True)
class Order:
    """A sealed bid or ask for up to `quantity` units at `price` each.

    `price` is the most a buyer pays, or the least a seller takes, for a unit.
    """

    trader: Trader
    price: int
    quantity: int = 1

    def __post_init__(self) -> None:
        if self.price < 0 or self.quantity < 1:
            raise InvalidBookError(f"a price of {self.price} for {self.quantity} units")


@dataclass(frozen=True, slots=True)
class Book:
    """All orders of one round, one for each identity. Their sequence carries no meaning."""

    bids: tuple[Order, ...] = ()
    asks: tuple[Order, ...] = ()

    def __post_init__(self) -> None:
        traders = [order.trader for order in (*self.bids, *self.asks)]
        if len(set(traders)) != len(traders):
            raise InvalidBookError("an identity has two orders in one book")


@dataclass(frozen=True, slots=True)
class Fill:
    """What one order got: `units`, and the `money` a buyer pays or a seller receives for them."""

    trader: Trader
    units: int
    money: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """Who trades what; an identity that is not named trades nothing and pays nothing."""

    bought: tuple[Fill, ...] = ()
    sold: tuple[Fill, ...] = ()

    @property
    def paid(self) -> int:
        """What all buyers pay together."""
        return sum(fill.money for fill in self.bought)

    @property
    def received(self) -> int:
        """What all sellers receive together."""
        return sum(fill.money for fill in self.sold)

    @property
    def surplus(self) -> int:
        """What the market keeps; negative is a deficit."""
        return self.paid - self.received


Mechanism: TypeAlias = Callable[[Book], Outcome]
"""A rule with all its other arguments bound (posted price, demand, seed)."""


def fills_at(price: int, units: Iterable[tuple[Trader, int]]) -> tuple[Fill, ...]:
    """Fills at one unit price, without the empty ones."""
    return tuple(Fill(trader, count, count * price) for trader, count in units if count)


def require_unit_lots(book: Book) -> None:
    """Refuse a book with an order of more than one unit (InvalidBookError)."""
    if any(order.quantity != 1 for order in (*book.bids, *book.asks)):
        raise InvalidBookError("this mechanism takes orders of one lot each")
