"""The best single price: what a seller earns who knows all values, and what charging it invites."""

from collections.abc import Iterable
from fractions import Fraction
from math import comb

from pricing.market import Book, Order, Outcome, fills_at, require_unit_lots


def best_price(bids: Iterable[Order]) -> int | None:
    """The price that earns most from bids of one unit, the lowest of several; None without bids."""
    prices = sorted((bid.price for bid in bids), reverse=True)
    if not prices:
        return None
    return max(enumerate(prices, 1), key=lambda ranked: (ranked[0] * ranked[1], ranked[0]))[1]


def sell_at(price: int | None, bids: Iterable[Order]) -> Outcome:
    """One unit at `price` to everyone who bids it; nothing where there is no price."""
    if price is None:
        return Outcome()
    return Outcome(bought=fills_at(price, ((bid.trader, 1) for bid in bids if bid.price >= price)))


def optimal_single_price(book: Book) -> Outcome:
    """Everyone at the price that is best for these very bids.

    A control, **not truthful**: the highest bidder gains by shading. Its revenue is the benchmark
    `F` of the truthful auctions of digital goods. Bids of one unit (InvalidBookError).
    """
    require_unit_lots(book)
    return sell_at(best_price(book.bids), book.bids)


def lower_bound(bidders: int) -> Fraction:
    """The competitive ratio with `F2` that no truthful auction of `bidders` digital goods beats.

    Two bidders or more; it rises to 2.42.

    Source: A. Goldberg, J. Hartline, A. Karlin, M. Saks, "A Lower Bound on the Competitive Ratio of
    Truthful Auctions", STACS 2004.
    """
    terms = (
        Fraction(-1, bidders) ** more * Fraction(more + 1, more) * comb(bidders - 1, more)
        for more in range(1, bidders)
    )
    return 1 - sum(terms, start=Fraction(0))
