"""The policy that weighs time against price, and gives everybody a part."""

import random
from collections.abc import Sequence

from gateway.errors import NoSupplierError
from gateway.routing.balancer import Candidate, Policy

SECONDS_MIN = 0.001
"""Differences below a millisecond are none."""


def weighted(rng: random.Random) -> Policy:
    """Draw a candidate in proportion to 1 / (predicted seconds squared times price).

    Twice as slow counts for as much as four times as dear; whoever is slow or dear is still asked
    now and then, in the open, and a price cut shows at once. A price of nothing counts as 1.
    """

    def choose(candidates: Sequence[Candidate], head: bytes = b"") -> Candidate:
        if not candidates:
            raise NoSupplierError("no supplier of this session is left to ask")
        if len(candidates) == 1:
            return candidates[0]
        return rng.choices(candidates, [weight_of(each) for each in candidates])[0]

    return choose


def weight_of(candidate: Candidate) -> float:
    """How often a candidate is drawn beside others."""
    seconds = max(candidate.seconds, SECONDS_MIN)
    return 1.0 / (seconds * seconds * max(candidate.price, 1))
