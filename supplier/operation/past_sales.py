"""What a price would have earned in sessions that are over. Pure.

Who was a member is a fact, for prices move no draw. Who of the members was asked depends on the
gateway: idle, it takes the cheaper of two drawn at random that it predicts to be as fast, and equal
prices by turns; busy, or where one is faster, it asks whoever is predicted to be done first, and
price decides nothing. The first is supposed here, which makes a price count for as much as it can.
Source of the rule: `power_of_two` in `gateway.routing.balancer`.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from relay_mining import BPS, UNITS_PER_PRICE, Address, RosterEntry


@dataclass(frozen=True, slots=True)
class PastSession:
    """A session that somebody claimed for: its members, and what they served together."""

    epoch: int
    members: tuple[RosterEntry, ...]
    units: int
    """By the weight of all claims."""


@dataclass(frozen=True, slots=True)
class Sales:
    """What a price comes to over some sessions; money in token base units, rounded down."""

    price: int
    sessions: int = 0
    """Those the supplier was a member of."""
    units: int = 0
    gross: int = 0
    net: int = 0
    """After the shares of others and the supplier's own cost."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What comes off each sale."""

    unit_cost: int = 0
    """Token base units that serving a million compute units costs the supplier."""
    shares_bps: int = 0
    """What source, gateway and protocol take."""


def share_at(members: Sequence[RosterEntry], supplier: Address, price: int) -> Fraction:
    """The part of an idle gateway's relays that a member gets at a price."""
    others = [each for each in members if each.supplier != supplier]
    if not others:
        return Fraction(1)
    won = sum(Fraction(_half_points(price, each.unit_price), 2) for each in others)
    pairs = Fraction(len(members) * (len(members) - 1), 2)
    return won / pairs


def simulate(sessions: Iterable[PastSession], supplier: Address, price: int, costs: Costs) -> Sales:
    """What a supplier would have sold at a price in the sessions it was a member of."""
    own = [each for each in sessions if any(e.supplier == supplier for e in each.members)]
    units = sum(int(each.units * share_at(each.members, supplier, price)) for each in own)
    gross = units * price // UNITS_PER_PRICE
    cost = -(-units * costs.unit_cost // UNITS_PER_PRICE)
    net = gross - -(-gross * costs.shares_bps // BPS) - cost
    return Sales(price, len(own), units, gross, net)


def simulate_by_epoch(
    sessions: Iterable[PastSession], supplier: Address, price: int, costs: Costs
) -> dict[int, Sales]:
    """The same, epoch by epoch."""
    by_epoch: dict[int, list[PastSession]] = defaultdict(list)
    for each in sessions:
        by_epoch[each.epoch].append(each)
    return {epoch: simulate(by_epoch[epoch], supplier, price, costs) for epoch in sorted(by_epoch)}


def suggest(sessions: Sequence[PastSession], supplier: Address, costs: Costs) -> tuple[Sales, ...]:
    """The prices worth thinking of, the one that would have earned most first; empty for none.

    Between two prices of rivals the share stands still, so only a rival's price, and one less, can
    be best; nothing is suggested beyond the dearest price that anybody asked.
    """
    prices = {
        price
        for each in sessions
        if any(e.supplier == supplier for e in each.members)
        for entry in each.members
        for price in (entry.unit_price, entry.unit_price - 1)
        if price >= 1
    }
    found = [simulate(sessions, supplier, price, costs) for price in prices]
    return tuple(sorted(found, key=lambda sales: (-sales.net, sales.price)))


def _half_points(price: int, rival: int) -> int:
    """Two for a price below a rival's, one for the same."""
    return 2 if price < rival else 1 if price == rival else 0
