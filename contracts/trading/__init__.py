"""Taking part in epoch auctions: one trader's orders, and clearings, round after round."""

from contracts.trading.clearer import Clearer
from contracts.trading.deeds import Deed, Stage, due_clearing, due_deed
from contracts.trading.heads import each_head
from contracts.trading.sealed_orders import SealedOrders
from contracts.trading.trader import AuctionTrader

__all__ = [
    "AuctionTrader",
    "Clearer",
    "Deed",
    "SealedOrders",
    "Stage",
    "due_clearing",
    "due_deed",
    "each_head",
]
