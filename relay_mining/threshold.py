"""Threshold sampling of receipts: which relay is a leaf of the claim, and what it counts for.

A receipt of `u` units is kept with probability `min(1, u / tau)` and weighs `max(u, tau)`, so a
claim is an unbiased estimate of the receipted units with relative standard error at most
`sqrt(tau / U)`, however skewed the relays are.

The coin hashes the whole receipt with the supplier's salt: the supplier fixes all it controls
before it sees the receipt's secret, the gateway signs before anyone knows the salt.

Source: N. Duffield, C. Lund, M. Thorup, "Priority sampling for estimation of arbitrary subset
sums", J. ACM 54(6), 2007 (threshold sampling).
"""

from relay_mining.hashing import keccak
from relay_mining.types import UNITS_MAX, Hash32, require_bytes, require_range

COIN_BITS = 128


def compute_tau(slice_units: int, target_leaves: int) -> int:
    """Return the threshold, in compute units, at which a full slice has `target_leaves` leaves.

    Rounds down (towards more leaves and a smaller error), never below 1.
    """
    require_range("slice_units", slice_units, 0, UNITS_MAX)
    if target_leaves < 1:
        raise ValueError(f"target_leaves is {target_leaves}")
    return max(1, slice_units // target_leaves)


def coin(receipt_hash: Hash32, salt: Hash32) -> int:
    """Return the receipt's coin: the low 128 bits of `keccak256(h || salt)`."""
    require_bytes("receipt_hash", receipt_hash, 32)
    require_bytes("salt", salt, 32)
    return int.from_bytes(keccak(receipt_hash + salt)[16:], "big")


def is_payable(receipt_hash: Hash32, salt: Hash32, units: int, tau: int) -> bool:
    """Whether a receipt is a leaf of its session's claim: `coin * tau < units * 2^128`."""
    _require_units(units, tau)
    return coin(receipt_hash, salt) * tau < units << COIN_BITS


def leaf_weight(units: int, tau: int) -> int:
    """Return the weight of a payable receipt, in compute units: `max(units, tau)`."""
    _require_units(units, tau)
    return max(units, tau)


def _require_units(units: int, tau: int) -> None:
    require_range("units", units, 1, UNITS_MAX)
    require_range("tau", tau, 1, UNITS_MAX)
