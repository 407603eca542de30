"""What an edge supplier offers for one round, which users it can take on, and what they pay.

An order is a user's plan: `quantity` units of edge rate or nothing, worth `price` together.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeAlias

from pricing.cost_sharing import by_density, charge
from pricing.market import Book, Fill, Order, Outcome


@dataclass(frozen=True, slots=True)
class EdgeOffer:
    """Edge rate for sale: `capacity` units, each costing `unit_cost` to supply.

    A wish for more than `demand_max` units is not taken: a user who is most of the demand moves
    every revenue estimate.
    """

    capacity: int
    unit_cost: int
    demand_max: int

    def __post_init__(self) -> None:
        if self.unit_cost < 0 or not 1 <= self.demand_max <= self.capacity:
            raise ValueError("the demand limit lies within the capacity, and no cost is negative")


@dataclass(frozen=True, slots=True)
class Admission:
    """The orders that fit together, and the unit price below which some order did not."""

    orders: tuple[Order, ...]
    floor: Fraction


def admit(orders: Iterable[Order], offer: EdgeOffer) -> Admission:
    """The orders of highest density up to the first that overflows the capacity.

    That order's density is the floor: what an admitted user must at least beat, whatever it reports
    above it, so paying no less keeps admission truthful.
    """
    left = offer.capacity
    admitted: list[Order] = []
    for order in by_density(each for each in orders if each.quantity <= offer.demand_max):
        if order.quantity > left:
            return Admission(tuple(admitted), Fraction(order.price, order.quantity))
        left -= order.quantity
        admitted.append(order)
    return Admission(tuple(admitted), Fraction(0))


UnitPrices: TypeAlias = Callable[[Sequence[Order]], Sequence[Fraction | None]]
"""From the admitted orders, valued above cost, the unit price above cost of each; None: no sale."""


def sell_edge(book: Book, offer: EdgeOffer, unit_prices: UnitPrices) -> Outcome:
    """Each admitted user served whose plan is worth what it costs at the user's unit price.

    The price is the rule's plus the cost, and no lower than the floor of the admission; the charge
    is rounded up.
    """
    admission = admit(book.bids, offer)
    shares = unit_prices(_above_cost(admission.orders, offer.unit_cost))
    fills = []
    for order, share in zip(admission.orders, shares, strict=True):
        if share is not None:
            money = charge(max(share + offer.unit_cost, admission.floor), order.quantity)
            if order.price >= money:
                fills.append(Fill(order.trader, order.quantity, money))
    return Outcome(bought=tuple(fills))


def _above_cost(orders: Iterable[Order], unit_cost: int) -> list[Order]:
    """The orders by what their value leaves above the cost of supplying them, at least 0."""
    return [
        replace(order, price=max(0, order.price - unit_cost * order.quantity)) for order in orders
    ]
