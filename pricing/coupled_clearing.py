"""Clearing of many services at once whose suppliers share one capacity among them.

A linear program finds who serves what; its dual prices clear every service. Solved in floating
point, the one place in this package, and for that reason **checked exactly**: allocation and prices
are rounded to integers, the allocation is feasible as it stands, and weak duality with the integer
prices bounds, in integers, how far it can be from the best (`gap`).

Efficient and at one price a service, hence not truthful: a large trader moves a price by lying.

Source: G. Dantzig, "Linear Programming and Extensions" (1963) for the duality; L. Shapley,
M. Shubik, "The Assignment Game I", International Journal of Game Theory 1 (1971), for its prices.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pricing.large_books import Integers, first_units, require_product
from pricing.market import InvalidBookError

_SLACK = 1e-6
"""How far below an integer a solver's number may lie and still mean that integer."""


class UnsolvedError(RuntimeError):
    """There is no solver, it gave up, or its answer is further from the best than was allowed."""


@dataclass(frozen=True, slots=True, eq=False)
class CoupledBook:
    """Bids of B orders for S services, and what each unit costs and loads each of J suppliers."""

    bid_services: Integers
    bid_prices: Integers
    bid_units: Integers
    costs: Integers
    """Money for a unit, J by S."""
    loads: Integers
    """Capacity a unit takes, J by S, at least 1."""
    capacities: Integers

    def __post_init__(self) -> None:
        suppliers, services = self.costs.shape
        bids = self.bid_services.shape
        if self.loads.shape != self.costs.shape or self.capacities.shape != (suppliers,):
            raise InvalidBookError("costs, loads and capacities differ in their suppliers")
        if self.bid_prices.shape != bids or self.bid_units.shape != bids:
            raise InvalidBookError("services, prices and units of the bids differ in number")
        if min(map(_least, (self.bid_prices, self.bid_units, self.costs, self.capacities))) < 0:
            raise InvalidBookError("money and units are not negative")
        if _least(self.loads) < 1:
            raise InvalidBookError("a unit loads its supplier by at least 1")
        if not ((self.bid_services >= 0) & (self.bid_services < services)).all():
            raise InvalidBookError("a bid is for a service that is not in the book")
        money = max(_most(self.bid_prices), _most(self.costs))
        require_product(money, int(self.bid_units.sum()) + int(self.capacities.sum()))


@dataclass(frozen=True, slots=True, eq=False)
class CoupledClearing:
    """Units of each bid, units of each supplier in each service, and one price a service."""

    bought: Integers
    sold: Integers
    prices: Integers
    welfare: int
    """Value less cost of what trades."""
    bound: int
    """What no allocation can exceed, from the prices."""

    @property
    def gap(self) -> int:
        """The most welfare that may have been missed; 0 proves the clearing efficient."""
        return self.bound - self.welfare


def clear_coupled(book: CoupledBook, gap_max: int | None = None) -> CoupledClearing:
    """Clear all services together; every trade rational, the budget exactly balanced.

    With loads of 1 the program is a network flow, whose corners are integers, and the gap is 0.
    Raises UnsolvedError where the solver fails or the gap exceeds `gap_max`.
    """
    flows, marginals = _solve(book)
    prices = np.floor(np.maximum(marginals, 0) + _SLACK).astype(np.int64)
    bought, sold = _match(book, _within_capacity(book, flows, prices), prices)
    found = CoupledClearing(
        bought, sold, prices, compute_welfare(book, bought, sold), compute_bound(book, prices)
    )
    verify_coupled(book, found)
    if gap_max is not None and found.gap > gap_max:
        raise UnsolvedError(f"welfare {found.welfare} may be {found.gap} short")
    return found


def compute_welfare(book: CoupledBook, bought: Integers, sold: Integers) -> int:
    """Value of the units bought less the cost of the units sold, exactly."""
    return int((bought * book.bid_prices).sum()) - int((sold * book.costs).sum())


def compute_bound(book: CoupledBook, prices: Integers) -> int:
    """The dual objective at any prices: no feasible allocation has more welfare.

    Buyers' best surplus plus each supplier's best earnings were its whole capacity put to its best
    service, rounded up.
    """
    buyers = book.bid_units * np.maximum(book.bid_prices - prices[book.bid_services], 0)
    margins = np.maximum(prices - book.costs, 0) * book.capacities[:, None]
    best = (-(-margins // book.loads)).max(axis=1, initial=0)
    return int(buyers.sum()) + int(best.sum())


def verify_coupled(book: CoupledBook, clearing: CoupledClearing) -> None:
    """Raise InvalidBookError unless the clearing is feasible, rational, balanced, and says so.

    Exact and fast: whoever doubts a clearing needs no solver.
    """
    bought, sold, prices = clearing.bought, clearing.sold, clearing.prices
    demand = np.zeros_like(prices)
    np.add.at(demand, book.bid_services, bought)
    checks = {
        "a negative number": min(map(_least, (bought, sold, prices))) >= 0,
        "a bid beyond its units": bool((bought <= book.bid_units).all()),
        "a supplier beyond its capacity": bool(
            ((sold * book.loads).sum(axis=1) <= book.capacities).all()
        ),
        "a service unbalanced": bool((demand == sold.sum(axis=0)).all()),
        "a buyer above its bid": bool(
            (book.bid_prices >= prices[book.bid_services])[bought > 0].all()
        ),
        "a supplier below its cost": bool((book.costs <= prices)[sold > 0].all()),
        "a wrong welfare": clearing.welfare == compute_welfare(book, bought, sold),
        "a wrong bound": clearing.bound == compute_bound(book, prices),
    }
    wrong = [name for name, holds in checks.items() if not holds]
    if wrong:
        raise InvalidBookError(f"the clearing has {', '.join(wrong)}")


def _solve(book: CoupledBook) -> tuple[Integers, NDArray[np.float64]]:
    """Rounded flows (J by S) and the dual price of every service, by HiGHS.

    A pair whose cost is not below the best bid for the service adds nothing, and is left out; no
    price needs to be above that bid.
    """
    # Imported here: the nodes import this package, clear nothing coupled, and do without.
    try:
        from scipy.optimize import linprog
        from scipy.sparse import csr_array
    except ImportError as error:
        raise UnsolvedError("it takes scipy: pip install 'lode[clearing]'") from error

    suppliers, services = book.costs.shape
    bids = book.bid_prices.size
    best_bid = _best_bids(book)
    who, what = np.nonzero(book.costs < best_bid)
    flows = np.zeros_like(book.costs)
    if not who.size:
        return flows, best_bid.astype(np.float64)
    places = np.arange(who.size) + bids
    matrix = csr_array(
        (
            np.concatenate([np.ones(bids), -np.ones(who.size), book.loads[who, what]]),
            (
                np.concatenate([book.bid_services, what, services + who]),
                np.concatenate([np.arange(bids), places, places]),
            ),
        ),
        shape=(services + suppliers, bids + who.size),
    )
    upper = np.concatenate([book.bid_units.astype(np.float64), np.full(who.size, np.inf)])
    result = linprog(
        np.concatenate([-book.bid_prices, book.costs[who, what]]),
        A_ub=matrix,
        b_ub=np.concatenate([np.zeros(services), book.capacities]),
        bounds=np.column_stack([np.zeros_like(upper), upper]),
        method="highs-ds",
    )
    if not result.success:
        raise UnsolvedError(result.message)
    flows[who, what] = np.floor(result.x[bids:] + _SLACK)
    return flows, np.minimum(-result.ineqlin.marginals[:services], best_bid)


def _best_bids(book: CoupledBook) -> Integers:
    """The highest bid for any unit of each service, or 0."""
    best = np.zeros(book.costs.shape[1], dtype=np.int64)
    np.maximum.at(best, book.bid_services, np.where(book.bid_units > 0, book.bid_prices, 0))
    return best


def _within_capacity(book: CoupledBook, flows: Integers, prices: Integers) -> Integers:
    """The flows at a loss taken out, and those of a supplier rounded beyond its capacity cut."""
    rational = np.where(book.costs <= prices, np.maximum(flows, 0), 0)
    over = (rational * book.loads).sum(axis=1) > book.capacities
    for supplier in np.flatnonzero(over):
        room = int(book.capacities[supplier])
        for service in np.flatnonzero(rational[supplier]):
            load = int(book.loads[supplier, service])
            rational[supplier, service] = min(int(rational[supplier, service]), room // load)
            room -= load * int(rational[supplier, service])
    return rational


def _match(book: CoupledBook, flows: Integers, prices: Integers) -> tuple[Integers, Integers]:
    """In each service, what both sides take at the price: best bids and cheapest units first."""
    bought, sold = np.zeros_like(book.bid_units), np.zeros_like(flows)
    accepts = book.bid_prices >= prices[book.bid_services]
    in_line = np.lexsort((-book.bid_prices, book.bid_services))
    in_line = in_line[accepts[in_line]]
    starts = np.searchsorted(book.bid_services[in_line], np.arange(prices.size + 1))
    for service in np.flatnonzero(flows.any(axis=0)):
        bids = in_line[starts[service] : starts[service + 1]]
        asks = np.argsort(book.costs[:, service], kind="stable")
        units = min(int(book.bid_units[bids].sum()), int(flows[:, service].sum()))
        bought[bids] = first_units(book.bid_units[bids], units)
        sold[asks, service] = first_units(flows[asks, service], units)
    return bought, sold


def _least(numbers: Integers) -> int:
    return int(numbers.min()) if numbers.size else 1


def _most(numbers: Integers) -> int:
    return int(numbers.max()) if numbers.size else 1
