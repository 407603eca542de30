"""P2V, the spot market: a price posted before the epoch to buyers, VCG against it for suppliers.

Within one epoch truthful in value, quantity, cost **and capacity**, and never in deficit, since no
supplier is paid more than the price for a unit. It gives up efficiency for that: a price fixed
beforehand leaves trades unmade.
"""

from dataclasses import dataclass

import numpy as np

from pricing.crossing import take
from pricing.large_books import Integers, LargeBook, served_by_rank
from pricing.market import Book, Outcome, Trader, fills_at
from pricing.public_order import in_public_order
from pricing.vcg_procurement import large_vcg_procurement, vcg_procurement


def posted_price_vcg(book: Book, price: int, seed: bytes) -> Outcome:
    """Procure the demand at `price` by VCG with the price as reserve; buyers in public order."""
    takers = [bid for bid in book.bids if bid.price >= price]
    sold = vcg_procurement(book.asks, sum(bid.quantity for bid in takers), price)
    procured = sum(fill.units for fill in sold)
    return Outcome(fills_at(price, take(in_public_order(seed, takers), procured)), sold)


@dataclass(frozen=True, slots=True, eq=False)
class LargeSpot:
    """The spot market on arrays: units of each bid at the price, units and earnings of each ask."""

    bought: Integers
    sold: Integers
    earned: Integers


def large_posted_price_vcg(book: LargeBook, price: int, bid_ranks: Integers) -> LargeSpot:
    """The same on arrays; ranks are the buyers' places in the public order."""
    wanted = np.where(book.bid_prices >= price, book.bid_units, 0)
    sold, earned = large_vcg_procurement(book.ask_prices, book.ask_units, int(wanted.sum()), price)
    return LargeSpot(served_by_rank(wanted, bid_ranks, int(sold.sum())), sold, earned)


@dataclass(frozen=True, slots=True)
class Balance:
    """Demand and supply that accept a posted price, in units."""

    demand: int
    supply: int


def balance_at(book: Book, price: int) -> Balance:
    """What the book would buy and sell at `price`."""
    return Balance(
        demand=sum(bid.quantity for bid in book.bids if bid.price >= price),
        supply=sum(ask.quantity for ask in book.asks if ask.price <= price),
    )


@dataclass(frozen=True, slots=True)
class RosterLine:
    """A supplier of the epoch: its price for a unit (rounded down) and the units it may claim."""

    supplier: Trader
    unit_price: int
    units: int


def roster(outcome: Outcome) -> tuple[RosterLine, ...]:
    """What the epoch's sessions are drawn from and its claims are paid by."""
    return tuple(
        RosterLine(fill.trader, fill.money // fill.units, fill.units) for fill in outcome.sold
    )
