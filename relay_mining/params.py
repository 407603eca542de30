"""The market's parameters: one set of values for a whole epoch."""

from dataclasses import dataclass

from relay_mining.membership import DRAWS_MAX
from relay_mining.types import AMOUNT_MAX, UINT32_MAX, require_range

BPS = 10_000
"""Basis points in a whole."""

POINTS_MAX = 60
"""Most points of a claim at its least bond: their proof fits the 128 KiB that nodes take."""

_UINT16_MAX = 2**16 - 1
_LIMITS = {
    "members": (1, DRAWS_MAX),
    "target_leaves": (1, UINT32_MAX),
    "margin_bps": (BPS, UINT32_MAX),
    "bond_ratio_max": (1, _UINT16_MAX),
    "protocol_bps": (0, 1_000),
    "lot_stake": (1, AMOUNT_MAX),
    "lots_max": (1, _UINT16_MAX),
    "idle_epochs": (0, _UINT16_MAX),
    "delegation_fee": (0, AMOUNT_MAX),
    "min_stake": (0, AMOUNT_MAX),
    "roster_max": (1, 128),
}


@dataclass(frozen=True, slots=True)
class Params:
    """Values of one epoch, as the contract `Parameters` holds them; amounts in token base units."""

    members: int
    """Members drawn for a session (K)."""
    target_leaves: int
    """Leaves a full slice is sampled into."""
    margin_bps: int
    """How much more than break-even a cheat is expected to lose; at least 10,000."""
    bond_ratio_max: int
    """Largest claim value a bond may stand for, in bonds."""
    protocol_bps: int
    """The protocol's share of a payment."""
    lot_stake: int
    """Stake that counts as one lot in a draw."""
    lots_max: int
    """Most lots of one supplier that count."""
    idle_epochs: int
    """Epochs without a settled claim after which a supplier leaves a roster; 0 is never."""
    delegation_fee: int
    """Non-refundable fee of making a delegation."""
    min_stake: int
    """Least stake of a listed supplier."""
    roster_max: int
    """Most entries of a roster."""

    def __post_init__(self) -> None:
        for name, (low, high) in _LIMITS.items():
            require_range(name, getattr(self, name), low, high)
        points = self.margin_bps * self.bond_ratio_max
        require_range("margin_bps * bond_ratio_max", points, BPS, POINTS_MAX * BPS)
