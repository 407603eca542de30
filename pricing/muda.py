"""MUDA: each random half of the market trades at the price that would clear the other half.

Source: E. Segal-Halevi, A. Hassidim, Y. Aumann, "MUDA: A Truthful Multi-Unit Double-Auction
Mechanism", AAAI 2018 (arXiv 1712.06848), its variant with a random order on the long side.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pricing.crossing import Quotes, quote, take
from pricing.large_books import Flags, Integers, LargeBook, LargeOutcome, served_by_rank
from pricing.market import Book, Order, Outcome, fills_at
from pricing.public_order import in_first_half, in_public_order
from pricing.uniform_price import clamped_price


def muda(book: Book, seed: bytes) -> Outcome:
    """Clear orders of any quantity; truthful in price, quantity and capacity, budget balanced.

    A half in which nothing would trade names no price, and the other half then does not trade.
    """
    first, second = _half(book, seed, first=True), _half(book, seed, first=False)
    one = _trade_at(_price(quote(second)), first, seed)
    other = _trade_at(_price(quote(first)), second, seed)
    return Outcome(one.bought + other.bought, one.sold + other.sold)


@dataclass(frozen=True, slots=True, eq=False)
class LargeDraw:
    """The public randomness of a large book: who is in the first half, and places in the order."""

    bid_first: Flags
    ask_first: Flags
    bid_ranks: Integers
    ask_ranks: Integers


def large_muda(book: LargeBook, draw: LargeDraw) -> tuple[LargeOutcome, LargeOutcome]:
    """The same on arrays, an outcome for each half (zeros at the other half's positions)."""
    first = book.restrict(draw.bid_first, draw.ask_first)
    second = book.restrict(~draw.bid_first, ~draw.ask_first)
    return (
        _large_trade_at(_price(second.in_line()[2]), first, draw),
        _large_trade_at(_price(first.in_line()[2]), second, draw),
    )


def _price(quotes: Quotes) -> int | None:
    """The midpoint of the interval that clears, or None where nothing trades."""
    return clamped_price(quotes) if quotes.units else None


def _half(book: Book, seed: bytes, *, first: bool) -> Book:
    def ours(orders: Sequence[Order]) -> tuple[Order, ...]:
        return tuple(order for order in orders if in_first_half(seed, order.trader) is first)

    return Book(ours(book.bids), ours(book.asks))


def _trade_at(price: int | None, book: Book, seed: bytes) -> Outcome:
    """Whoever accepts the price trades; the long side is served in the public order."""
    if price is None:
        return Outcome()
    buyers = in_public_order(seed, (bid for bid in book.bids if bid.price >= price))
    sellers = in_public_order(seed, (ask for ask in book.asks if ask.price <= price))
    units = min(sum(bid.quantity for bid in buyers), sum(ask.quantity for ask in sellers))
    return Outcome(fills_at(price, take(buyers, units)), fills_at(price, take(sellers, units)))


def _large_trade_at(price: int | None, book: LargeBook, draw: LargeDraw) -> LargeOutcome:
    if price is None:
        price = 0
        wanted, offered = np.zeros_like(book.bid_units), np.zeros_like(book.ask_units)
    else:
        wanted = np.where(book.bid_prices >= price, book.bid_units, 0)
        offered = np.where(book.ask_prices <= price, book.ask_units, 0)
    units = min(int(wanted.sum()), int(offered.sum()))
    return LargeOutcome(
        served_by_rank(wanted, draw.bid_ranks, units),
        served_by_rank(offered, draw.ask_ranks, units),
        price,
        price,
    )
