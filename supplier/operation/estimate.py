"""What a supplier may expect to earn, before it stakes: the chain's past, and its own engine. Pure.

The estimate supposes that demand stays what it was, in units, and that each session's members
serve an equal part of it. Gateways do not choose at random: a lower price, or an answer that comes
sooner, gets more than its part, and so this is where to start from, no promise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from contracts import PastClaim
from relay_mining import BPS, UNITS_PER_PRICE, Address, Params, RosterEntry
from supplier.operation.funnel import estimate_membership

NEWCOMER: Address = bytes(20)
"""Stands for the supplier that is thought of; nobody's address."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What was claimed for a service in the epochs looked at."""

    epochs: int
    units: int
    """By weight, all suppliers together."""
    value: int
    """Token base units, before shares."""
    claims: int
    sessions: int
    """Sessions of delegations that were claimed by anyone."""
    fee_bps: int
    """What gateways took, the mean by value, rounded up."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the supplier would put in."""

    stake: int
    """Token base units."""
    unit_price: int
    capacity_units: int | None
    """Units an epoch that the engine can serve; None where it was not measured."""
    gas_tokens: int
    """Token base units that one claim's gas costs; 0 where its price is not set."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One epoch, in units and token base units."""

    member_share: float
    """Share of sessions that the supplier would be a member of."""
    traffic_share: float
    """Its part of the service's traffic."""
    demand_units: int
    """Its part of what was claimed for."""
    served_units: int
    """The same, as far as the engine can serve it."""
    gross: int
    shares: int
    """What source, gateway and protocol would take."""
    gas: int
    net: int
    is_bound_by_engine: bool


def sum_demand(claims: Sequence[PastClaim], service: bytes, epochs: int) -> Demand:
    """What was claimed for a service."""
    own = [each.claim for each in claims if each.claim.session.service == service]
    value = sum(each.value for each in own)
    fees = sum(each.value * each.fee_bps for each in own)
    return Demand(
        epochs=epochs,
        units=sum(each.root.sum for each in own),
        value=value,
        claims=len(own),
        sessions=len({each.session.id for each in own}),
        fee_bps=-(-fees // value) if value else 0,
    )


def add_newcomer(
    candidates: Sequence[RosterEntry], plan: Plan, params: Params
) -> tuple[RosterEntry, ...]:
    """The roster with the supplier in it, without where it stakes too little."""
    lots = min(plan.stake // params.lot_stake, params.lots_max)
    if plan.stake < params.min_stake or not lots:
        return tuple(candidates)
    return (*candidates, RosterEntry(NEWCOMER, plan.unit_price, lots))


def estimate(
    demand: Demand, roster: Sequence[RosterEntry], plan: Plan, params: Params, source_bps: int
) -> Estimate:
    """One epoch's earnings; every division rounds down, costs up."""
    member_share = estimate_membership(roster, NEWCOMER, params.members)
    seats = min(params.members, len(roster))
    traffic_share = member_share / seats if seats else 0.0
    wanted = int(demand.units * traffic_share) // demand.epochs
    served = wanted if plan.capacity_units is None else min(wanted, plan.capacity_units)
    gross = served * plan.unit_price // UNITS_PER_PRICE
    others = source_bps + demand.fee_bps + params.protocol_bps
    shares = -(-gross * others // BPS)
    claims = -int(-demand.sessions * member_share // demand.epochs)
    gas = claims * plan.gas_tokens
    return Estimate(
        member_share=member_share,
        traffic_share=traffic_share,
        demand_units=wanted,
        served_units=served,
        gross=gross,
        shares=shares,
        gas=gas,
        net=gross - shares - gas,
        is_bound_by_engine=served < wanted,
    )
