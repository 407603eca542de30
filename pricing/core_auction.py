"""CORE: consensus estimates of revenue, extracted by cost sharing.

Source: A. Goldberg, J. Hartline, "Competitiveness via Consensus", SODA 2003.
"""

from fractions import Fraction

import numpy as np

from pricing.consensus import Ladder
from pricing.cost_sharing import best_revenue_of_two
from pricing.large_books import Integers, require_product
from pricing.market import Book, Fill, Outcome, require_unit_lots
from pricing.profit_extraction import extract
from pricing.vickrey import vickrey

CORE_BASE = Fraction(2)
CORE_RATIO = 3.386294361119891
"""`2 (1 + ln 2)`: the revenue is in expectation at least `F2` divided by this."""
VICKREY_WORDS = 10_894_944_211_293_538_408
"""Coins below this, `2^64 / (1 + ln 2)` of them, sell one unit by Vickrey."""


def core_auction(book: Book, coin: int, offset: int) -> Outcome:
    """One unit to each bidder who takes part in raising the others' rounded best revenue.

    `coin` and `offset` are words drawn after the bids are committed. Truthful under every draw,
    `CORE_RATIO`-competitive with `F2` in expectation, exactly so for the bids 1, 2. Bids of one
    unit (InvalidBookError). Quadratic as written; `large_core_auction` is the same for large books.
    """
    require_unit_lots(book)
    if coin < VICKREY_WORDS:
        return vickrey(book, 1)
    ladder = Ladder(CORE_BASE, offset)
    fills: list[Fill] = []
    for bid in book.bids:
        others = (other for other in book.bids if other.trader != bid.trader)
        sale = extract(book.bids, ladder.round_down(best_revenue_of_two(others)))
        fills += (fill for fill in sale.bought if fill.trader == bid.trader)
    return Outcome(bought=tuple(fills))


def large_core_auction(prices: Integers, coin: int, offset: int) -> Integers:
    """What each bidder pays, -1 where it gets nothing, of bids in the order of their identities.

    Equal to `core_auction`, in time `O(n log n)`. `len(prices) * max(prices)` must stay below 2^63
    (InvalidBookError).
    """
    count = len(prices)
    require_product(count, int(prices.max(initial=0)))
    order = np.argsort(-prices, kind="stable")
    ranked = prices[order]
    paid = _vickrey(ranked) if coin < VICKREY_WORDS else _share(ranked, offset)
    payments = np.empty(count, dtype=np.int64)
    payments[order] = paid
    return payments


def _vickrey(ranked: Integers) -> Integers:
    paid = np.full(len(ranked), -1, dtype=np.int64)
    paid[:1] = ranked[1] if len(ranked) > 1 else 0
    return paid


def _share(ranked: Integers, offset: int) -> Integers:
    paid = np.full(len(ranked), -1, dtype=np.int64)
    revenue = ranked * np.arange(1, len(ranked) + 1)
    others = _best_revenue_of_others(ranked, revenue)
    rungs = np.array((0, *Ladder(CORE_BASE, offset).rungs(int(others.max(initial=0)))), np.int64)
    targets = rungs[np.searchsorted(rungs, others, side="right") - 1]
    for target in np.unique(targets):
        raising = np.flatnonzero(revenue >= target)
        if len(raising):
            sharing = int(raising[-1]) + 1
            winners = np.flatnonzero(targets[:sharing] == target)
            paid[winners] = -(-int(target) // sharing)
    return paid


def _best_revenue_of_others(ranked: Integers, revenue: Integers) -> Integers:
    """`F2` without each bidder: those above keep their rank, those below move up by one."""
    best = np.zeros(len(ranked), dtype=np.int64)
    if len(ranked) > 2:
        above = revenue[:-1].copy()
        above[0] = 0
        best[1:] = np.maximum.accumulate(above)
        below = revenue[1:] - ranked[1:]
        below[0] = 0
        best[:-1] = np.maximum(best[:-1], np.maximum.accumulate(below[::-1])[::-1])
    return best
