"""RSOP, random sampling optimal price: each half is offered the best price of the other.

Source: A. Goldberg, J. Hartline, A. Wright, "Competitive Auctions and Digital Goods", SODA 2001;
ratio at most 4.68: S. Alaei, A. Malekian, A. Srinivasan, EC 2009.
"""

from pricing.market import Book, Outcome, require_unit_lots
from pricing.public_order import in_first_half
from pricing.single_price import best_price, sell_at


def sampled_price(book: Book, seed: bytes) -> Outcome:
    """One unit to each bidder who reaches the best price of the half that it is not in.

    Truthful under every seed, 4.68-competitive with `F2` in expectation, not envy-free: the halves
    pay different prices. Bids of one unit (InvalidBookError).
    """
    require_unit_lots(book)
    first = [bid for bid in book.bids if in_first_half(seed, bid.trader)]
    second = [bid for bid in book.bids if not in_first_half(seed, bid.trader)]
    to_first = sell_at(best_price(second), first)
    to_second = sell_at(best_price(first), second)
    return Outcome(bought=to_first.bought + to_second.bought)
