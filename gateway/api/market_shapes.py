"""The JSON of past bids and rounds: money as decimal text, units and epochs as numbers."""

from contracts import Round
from gateway.api.past_bids import PPM, PastBid
from gateway.api.past_orders import PastOrder
from gateway.dashboard import Json
from relay_mining import RosterEntry


def show_bid(bid: PastBid) -> Json:
    """A bid in an epoch of posted asks."""
    return {
        "epoch": bid.epoch,
        "suppliers": bid.suppliers,
        "low": str(bid.low),
        "mean": str(bid.mean),
        "high": str(bid.high),
        "reach_ppm": bid.reach_ppm,
        "paid": None if bid.paid is None else str(bid.paid),
    }


def show_round(epoch: int, found: Round, roster: tuple[RosterEntry, ...]) -> Json:
    """A round as the chain has it, and whom it has serve."""
    return {
        "epoch": epoch,
        "price": str(found.price),
        "asks": found.asks,
        "supply": found.supply,
        "bids": found.bids,
        "demand": found.demand,
        "cleared": found.is_cleared,
        "procured": found.procured,
        "paid": str(found.paid),
        "sellers": [
            {"supplier": "0x" + each.supplier.hex(), "price": str(each.unit_price)}
            for each in roster
        ],
    }


def show_order(order: PastOrder) -> Json:
    """A bid in a round of an auction: what every unit of it is paid, and how that is paid."""
    prices = [each.unit_price for each in order.roster]
    procured = sum(each.units for each in order.roster)
    paid = sum(each.unit_price * each.units for each in order.roster)
    return {
        "epoch": order.epoch,
        "posted": str(order.posted),
        "cleared": order.is_cleared,
        "suppliers": len(prices),
        "low": str(min(prices)) if prices else None,
        "mean": str(-(-paid // procured)) if prices else None,
        "high": str(max(prices)) if prices else None,
        "quantity": order.quantity,
        "units": order.fill.units,
        "reach_ppm": order.fill.units * PPM // order.quantity,
        "paid": str(order.posted) if order.fill.units else None,
        "charge": str(order.fill.charge),
        "claims": str(order.fill.claims),
    }
