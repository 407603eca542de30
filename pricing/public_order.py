"""Public randomness over identities: an order and a split that nobody's price can move.

The seed is fixed after the orders are committed, so an identity cannot be chosen for its place.
"""

from collections.abc import Iterable

from pricing.draws import keccak
from pricing.market import Order, Trader


def rank(seed: bytes, trader: Trader) -> bytes:
    """A trader's place in the public order: `keccak256(seed || trader)`, smallest first."""
    return keccak(seed + trader)


def in_public_order(seed: bytes, orders: Iterable[Order]) -> list[Order]:
    """The orders by the rank of their traders."""
    return sorted(orders, key=lambda order: rank(seed, order.trader))


def in_first_half(seed: bytes, trader: Trader) -> bool:
    """A fair coin for each trader: the last bit of `keccak256(seed || trader || "half")`."""
    return keccak(seed + trader + b"half")[-1] & 1 == 0
