"""The gateway's round of edge inference as a mechanism: AERIA-P on bids net of what relays cost."""

from gateway.edge.rounds import Auctioneer, Wish, clear
from pricing import Book, Fill, Ladder, Outcome, Trader, draw_word
from simulations.auctions.promises import QUANTITY_MAX

CAPACITY = 3 * QUANTITY_MAX
"""The rate that is free at the session's members."""
RATE_MAX = QUANTITY_MAX + 1
"""What one supplier gives."""
COSTS = 3
"""A user's relay costs 0, 1 or 2 at the suppliers' asks, whatever rate its deadline asks for."""
BASE = Auctioneer(window_s=0, users_expected=20).base


def cost_of(trader: Trader) -> int:
    """What the relay of a user, or of any identity of it, costs."""
    return trader.rstrip(b"'")[-1] % COSTS


def gateway_round(book: Book, seed: bytes) -> Outcome:
    """Who is served and pays what, cost and premium, of bids for whole plans at a rate.

    A bid below the relay's cost is refused before the round, as the gateway does.
    """
    wishes = {
        bid.trader: Wish(bid.quantity, bid.price - cost_of(bid.trader))
        for bid in book.bids
        if bid.price >= cost_of(bid.trader)
    }
    ladder = Ladder(BASE, draw_word(seed, b"edge round"))
    premiums = clear(wishes, CAPACITY, RATE_MAX, ladder)
    return Outcome(
        bought=tuple(
            Fill(trader, wishes[trader].rate, cost_of(trader) + premium)
            for trader, premium in premiums.items()
        )
    )
