"""Multi-unit trade reduction: the order that holds the last crossing unit of each side is left out.

Truthful in price. **Not in quantity**: a seller that withholds capacity can push the marginal
order elsewhere and earn more on what it still offers.

Source: P. Huang, A. Scheller-Wolf, K. Sycara, "Design of a Multi-Unit Double Auction E-Market",
Computational Intelligence 18 (2002), 596-617; the long side is rationed in proportion here.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate

import numpy as np

from pricing.crossing import asks_in_line, bids_in_line, quote
from pricing.large_books import Integers, LargeBook, LargeOutcome, Line, require_product
from pricing.market import Book, Order, Outcome, Trader, fills_at
from pricing.public_order import in_public_order


def multi_unit_trade_reduction(book: Book, seed: bytes) -> Outcome:
    """Clear orders of any quantity; truthful in price only, rational, never in deficit.

    Buyers pay the marginal bid, sellers receive the marginal ask, and the longer side shares what
    there is in proportion to quantity, the odd units by public order.
    """
    quotes = quote(book)
    buyers = _before_marginal(bids_in_line(book), quotes.units)
    sellers = _before_marginal(asks_in_line(book), quotes.units)
    units = min(_total(buyers), _total(sellers))
    return Outcome(
        fills_at(quotes.last_bid, share(in_public_order(seed, buyers), units)),
        fills_at(quotes.last_ask, share(in_public_order(seed, sellers), units)),
    )


def share(orders: Sequence[Order], units: int) -> Iterator[tuple[Trader, int]]:
    """`units` in proportion to quantities, each within one of its exact share; sums exactly.

    The running share is rounded down and differenced, so no order gets more than it asked for
    while `units` is at most the total.
    """
    total = _total(orders)
    running = accumulate((order.quantity for order in orders), initial=0)
    bounds = [units * reached // total if total else 0 for reached in running]
    for order, start, end in zip(orders, bounds, bounds[1:], strict=False):
        yield order.trader, end - start


def large_multi_unit_trade_reduction(
    book: LargeBook, bid_ranks: Integers, ask_ranks: Integers
) -> LargeOutcome:
    """The same on arrays; ranks are places in the public order (distinct on a side)."""
    buyers, sellers, quotes = book.in_line()
    wanted = np.where(buyers.reached < quotes.units, buyers.units, 0)
    offered = np.where(sellers.reached < quotes.units, sellers.units, 0)
    units = min(int(wanted.sum()), int(offered.sum()))
    return LargeOutcome(
        _large_share(buyers, wanted, bid_ranks, units),
        _large_share(sellers, offered, ask_ranks, units),
        quotes.last_bid,
        quotes.last_ask,
    )


def _large_share(line: Line, eligible: Integers, ranks: Integers, units: int) -> Integers:
    by_rank = np.argsort(ranks)
    quantities = line.scatter(eligible)[by_rank]
    reached = np.cumsum(quantities)
    if not units:
        return np.zeros_like(reached)
    require_product(units, int(reached[-1]))
    shared = np.empty_like(reached)
    shared[by_rank] = np.diff(units * reached // reached[-1], prepend=0)
    return shared


def _before_marginal(line: Sequence[Order], units: int) -> Sequence[Order]:
    """The orders before the one that holds unit `units` of the line."""
    reached = accumulate(order.quantity for order in line)
    return line[: sum(total < units for total in reached)]


def _total(orders: Sequence[Order]) -> int:
    return sum(order.quantity for order in orders)
