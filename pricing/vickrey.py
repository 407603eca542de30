"""The k-unit Vickrey auction.

Source: W. Vickrey, "Counterspeculation, Auctions, and Competitive Sealed Tenders", Journal of
Finance 16 (1961); with a reserve: R. Myerson, "Optimal Auction Design", Mathematics of Operations
Research 6 (1981).
"""

from pricing.market import Book, Outcome, fills_at, require_unit_lots


def vickrey(book: Book, units: int, reserve: int = 0) -> Outcome:
    """The `units` highest bidders at the reserve or above, each at the first losing bid.

    The price is the larger of that bid and the reserve. Ties are broken by identity. Truthful,
    individually rational and envy-free. Bids of one unit (InvalidBookError).
    """
    require_unit_lots(book)
    ranked = sorted(
        (bid for bid in book.bids if bid.price >= reserve),
        key=lambda bid: (-bid.price, bid.trader),
    )
    price = max(ranked[units].price, reserve) if len(ranked) > units else reserve
    return Outcome(bought=fills_at(price, ((bid.trader, 1) for bid in ranked[:units])))
