"""Trade reduction: the last pair that could trade sets the prices and is left out.

Source: R. P. McAfee, "A Dominant Strategy Double Auction", Journal of Economic Theory 56 (1992),
the second of its two cases taken always.
"""

from pricing.crossing import Quotes, Terms, clear_unit_lots
from pricing.market import Book, Outcome


def trade_reduction_terms(quotes: Quotes) -> Terms:
    """All pairs but the k-th trade; buyers pay its bid, sellers receive its ask."""
    if quotes.units == 0:
        return Terms()
    return Terms(quotes.units - 1, quotes.last_bid, quotes.last_ask)


def trade_reduction(book: Book) -> Outcome:
    """Clear unit lots; truthful, rational, never in deficit, the market keeps the spread."""
    return clear_unit_lots(book, trade_reduction_terms)
