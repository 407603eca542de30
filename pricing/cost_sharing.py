"""Whole wishes sold at one unit price: the most it raises, and the price that raises a target.

Everywhere here an order is a wish: all its `quantity` units or none, worth `price` **together**.
With quantities of one this is the sale of a digital good.

Source: H. Moulin, S. Shenker, "Strategyproof Sharing of Submodular Costs: Budget Balance versus
Efficiency", Economic Theory 18 (2001); as profit extraction: A. Goldberg, J. Hartline,
"Competitiveness via Consensus", SODA 2003.
"""

from collections.abc import Iterable
from fractions import Fraction

from pricing.market import Order


def by_density(orders: Iterable[Order]) -> list[Order]:
    """The orders by value for a unit, highest first; ties by identity."""
    return sorted(orders, key=lambda order: (-Fraction(order.price, order.quantity), order.trader))


def best_revenue(orders: Iterable[Order]) -> int:
    """The most that one unit price raises, rounded down: `F = max_pi pi * D(value/unit >= pi)`."""
    demand = best = 0
    for order in by_density(orders):
        demand += order.quantity
        best = max(best, order.price * demand // order.quantity)
    return best


def best_revenue_of_two(orders: Iterable[Order]) -> int:
    """The most that one price raises from at least two buyers of one unit: `F2`."""
    prices = sorted((order.price for order in orders), reverse=True)
    return max((count * price for count, price in enumerate(prices, 1) if count > 1), default=0)


def share_cost(orders: Iterable[Order], target: int) -> Fraction | None:
    """The least unit price at which those who accept it raise exactly `target`; None if none does.

    The fixed point of dropping all who would not pay their proportional share. A wish more lowers
    the price for all (cross-monotone), so no value is worth misreporting, for groups either.
    """
    if target == 0:
        return Fraction(0)
    demand = sharing = 0
    for order in by_density(orders):
        demand += order.quantity
        if order.price * demand >= target * order.quantity:
            sharing = demand
    return Fraction(target, sharing) if sharing else None


def charge(unit_price: Fraction, quantity: int) -> int:
    """What `quantity` units cost at a unit price, rounded up: the target is raised in full."""
    return -(-unit_price.numerator * quantity // unit_price.denominator)
