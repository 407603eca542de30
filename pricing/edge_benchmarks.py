"""What AERIA is measured against: two truthful auctions of the same plans on the same offer."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from pricing.cost_sharing import by_density
from pricing.edge_market import EdgeOffer, sell_edge
from pricing.market import Book, Order, Outcome
from pricing.public_order import in_first_half


def edge_sampled_price(book: Book, offer: EdgeOffer, seed: bytes) -> Outcome:
    """RSOP over plans: each half of the admitted users is offered the other's best unit price.

    Truthful in value under every seed.
    """

    def unit_prices(orders: Sequence[Order]) -> list[Fraction | None]:
        first = [order for order in orders if in_first_half(seed, order.trader)]
        second = [order for order in orders if not in_first_half(seed, order.trader)]
        to_first, to_second = _best_unit_price(second), _best_unit_price(first)
        return [to_first if in_first_half(seed, each.trader) else to_second for each in orders]

    return sell_edge(book, offer, unit_prices)


def half_capacity_vickrey(book: Book, offer: EdgeOffer) -> Outcome:
    """The users of highest density at the first density that no longer fits, or at cost.

    Capacity is made scarce: half of what there is, and of what is asked for, rounded up, but room
    for any one user. Truthful in value, envy-free.
    """
    asked = sum(bid.quantity for bid in book.bids if bid.quantity <= offer.demand_max)
    half = max(offer.demand_max, -(-min(offer.capacity, asked) // 2))
    return sell_edge(
        book, replace(offer, capacity=half), lambda orders: [Fraction(0)] * len(orders)
    )


def _best_unit_price(orders: Sequence[Order]) -> Fraction | None:
    """The unit price that earns most, the lowest of several; None without orders."""
    best, price, demand = Fraction(-1), None, 0
    for order in by_density(orders):
        demand += order.quantity
        density = Fraction(order.price, order.quantity)
        if density * demand >= best:
            best, price = density * demand, density
    return price
