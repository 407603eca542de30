"""Challenges: how many points of a claim must be opened, and which.

With `l = margin * V / P` points expected, a claim of which a share `f` cannot be opened escapes
with probability `(1-f)^floor(l) * (1 - (l - floor(l)) * f) <= 1 / (1 + l*f)`; what it gains when it
escapes, `f*V`, is then at most what it loses, the bond `P`, when it does not. Both roundings go
against the claimant: the rate is rounded up, and points are drawn by weight, not by leaf.
"""

from math import floor

from relay_mining.hashing import keccak, word
from relay_mining.params import BPS
from relay_mining.types import (
    AMOUNT_MAX,
    UINT32_MAX,
    UINT64_MAX,
    Hash32,
    require_bytes,
    require_range,
)

_FRACTION_BITS = 64


def challenge_seed(seed: Hash32, claim_id: Hash32) -> Hash32:
    """Return `keccak256(abi.encode(seed(n+2), claimId))`: the randomness of one claim."""
    require_bytes("seed", seed, 32)
    require_bytes("claim_id", claim_id, 32)
    return keccak(seed + claim_id)


def points_required(value: int, bond: int, margin_bps: int, challenge_seed: Hash32) -> int:
    """Return the number of points to open: `margin * value / bond`, its fraction drawn at random.

    `value` and `bond` in token base units; 0 means that the claim is paid without a proof.
    """
    require_range("value", value, 0, AMOUNT_MAX)
    require_range("bond", bond, 1, AMOUNT_MAX)
    require_range("margin_bps", margin_bps, BPS, UINT32_MAX)
    rate = -(-(margin_bps * value << _FRACTION_BITS) // (BPS * bond))
    return (rate + int.from_bytes(challenge_seed[24:], "big")) >> _FRACTION_BITS


def challenge_points(challenge_seed: Hash32, count: int, total: int) -> tuple[int, ...]:
    """Return the points to open, each in `[0, total)` of the claim's weight; they may repeat."""
    require_range("total", total, 1, UINT64_MAX)
    return tuple(
        int.from_bytes(keccak(challenge_seed + word(index)), "big") % total
        for index in range(count)
    )


def escape_probability(share: float, rate: float) -> float:
    """Return how likely a claim with a bad `share` survives a challenge of `rate` points."""
    whole = floor(rate)
    return float((1 - share) ** whole * (1 - (rate - whole) * share))


def expected_gain(share: float, value: float, bond: float, margin: float) -> float:
    """Return what a claim with a bad `share` earns in expectation beyond honest work.

    At most zero for every share when `margin >= 1`: section 7 of the protocol.
    """
    escape = escape_probability(share, margin * value / bond)
    return escape * share * value - (1 - escape) * bond
