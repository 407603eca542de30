"""Bytes and limits that every other file of the protocol shares."""

from typing import TypeAlias

Address: TypeAlias = bytes
"""20 bytes: a supplier's identity, a gateway owner, an application, a contract."""

Hash32: TypeAlias = bytes
"""32 bytes."""

Signature: TypeAlias = bytes
"""65 bytes: r, s, and v of 27 or 28."""

ADDRESS_BYTES = 20
HASH_BYTES = 32
SIGNATURE_BYTES = 65

UINT32_MAX = 2**32 - 1
UINT64_MAX = 2**64 - 1

UNITS_MAX = 2**63 - 1
"""Most compute units one relay or one sum may carry."""

AMOUNT_MAX = 2**96 - 1
"""Most token base units one amount may carry."""

UNITS_PER_PRICE = 1_000_000
"""A unit price is token base units for this many compute units."""


def require_bytes(name: str, value: bytes, length: int) -> None:
    """Refuse a field that has not exactly `length` bytes (ValueError)."""
    if len(value) != length:
        raise ValueError(f"{name} has {len(value)} bytes instead of {length}")


def require_range(name: str, value: int, low: int, high: int) -> None:
    """Refuse an integer outside `low..high`, both included (ValueError)."""
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}, outside {low}..{high}")
