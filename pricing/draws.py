"""Uniform words from a seed that is public only after the orders are committed."""

from sha3 import keccak_256  # type: ignore[import-untyped]

WORD = 2**64
"""A drawn word is uniform on 0 .. WORD - 1."""


def keccak(data: bytes) -> bytes:
    """The 32 bytes of keccak-256, as the chain computes it."""
    return keccak_256(data).digest()  # type: ignore[no-any-return]


def draw_word(seed: bytes, label: bytes) -> int:
    """64 uniform bits: the first eight bytes of `keccak256(seed || label)`.

    Two draws from one seed are independent where their labels differ.
    """
    return int.from_bytes(keccak(seed + label)[:8], "big")
