"""The VCG double auction: efficient and truthful, and the market pays for both.

The baseline that Myerson and Satterthwaite say cannot be had without a deficit.

Source: R. Myerson, M. Satterthwaite, "Efficient Mechanisms for Bilateral Trading", Journal of
Economic Theory 29 (1983), 265-281.
"""

from pricing.crossing import Quotes, Terms, clear_unit_lots
from pricing.market import Book, Outcome


def vcg_terms(quotes: Quotes) -> Terms:
    """All k pairs; buyers pay the lowest bid that would have won, sellers get the highest ask."""
    return Terms(quotes.units, quotes.low, quotes.high) if quotes.units else Terms()


def vcg_double_auction(book: Book) -> Outcome:
    """Clear unit lots; truthful, rational, efficient, and in deficit wherever low < high."""
    return clear_unit_lots(book, vcg_terms)
