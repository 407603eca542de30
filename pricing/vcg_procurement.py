"""VCG procurement with a reserve: buy a number of units, each supplier paid what it saved.

A unit nobody supplies costs the reserve, so no supplier is paid more than the reserve for a unit.

Source: W. Vickrey, "Counterspeculation, Auctions, and Competitive Sealed Tenders", Journal of
Finance 16 (1961), 8-37; the payments are Clarke's.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from pricing.crossing import asks_in_line
from pricing.large_books import Integers, Line, require_product
from pricing.market import Book, Fill, Order


def vcg_procurement(asks: Sequence[Order], demand: int, reserve: int) -> tuple[Fill, ...]:
    """Who supplies up to `demand` units at asks of at most `reserve`, and what each is paid.

    Truthful in cost and in capacity: supplier j is paid `Cost(without j) - (Cost - x_j c_j)`.
    With `C(u)` the cost of the first u units of the merit order (the reserve beyond its end), that
    is `C(demand + q_j) - C(demand) - (q_j - x_j) c_j`, one look-up a supplier.
    """
    merit = asks_in_line(Book(asks=tuple(ask for ask in asks if ask.price <= reserve)))
    cost = MeritCost(merit, reserve)
    at_demand = cost(demand)
    fills = []
    reached = 0
    for ask in merit:
        units = min(ask.quantity, demand - reached)
        if units <= 0:
            break
        reached += units
        displaced = cost(demand + ask.quantity) - at_demand
        money = displaced - (ask.quantity - units) * ask.price
        fills.append(Fill(ask.trader, units, money))
    return tuple(fills)


def large_vcg_procurement(
    prices: Integers, units: Integers, demand: int, reserve: int
) -> tuple[Integers, Integers]:
    """The same on arrays: units and money of each ask, zero where it is not bought from."""
    accepted = np.flatnonzero(prices <= reserve)
    merit = Line.of_asks(prices[accepted], units[accepted])
    total = merit.total
    require_product(reserve, demand + total)
    costs = np.cumsum(merit.prices * merit.units)
    bought = merit.take(demand)

    def cost(wanted: Integers) -> Integers:
        inside = np.minimum(wanted, total)
        last = np.minimum(np.searchsorted(merit.reached, inside), merit.units.size - 1)
        within = costs[last] - (merit.reached[last] - inside) * merit.prices[last]
        money: Integers = within + (wanted - inside) * reserve
        return money

    sold, earned = np.zeros_like(units), np.zeros_like(units)
    if accepted.size and demand:
        displaced = cost(demand + merit.units) - cost(np.array([demand]))
        paid = displaced - (merit.units - bought) * merit.prices
        sold[accepted] = merit.scatter(bought)
        earned[accepted] = merit.scatter(np.where(bought > 0, paid, 0))
    return sold, earned


class MeritCost:
    """The cost of the first u units of a merit order, each unit beyond its end at the reserve."""

    def __init__(self, merit: Sequence[Order], reserve: int) -> None:
        self._merit = merit
        self._reserve = reserve
        self._units = list(accumulate((ask.quantity for ask in merit), initial=0))
        self._costs = list(accumulate((ask.quantity * ask.price for ask in merit), initial=0))

    def __call__(self, units: int) -> int:
        """Money for the first `units` units."""
        if units >= self._units[-1]:
            return self._costs[-1] + (units - self._units[-1]) * self._reserve
        last = bisect_left(self._units, units)
        return self._costs[last] - (self._units[last] - units) * self._merit[last - 1].price
