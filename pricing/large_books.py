"""Books as arrays: the same mechanisms for a million orders a side.

Positions stand for identities: equal prices are settled by position, as the exact twins settle them
by identity, so the two agree on a book whose identities ascend. Everything is 64-bit integers;
a book whose sums could leave them is refused, never wrapped.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pricing.crossing import Quotes, Rule, last_that_crosses
from pricing.market import InvalidBookError

Integers: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]

INT64_MAX = 2**63 - 1


def require_product(left: int, right: int) -> None:
    """Refuse factors whose product does not fit 64 bits (InvalidBookError)."""
    if left * right > INT64_MAX:
        raise InvalidBookError(f"{left} times {right} does not fit 64 bits")


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """Orders by price, best first, ties by position; `reached` is the running sum of units."""

    places: Integers
    prices: Integers
    units: Integers
    reached: Integers

    @classmethod
    def of_bids(cls, prices: Integers, units: Integers) -> "Line":
        """Bids, highest first."""
        return cls._in(np.argsort(-prices, kind="stable"), prices, units)

    @classmethod
    def of_asks(cls, prices: Integers, units: Integers) -> "Line":
        """Asks, lowest first."""
        return cls._in(np.argsort(prices, kind="stable"), prices, units)

    @classmethod
    def _in(cls, places: Integers, prices: Integers, units: Integers) -> "Line":
        return cls(places, prices[places], units[places], np.cumsum(units[places]))

    @property
    def total(self) -> int:
        """Units of all orders."""
        return int(self.reached[-1]) if self.reached.size else 0

    def price_at(self, unit: int) -> int:
        """The price of the unit-th unit in line, counted from 1."""
        return int(self.prices[np.searchsorted(self.reached, unit)])

    def take(self, units: int) -> Integers:
        """What each order in line gets of the first `units` units."""
        return first_units(self.units, units)

    def scatter(self, in_line: Integers) -> Integers:
        """Values in line put back at the positions of the book."""
        out = np.empty_like(in_line)
        out[self.places] = in_line
        return out


@dataclass(frozen=True, slots=True, eq=False)
class LargeBook:
    """Prices and units of both sides, int64 arrays of one length a side."""

    bid_prices: Integers
    bid_units: Integers
    ask_prices: Integers
    ask_units: Integers

    def __post_init__(self) -> None:
        for prices, units in (
            (self.bid_prices, self.bid_units),
            (self.ask_prices, self.ask_units),
        ):
            if prices.shape != units.shape or prices.ndim != 1:
                raise InvalidBookError("prices and units of a side have one length")
            if prices.size:
                if prices.min() < 0 or units.min() < 0:
                    raise InvalidBookError("prices and units are not negative")
                require_product(int(units.max()), units.size)

    def restrict(self, bids: Flags, asks: Flags) -> "LargeBook":
        """The book with no units in the orders not named."""
        return LargeBook(
            self.bid_prices,
            np.where(bids, self.bid_units, 0),
            self.ask_prices,
            np.where(asks, self.ask_units, 0),
        )

    def in_line(self) -> tuple[Line, Line, Quotes]:
        """Both sides in line and the quotes where they cross."""
        bids = Line.of_bids(self.bid_prices, self.bid_units)
        asks = Line.of_asks(self.ask_prices, self.ask_units)
        units = last_that_crosses(min(bids.total, asks.total), bids.price_at, asks.price_at)
        return (
            bids,
            asks,
            Quotes(
                units=units,
                last_bid=bids.price_at(units) if units else 0,
                last_ask=asks.price_at(units) if units else 0,
                next_bid=bids.price_at(units + 1) if units < bids.total else None,
                next_ask=asks.price_at(units + 1) if units < asks.total else None,
            ),
        )


@dataclass(frozen=True, slots=True, eq=False)
class LargeOutcome:
    """Units of every order of the book, and the one price of each side."""

    bought: Integers
    sold: Integers
    buyer_price: int
    seller_price: int


def quote_unit_lots(bids: Integers, asks: Integers) -> Quotes:
    """The quotes of a book of unit lots, from the prices of its two sides."""
    down, up = -np.sort(-bids), np.sort(asks)
    both = min(down.size, up.size)
    units = int(np.count_nonzero(down[:both] >= up[:both]))
    return Quotes(
        units=units,
        last_bid=int(down[units - 1]) if units else 0,
        last_ask=int(up[units - 1]) if units else 0,
        next_bid=int(down[units]) if units < down.size else None,
        next_ask=int(up[units]) if units < up.size else None,
    )


def clear_large_unit_lots(bids: Integers, asks: Integers, rule: Rule) -> LargeOutcome:
    """The outcome of a rule on unit lots: whose bid and whose ask trades, and at what prices."""
    quotes = quote_unit_lots(bids, asks)
    terms = rule(quotes)
    return LargeOutcome(
        first_unit_lots(-bids, terms.units),
        first_unit_lots(asks, terms.units),
        terms.buyer_price,
        terms.seller_price,
    )


def first_unit_lots(keys: Integers, units: int) -> Integers:
    """A new array with 1 at the `units` smallest keys, ties by position, and 0 elsewhere."""
    if units == 0:
        return np.zeros_like(keys)
    last = np.partition(keys, units - 1)[units - 1]
    chosen: Integers = (keys < last).astype(np.int64)
    ties = np.flatnonzero(keys == last)
    chosen[ties[: units - int(chosen.sum())]] = 1
    return chosen


def served_by_rank(wanted: Integers, ranks: Integers, units: int) -> Integers:
    """What each order gets of `units` units when they are served by rank, smallest first."""
    by_rank = np.argsort(ranks)
    queue = wanted[by_rank]
    served = np.empty_like(queue)
    served[by_rank] = first_units(queue, units)
    return served


def first_units(queue: Integers, units: int) -> Integers:
    """What each place in a queue gets of the first `units` units."""
    before = np.cumsum(queue) - queue
    got: Integers = np.minimum(np.maximum(units - before, 0), queue)
    return got
