"""One price for everybody, inside the interval that clears: a baseline that is not truthful.

Whoever holds the unit next to the price moves it by lying; `docs/pricing.md` shows by how much.
"""

from pricing.crossing import Quotes, asks_in_line, bids_in_line, quote, take
from pricing.large_books import LargeBook, LargeOutcome
from pricing.market import Book, Outcome, fills_at


def uniform_price(book: Book, target: int | None = None) -> Outcome:
    """Clear orders of any quantity: every crossing unit at one price, budget balanced, efficient.

    The price is `target` clamped to the clearing interval, or the interval's midpoint.
    """
    quotes = quote(book)
    price = clamped_price(quotes, target)
    return Outcome(
        fills_at(price, take(bids_in_line(book), quotes.units)),
        fills_at(price, take(asks_in_line(book), quotes.units)),
    )


def large_uniform_price(book: LargeBook, target: int | None = None) -> LargeOutcome:
    """The same on arrays."""
    bids, asks, quotes = book.in_line()
    price = clamped_price(quotes, target)
    return LargeOutcome(
        bids.scatter(bids.take(quotes.units)), asks.scatter(asks.take(quotes.units)), price, price
    )


def clamped_price(quotes: Quotes, target: int | None = None) -> int:
    """The price of the interval nearest to `target`, or its midpoint (rounded down)."""
    if target is None:
        return (quotes.low + quotes.high) // 2
    return min(max(target, quotes.low), quotes.high)
