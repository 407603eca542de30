"""The hashes of the protocol: keccak-256 as the chain has it, sha256 over bodies.

keccak comes from `safe-pysha3` (C, about 0.6 us for two words), since a relay is hashed some ten
times on the request path.
"""

import hashlib

from sha3 import keccak_256  # type: ignore[import-untyped]

from relay_mining.types import Hash32

_ADDRESS_PAD = bytes(12)


def keccak(data: bytes) -> Hash32:
    """The keccak-256 digest of `data`."""
    return keccak_256(data).digest()  # type: ignore[no-any-return]


def word(value: int) -> bytes:
    """One ABI word holding a non-negative integer below 2^256 (OverflowError otherwise)."""
    return value.to_bytes(32, "big")


def address_word(address: bytes) -> bytes:
    """One ABI word holding a 20-byte address."""
    return _ADDRESS_PAD + address


def request_body_hash(method: bytes, path: bytes, body: bytes) -> Hash32:
    """The `bodyHash` of a request: sha256 of `method path\\nbody`.

    Unambiguous because neither an HTTP method nor a path holds a space or a newline.
    """
    hasher = hashlib.sha256(method + b" " + path + b"\n")
    hasher.update(body)
    return hasher.digest()


class BodyHasher:
    """The rolling `bodyHash` of a response: sha256 over the bytes sent so far.

    Every prefix has its hash, so both sides can name what a client that left had received.
    """

    __slots__ = ("_hasher",)

    def __init__(self, data: bytes = b"") -> None:
        self._hasher = hashlib.sha256(data)

    def update(self, data: bytes) -> None:
        """Add the next bytes of the body."""
        self._hasher.update(data)

    def digest(self) -> Hash32:
        """The hash of everything added so far; more may follow."""
        return self._hasher.digest()

    def copy(self) -> "BodyHasher":
        """An independent hasher that has seen the same bytes."""
        twin = BodyHasher.__new__(BodyHasher)
        twin._hasher = self._hasher.copy()
        return twin
