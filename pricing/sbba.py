"""SBBA: every coin a buyer pays reaches a seller, and still nobody gains by lying.

The excluded seller comes from a public order over identities. Excluding by rank instead would let
the seller of the highest cost ask less and stay (`pricing.controls.rank_excluding_sbba`).

Source: E. Segal-Halevi, A. Hassidim, Y. Aumann, "SBBA: a Strongly-Budget-Balanced Double-Auction
Mechanism", SAGT 2016 (arXiv 1607.05139).
"""

from collections.abc import Callable, Sequence

import numpy as np

from pricing.crossing import Quotes, Terms, asks_in_line, bids_in_line, quote, take
from pricing.large_books import Integers, LargeOutcome, first_unit_lots, quote_unit_lots
from pricing.market import Book, Order, Outcome, fills_at, require_unit_lots
from pricing.public_order import rank


def sbba_terms(quotes: Quotes) -> Terms:
    """The next ask as price and k trades where it suits the k-th buyer, else its bid and k-1."""
    if quotes.units == 0:
        return Terms()
    if quotes.next_ask is not None and quotes.next_ask <= quotes.last_bid:
        return Terms(quotes.units, quotes.next_ask, quotes.next_ask)
    return Terms(quotes.units - 1, quotes.last_bid, quotes.last_bid)


def sbba(book: Book, seed: bytes) -> Outcome:
    """Clear unit lots; truthful, rational, budget exactly balanced, at most one trade is lost."""
    return clear_without(
        book, lambda cheapest: min(cheapest, key=lambda ask: rank(seed, ask.trader))
    )


def large_sbba(bids: Integers, asks: Integers, ask_ranks: Integers) -> LargeOutcome:
    """The same on arrays of prices; ranks are the sellers' places in the public order."""
    quotes = quote_unit_lots(bids, asks)
    terms = sbba_terms(quotes)
    sold = first_unit_lots(asks, quotes.units)
    if terms.units < quotes.units:
        cheapest = np.flatnonzero(sold)
        sold[cheapest[np.argmin(ask_ranks[cheapest])]] = 0
    return LargeOutcome(
        first_unit_lots(-bids, terms.units), sold, terms.buyer_price, terms.seller_price
    )


def clear_without(book: Book, choose: Callable[[Sequence[Order]], Order]) -> Outcome:
    """Clear by `sbba_terms`; where one of the k cheapest sellers is too many, `choose` says who."""
    require_unit_lots(book)
    quotes = quote(book)
    terms = sbba_terms(quotes)
    sellers = asks_in_line(book)[: quotes.units]
    if terms.units < quotes.units:
        sellers.remove(choose(sellers))
    return Outcome(
        fills_at(terms.buyer_price, take(bids_in_line(book), terms.units)),
        fills_at(terms.seller_price, take(sellers, terms.units)),
    )
