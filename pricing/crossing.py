"""Where the demand and the supply of a book cross: what every call market starts from.

Units are put in line by price, best first, equal prices by identity. `k` is the most units that
can trade with every bid at or above the ask it stands beside.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeAlias

from pricing.market import Book, Order, Outcome, Trader, fills_at, require_unit_lots


@dataclass(frozen=True, slots=True)
class Quotes:
    """The prices around the crossing: of the k-th unit of each side, and of the one after it.

    The last prices are 0 where nothing trades (`units` = 0); the next are None where a side ends.
    """

    units: int
    last_bid: int
    last_ask: int
    next_bid: int | None
    next_ask: int | None

    @property
    def low(self) -> int:
        """The lowest price at which exactly `units` trade."""
        return self.last_ask if self.next_bid is None else max(self.last_ask, self.next_bid)

    @property
    def high(self) -> int:
        """The highest price at which exactly `units` trade."""
        return self.last_bid if self.next_ask is None else min(self.last_bid, self.next_ask)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a call market decides: how many of the first units in line trade, and at what prices."""

    units: int = 0
    buyer_price: int = 0
    seller_price: int = 0


Rule: TypeAlias = Callable[[Quotes], Terms]
"""A call market as a function of the quotes, the same for books of any size."""


def bids_in_line(book: Book) -> list[Order]:
    """The bids, highest first."""
    return sorted(book.bids, key=lambda order: (-order.price, order.trader))


def asks_in_line(book: Book) -> list[Order]:
    """The asks, lowest first."""
    return sorted(book.asks, key=lambda order: (order.price, order.trader))


def quote(book: Book) -> Quotes:
    """The quotes of a book of orders of any quantity."""
    bids, asks = bids_in_line(book), asks_in_line(book)
    demand = list(accumulate(order.quantity for order in bids))
    supply = list(accumulate(order.quantity for order in asks))

    def bid_at(unit: int) -> int:
        return bids[bisect_left(demand, unit)].price

    def ask_at(unit: int) -> int:
        return asks[bisect_left(supply, unit)].price

    most = min(demand[-1], supply[-1]) if bids and asks else 0
    units = last_that_crosses(most, bid_at, ask_at)
    return Quotes(
        units=units,
        last_bid=bid_at(units) if units else 0,
        last_ask=ask_at(units) if units else 0,
        next_bid=bid_at(units + 1) if bids and units < demand[-1] else None,
        next_ask=ask_at(units + 1) if asks and units < supply[-1] else None,
    )


def last_that_crosses(most: int, bid_at: Callable[[int], int], ask_at: Callable[[int], int]) -> int:
    """The largest unit of 1..`most` whose bid is at least its ask, or 0; by bisection."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if bid_at(middle) >= ask_at(middle):
            low = middle
        else:
            high = middle - 1
    return low


def clear_unit_lots(book: Book, rule: Rule) -> Outcome:
    """The outcome of a rule on a book of unit lots (InvalidBookError for larger orders)."""
    require_unit_lots(book)
    terms = rule(quote(book))
    return Outcome(
        fills_at(terms.buyer_price, take(bids_in_line(book), terms.units)),
        fills_at(terms.seller_price, take(asks_in_line(book), terms.units)),
    )


def take(line: Sequence[Order], units: int) -> Iterator[tuple[Trader, int]]:
    """The first `units` units of a line of orders, or as many as there are."""
    left = units
    for order in line:
        got = min(left, order.quantity)
        yield order.trader, got
        left -= got
