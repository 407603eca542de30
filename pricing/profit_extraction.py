"""RSPE, random sampling profit extraction: each half is asked for what the other could have paid.

Source: A. Fiat, A. Goldberg, J. Hartline, A. Karlin, "Competitive Generalized Auctions", STOC 2002.
"""

from collections.abc import Sequence

from pricing.cost_sharing import best_revenue, charge, share_cost
from pricing.market import Book, Order, Outcome, require_unit_lots
from pricing.public_order import in_first_half
from pricing.single_price import sell_at


def profit_extraction(book: Book, seed: bytes) -> Outcome:
    """One unit to each in a half that raises, by cost sharing, the other half's best revenue.

    Truthful under every seed; earns the smaller of the two best revenues, which is 4-competitive
    with `F2` in expectation, exactly so for the bids 1, 2. Bids of one unit (InvalidBookError).
    """
    require_unit_lots(book)
    first = [bid for bid in book.bids if in_first_half(seed, bid.trader)]
    second = [bid for bid in book.bids if not in_first_half(seed, bid.trader)]
    from_first = extract(first, best_revenue(second))
    from_second = extract(second, best_revenue(first))
    return Outcome(bought=from_first.bought + from_second.bought)


def extract(bids: Sequence[Order], target: int) -> Outcome:
    """One unit to each of the most bidders that raise `target` in equal shares, rounded up each."""
    share = share_cost(bids, target)
    return sell_at(None if share is None else charge(share, 1), bids)
