"""Rules in which lying pays, kept to show that the predicates catch them. Never used by the market.

`uniform_price` and `multi_unit_trade_reduction` break promises too, and have files of their own.
"""

from collections.abc import Sequence

from pricing.crossing import asks_in_line, bids_in_line, quote, take
from pricing.market import Book, Fill, Order, Outcome
from pricing.sbba import clear_without


def first_price(book: Book, units: int = 1) -> Outcome:
    """Sell `units` to the highest bids, each at its own price: bidding less than the value pays."""
    return Outcome(bought=_at_own_price(bids_in_line(book), units))


def pay_as_bid(book: Book) -> Outcome:
    """Trade every crossing unit, buyers paying their bids and sellers getting their asks."""
    units = quote(book).units
    return Outcome(
        _at_own_price(bids_in_line(book), units), _at_own_price(asks_in_line(book), units)
    )


def rank_excluding_sbba(book: Book) -> Outcome:
    """SBBA leaving out the seller of the highest ask: whoever would be left out asks for less."""
    return clear_without(book, lambda cheapest: cheapest[-1])


def _at_own_price(line: Sequence[Order], units: int) -> tuple[Fill, ...]:
    prices = {order.trader: order.price for order in line}
    return tuple(Fill(who, got, got * prices[who]) for who, got in take(line, units) if got)
