"""What a bid would have reached and paid in the epochs that are over; pure.

A roster says at which price each supplier was paid a unit, whether it asked that or an auction set
it, and by which weight sessions drew it. A bid could have been served by those it covers, each in
proportion to its weight.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relay_mining import RosterEntry

PPM = 10**6


@dataclass(frozen=True, slots=True)
class PastBid:
    """One epoch seen from a bid; prices are token base units for a million compute units."""

    epoch: int
    suppliers: int
    low: int
    mean: int
    """By weight, rounded up."""
    high: int
    reach_ppm: int
    """Share of the roster's weight that the bid covers, in millionths, rounded down."""
    paid: int | None
    """The mean over what it covers, rounded up; None where that is nothing."""


def judge_bids(rosters: Mapping[int, Sequence[RosterEntry]], price: int) -> list[PastBid]:
    """What a bid would have come to in each epoch that had a roster, in their order."""
    return [judge_bid(epoch, rosters[epoch], price) for epoch in sorted(rosters) if rosters[epoch]]


def judge_bid(epoch: int, roster: Sequence[RosterEntry], price: int) -> PastBid:
    """What a bid would have come to in an epoch whose roster is not empty."""
    prices = [each.unit_price for each in roster]
    covered = [each for each in roster if each.unit_price <= price]
    weight = sum(each.weight for each in covered)
    return PastBid(
        epoch=epoch,
        suppliers=len(roster),
        low=min(prices),
        mean=mean_price(roster),
        high=max(prices),
        reach_ppm=weight * PPM // sum(each.weight for each in roster),
        paid=mean_price(covered) if covered else None,
    )


def mean_price(roster: Sequence[RosterEntry]) -> int:
    """The mean price by weight, rounded up."""
    total = sum(each.weight for each in roster)
    return -(-sum(each.unit_price * each.weight for each in roster) // total)
