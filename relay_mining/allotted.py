"""Who serves a session of an allotted roster, and for which part of its cap.

The roster of an auction says how many units each supplier sold, and its buyers have paid for them.
So a member's part of a session's cap is what its units cost out of what all of them do: outright
where the roster has no more suppliers than a session has members, else by draws with replacement,
which comes to the same on average. Mirrors `contracts/src/libraries/Draw.sol`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from relay_mining.membership import DrawnMember, Draws, RosterEntry
from relay_mining.types import Hash32, require_range

COST_WEIGHT = 2**31
"""About the most that weights by cost add up to."""


@dataclass(frozen=True, slots=True)
class Shares:
    """The members of a session, and their parts of its cap."""

    members: tuple[DrawnMember, ...]
    parts: tuple[int, ...]
    """Of each member."""
    whole: int
    """How many parts the cap has."""

    def slice(self, cap: int, member: DrawnMember) -> int:
        """The most a member may claim of a cap, rounded down (ValueError for no member)."""
        return cap * self.parts[self.members.index(member)] // self.whole


def weigh_by_cost(entries: Sequence[RosterEntry]) -> tuple[RosterEntry, ...]:
    """The entries, weighted by what their units cost instead of by the units.

    Weights are costs where all together cost at most COST_WEIGHT; else they are scaled to it,
    rounded down but at least 1.
    """
    scale = max(sum(each.unit_price * each.weight for each in entries), COST_WEIGHT)
    return tuple(
        replace(each, weight=max(1, each.unit_price * each.weight * COST_WEIGHT // scale))
        for each in entries
    )


def share_evenly(members: tuple[DrawnMember, ...], count: int) -> Shares:
    """The shares where asks are posted: each member's is a `count`-th, drawn or not."""
    return Shares(members, (1,) * len(members), count)


def draw_shares(
    entries: Sequence[RosterEntry], seed: Hash32, session_id: Hash32, members: int
) -> Shares:
    """The shares of an allotted roster, weighted by cost; `seed` is that of n-1.

    Members are in the order of the roster.
    """
    require_range("members", members, 1, 2**8 - 1)
    if len(entries) <= members:
        found = tuple(DrawnMember(index, 0) for index in range(len(entries)))
        weights = tuple(each.weight for each in entries)
        return Shares(found, weights, sum(weights))
    draws = Draws(entries, seed, session_id)
    hits = Counter(draws.hit(draw) for draw in range(members))
    drawn = sorted(hits)
    return Shares(
        tuple(DrawnMember(index, 0) for index in drawn),
        tuple(hits[index] for index in drawn),
        members,
    )
