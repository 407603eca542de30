"""Receipts against claims, session by session: whether a supplier claimed what it was receipted.

A claim is a sample: of a receipt of `u` units below the threshold `tau` it has `tau` units with
probability `u / tau` and none otherwise; from `tau` on it has `u`. So a claim is allowed to be off
by what Bernstein's inequality gives with odds of `e^-14`, one in a million, on either side; what is
further off is no chance. Source: S. Boucheron, G. Lugosi, P. Massart, "Concentration Inequalities"
(2013), corollary 2.11.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from math import isqrt

from gateway.settlement.outbox import OwedReceipt
from relay_mining import Address, Claim, SessionKey

LOG_ODDS = 14
CLAIM_SESSIONS = 2
"""Sessions after which no claim for a session can come any more."""
Place = tuple[SessionKey, Address]


class Finding(Enum):
    """What comparing one supplier's receipts of a session with its claim shows."""

    AGREES = "agrees"
    OPEN = "open"
    """No claim yet, and it may still come."""
    UNCLAIMED = "unclaimed"
    """No claim, and none can come: receipted, and not paid."""
    CLAIMED_LESS = "claimed less"
    """Less than chance explains: receipts that were never delivered, or left out."""
    CLAIMED_MORE = "claimed more"
    """More than chance explains; flagged, for nobody else receipts in this gateway's name."""

    @property
    def is_flagged(self) -> bool:
        """Whether somebody should look into it."""
        return self in (Finding.CLAIMED_LESS, Finding.CLAIMED_MORE)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One supplier in one session; units, and token base units for the claim's value."""

    session: SessionKey
    supplier: Address
    receipts: int
    receipted: int
    claimed: int | None
    """None where there is no claim."""
    value: int
    error_max: int
    """How far a claim may be off by chance."""
    finding: Finding


def compare(
    owed: Iterable[OwedReceipt],
    claims: Mapping[Place, Claim],
    session_now: int,
    after: int = -1,
) -> list[Comparison]:
    """Every supplier and session that has receipts or a claim, the oldest session first.

    Sessions up to `after` are left out: of those not all receipts are kept.
    """
    units: defaultdict[Place, list[int]] = defaultdict(list)
    for each in owed:
        if each.units > 0:
            units[each.session, each.supplier].append(each.units)
    places = [each for each in units.keys() | claims.keys() if each[0].number > after]
    return [
        _compare(place, units.get(place, []), claims.get(place), session_now)
        for place in sorted(places, key=lambda each: (each[0].number, each[0].id, each[1]))
    ]


def _compare(place: Place, units: list[int], claim: Claim | None, session_now: int) -> Comparison:
    session, supplier = place
    receipted = sum(units)
    error_max = sampling_error(units, claim.tau) if claim is not None else 0
    finding = Finding.AGREES
    if claim is None:
        is_over = session_now >= session.number + CLAIM_SESSIONS
        finding = Finding.UNCLAIMED if is_over else Finding.OPEN
    elif claim.root.sum > receipted + error_max:
        finding = Finding.CLAIMED_MORE
    elif claim.root.sum < receipted - error_max:
        finding = Finding.CLAIMED_LESS
    return Comparison(
        session=session,
        supplier=supplier,
        receipts=len(units),
        receipted=receipted,
        claimed=claim.root.sum if claim is not None else None,
        value=claim.value if claim is not None else 0,
        error_max=error_max,
        finding=finding,
    )


def sampling_error(units: Iterable[int], tau: int) -> int:
    """Units that a claim of these receipts may be off by, rounded up; 0 where none is sampled."""
    variance = sum(each * (tau - each) for each in units if each < tau)
    if variance == 0:
        return 0
    steps = -(-tau * LOG_ODDS // 3)
    return steps + isqrt(steps * steps + 2 * variance * LOG_ODDS) + 1
