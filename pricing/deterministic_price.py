"""DOP, the deterministic optimal price auction: to each, the price that is best for the others.

Source: A. Goldberg, J. Hartline, A. Wright, "Competitive Auctions and Digital Goods", SODA 2001.
"""

from pricing.market import Book, Fill, Outcome, fills_at, require_unit_lots
from pricing.single_price import best_price


def deterministic_price(book: Book) -> Outcome:
    """One unit to each bidder who reaches the best price of the others; ties of price go low.

    Truthful, but not competitive: bids that pull each other's prices apart leave next to nothing.
    A bidder alone gets nothing. Quadratic in the bids, which are of one unit (InvalidBookError).
    """
    require_unit_lots(book)
    fills: list[Fill] = []
    for bid in book.bids:
        offer = best_price(other for other in book.bids if other.trader != bid.trader)
        if offer is not None and bid.price >= offer:
            fills += fills_at(offer, [(bid.trader, 1)])
    return Outcome(bought=tuple(fills))
