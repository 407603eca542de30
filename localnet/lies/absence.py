"""What a supplier that sells and does not serve costs itself and others; pure, in base units."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import mean
from typing import Any

from contracts.auction_values import OPEN_SESSIONS
from localnet.lies.books import Wish
from localnet.lies.gains import Round
from pricing import EpochOutcome, reserve_at
from relay_mining import Address, Clock


@dataclass(frozen=True, slots=True)
class Absence:
    """Means of an epoch."""

    sold: float
    """Units it sold, of `procured`."""
    procured: float
    paid: float
    """What its claims were paid."""
    forgone: float
    """What serving would have earned it above what it asked."""
    bound_stake: float
    """What the contract asks it to hold for three epochs behind such an ask."""
    charged: float
    """What buyers were charged at once for units that it did not serve."""
    buyers_lost: float
    """What those units would have been worth to their buyers above all they would have paid, and
    the charge."""
    rivals_lost: float
    """What the others would have earned more without it."""

    def as_json(self) -> dict[str, Any]:
        """The figures as a JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Cast:
    """Who is who in the book with an absent supplier, and the truths of all."""

    absent: Address
    absent_wish: Wish
    costs: Mapping[Address, int]
    """Of the suppliers that serve."""
    values: Mapping[Address, int]
    """Of the buyers."""


def measure_absence(rounds: Sequence[Round], cast: Cast, clock: Clock, ratio: int) -> Absence:
    """The figures of the rounds in which somebody was absent; `ratio` is the most a bond covers."""
    found = [_measure(each, cast, clock, ratio) for each in rounds]
    fields = asdict(found[0])
    return Absence(**{name: mean(getattr(each, name) for each in found) for name in fields})


def _measure(seen: Round, cast: Cast, clock: Clock, ratio: int) -> Absence:
    outcome = seen.clear()
    asks = tuple(each for each in seen.book.asks if each.trader != cast.absent)
    without = seen.clear(replace(seen.book, asks=asks))
    (line,) = (each for each in outcome.roster if each.supplier == cast.absent)
    dead = line.units / outcome.procured
    charges = sum(each.charge for each in outcome.fills)
    surplus = sum(
        each.units * (cast.values[each.application] - seen.price) for each in outcome.fills
    )
    reserve = reserve_at(seen.price, seen.fee_bps)
    stake = cast.absent_wish.quantity * reserve * OPEN_SESSIONS / (clock.epoch_sessions * ratio)
    return Absence(
        sold=line.units,
        procured=outcome.procured,
        paid=sum(each.value for each in seen.uses if each.supplier == cast.absent),
        forgone=line.units * (line.unit_price - cast.absent_wish.price),
        bound_stake=stake,
        charged=charges * dead,
        buyers_lost=surplus * dead + charges * dead,
        rivals_lost=_profit(without, cast) - _profit(outcome, cast),
    )


def _profit(outcome: EpochOutcome, cast: Cast) -> int:
    costs = cast.costs
    return sum(
        each.units * (each.unit_price - costs[each.supplier])
        for each in outcome.roster
        if each.supplier in costs
    )


def used_share(seen: Round, buyer: Address, served: Collection[Address]) -> float | None:
    """How much a buyer's claims came to of what it could claim with suppliers that serve; None
    where it could claim nothing."""
    outcome = seen.clear()
    fills = [each for each in outcome.fills if each.application == buyer]
    cost = sum(each.units * each.unit_price for each in outcome.roster if each.supplier in served)
    if not fills or not cost:
        return None
    could = fills[0].claims * cost / outcome.paid
    return sum(each.value for each in seen.uses if each.application == buyer) / could
