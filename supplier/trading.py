"""A supplier's asks in the epoch auctions of its services."""

from contracts import Market, OrderSide, OrderTerms, Sender
from contracts.trading import AuctionTrader, SealedOrders
from node.settings import parse_hex
from supplier.settings import Settings

ORDERS_FILE = "orders.json"


def open_trader(settings: Settings, market: Market, sender: Sender) -> AuctionTrader:
    """Asks what the settings say, round after round; the operator puts the bonds down."""
    asks = {
        parse_hex("auction.asks", service, 32): OrderTerms(each.price, each.quantity)
        for service, each in settings.auction.asks.items()
    }
    orders = SealedOrders(settings.data_dir / ORDERS_FILE)
    return AuctionTrader(market, sender, OrderSide.ASK, settings.supplier(), asks, orders)
