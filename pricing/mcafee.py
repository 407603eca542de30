"""McAfee's double auction: trade reduction, but only where no price outside the trade will do.

Source: R. P. McAfee, "A Dominant Strategy Double Auction", Journal of Economic Theory 56 (1992),
434-450.
"""

from pricing.crossing import Quotes, Terms, clear_unit_lots
from pricing.market import Book, Outcome
from pricing.trade_reduction import trade_reduction_terms


def mcafee_terms(quotes: Quotes) -> Terms:
    """All k pairs at the midpoint of the pair after them where it suits the k-th, else k-1.

    The midpoint is rounded down; any function of the next pair alone would keep the promises.
    """
    if quotes.units and quotes.next_bid is not None and quotes.next_ask is not None:
        midpoint = (quotes.next_bid + quotes.next_ask) // 2
        if quotes.last_ask <= midpoint <= quotes.last_bid:
            return Terms(quotes.units, midpoint, midpoint)
    return trade_reduction_terms(quotes)


def mcafee(book: Book) -> Outcome:
    """Clear unit lots; truthful, rational, never in deficit, at most the least trade is lost."""
    return clear_unit_lots(book, mcafee_terms)
