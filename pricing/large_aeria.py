"""AERIA for many users at once, equal to `pricing.aeria` to the last unit.

Sorted by density, every question about the others is one about suffixes: a price set by a later
user's density keeps raising a target without user i as long as its spare demand covers i's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from pricing.consensus import Ladder
from pricing.edge_market import EdgeOffer
from pricing.large_books import Flags, Integers, require_product

NOBODY = -1


@dataclass(frozen=True, slots=True)
class _Admitted:
    """Admitted users by falling density: value above cost, demand, and demand up to each."""

    net: Integers
    demand: Integers
    total: Integers


def large_aeria_envy_free(
    values: Integers, demands: Integers, offer: EdgeOffer, ladder: Ladder
) -> Integers:
    """What each user pays under AERIA-E, -1 where it is not served.

    Users come in the order of their identities, with demands of at least 1. `sum(values) *
    max(demands)`, `max(values) * sum(demands)` and twice the unit cost times `max(demands)` must
    stay below 2^63, `max(values) * max(demands)` below 2^52, so that no two densities are one float
    (InvalidBookError). The same holds of the other two.
    """
    return _payments(values, demands, offer, _shared_by_all, ladder)


def large_aeria_truthful(
    values: Integers, demands: Integers, offer: EdgeOffer, ladder: Ladder
) -> Integers:
    """What each user pays under AERIA-T, -1 where it is not served."""
    return _payments(values, demands, offer, _shared_with_others, ladder)


def large_aeria_posted(
    values: Integers, demands: Integers, offer: EdgeOffer, ladder: Ladder
) -> Integers:
    """What each user pays under AERIA-P, -1 where it is not served."""
    return _payments(values, demands, offer, _raised_by_others, ladder)


_Shares: TypeAlias = tuple[Integers, Integers]
"""For each user the target and the demand that shares it; where none does, no sale but of a 0."""
_Rule: TypeAlias = Callable[[_Admitted, Ladder], _Shares]


def _shared_by_all(users: _Admitted, ladder: Ladder) -> _Shares:
    target = np.int64(ladder.round_down(int(_revenue(users).max(initial=0))))
    last = _last(_spare(users, target) >= 0)
    sharing = users.total[last] if last != NOBODY else np.int64(0)
    return np.full(len(users.net), target), np.full(len(users.net), sharing)


def _shared_with_others(users: _Admitted, ladder: Ladder) -> _Shares:
    targets = _estimates_of_others(users, ladder)
    sharing = np.zeros(len(targets), np.int64)
    for target in np.unique(targets):
        last = _last(_spare(users, target) >= 0)
        if last != NOBODY:
            sharing[targets == target] = users.total[last]
    return targets, sharing


def _raised_by_others(users: _Admitted, ladder: Ladder) -> _Shares:
    targets = _estimates_of_others(users, ladder)
    sharing = np.zeros(len(targets), np.int64)
    for target in np.unique(targets):
        chosen = targets == target
        last = _last_of_others(_spare(users, target), users.demand)
        own = np.where(last > np.arange(len(last)), users.demand, 0)
        sharing[chosen] = np.where(last == NOBODY, 0, users.total[last] - own)[chosen]
    return targets, sharing


def _estimates_of_others(users: _Admitted, ladder: Ladder) -> Integers:
    """The rung that each user's others reach, from the highest rung down until all have one."""
    found = np.zeros(len(users.net), np.int64)
    waiting = np.ones(len(users.net), bool)
    for rung in reversed(ladder.rungs(int(_revenue(users).max(initial=0)))):
        reached = waiting & (_last_of_others(_spare(users, rung), users.demand) != NOBODY)
        found[reached] = rung
        waiting &= ~reached
        if not waiting.any():
            break
    return found


def _revenue(users: _Admitted) -> Integers:
    """What the price of each user's density raises, rounded down."""
    return users.net * users.total // users.demand


def _spare(users: _Admitted, target: int | np.int64) -> Integers:
    """Demand up to each user beyond what raises `target` at its density; negative if too little."""
    needed = -(-target * users.demand // np.maximum(users.net, 1))
    return np.where(users.net > 0, users.total - needed, NOBODY)


def _last(holds: Flags) -> int:
    places = np.flatnonzero(holds)
    return int(places[-1]) if len(places) else NOBODY


def _last_of_others(spare: Integers, demand: Integers) -> Integers:
    """For each user the last other at whose density the others raise the target, or NOBODY.

    One after it must spare its demand; one before it never counted it.
    """
    places = np.arange(len(spare))
    best_after = np.maximum.accumulate(spare[::-1])[::-1]
    after = np.searchsorted(-best_after, -demand, side="right") - 1
    reached = np.maximum.accumulate(np.where(spare >= 0, places, NOBODY))
    before = np.concatenate((np.full(min(1, len(spare)), NOBODY), reached[:-1]))
    return np.where(after > places, after, before)


def _payments(
    values: Integers, demands: Integers, offer: EdgeOffer, rule: _Rule, ladder: Ladder
) -> Integers:
    _require_sizes(values, demands, offer)
    payments = np.full(len(values), -1, np.int64)
    eligible = np.flatnonzero(demands <= offer.demand_max)
    density = values[eligible] / demands[eligible]
    ranked = eligible[np.argsort(-density, kind="stable")]
    total = np.cumsum(demands[ranked])
    count = int(np.searchsorted(total, offer.capacity, side="right"))
    admitted = ranked[:count]
    value, demand = values[admitted], demands[admitted]
    users = _Admitted(np.maximum(value - offer.unit_cost * demand, 0), demand, total[:count])
    targets, sharing = rule(users, ladder)
    money = -(-targets * demand // np.maximum(sharing, 1)) + offer.unit_cost * demand
    if count < len(ranked):
        marginal = ranked[count]
        money = np.maximum(money, -(-values[marginal] * demand // demands[marginal]))
    served = ((sharing > 0) | (targets == 0)) & (value >= money)
    payments[admitted[served]] = money[served]
    return payments


def _require_sizes(values: Integers, demands: Integers, offer: EdgeOffer) -> None:
    value, demand = int(values.max(initial=0)), int(demands.max(initial=0))
    require_product(int(values.sum()), demand)
    require_product(value, int(demands.sum()))
    require_product(2 * offer.unit_cost, demand)
    require_product(value, demand * 2**11)
