"""The signed messages of a relay and their EIP-712 hashes.

Every field has a fixed width, so a struct is hashed by joining words: no schema is walked at run
time. Source: EIP-712; the types are those of the contract library `RelayHash`.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar, Protocol

from relay_mining.hashing import address_word, keccak, word
from relay_mining.types import (
    ADDRESS_BYTES,
    HASH_BYTES,
    UINT32_MAX,
    UINT64_MAX,
    Address,
    Hash32,
    require_bytes,
    require_range,
)
from relay_mining.values import value_class

_ADDRESS_PAD = bytes(12)
_UINT64_PAD = bytes(24)
_UINT32_PAD = bytes(28)
_UINT8_PAD = bytes(31)


class Status(IntEnum):
    """How a relay ended; every response carries exactly one. Only PARTIAL ends nothing."""

    OK = 0
    LENGTH = 1
    CLIENT_ABORT = 2
    REFUSED = 3
    UPSTREAM_ERROR = 4
    TIMEOUT = 5
    PARTIAL = 6
    """A part of a stream that goes on."""


class Message(Protocol):
    """Anything a `Domain` can hash."""

    def encode(self) -> bytes:
        """The EIP-712 `typeHash || encodeData` of the message."""
        ...


@value_class
class RelayRequest:
    """Gateway to supplier: serve this body for at most `max_units`, before `expiry`."""

    session_id: Hash32
    supplier: Address
    body_hash: Hash32
    max_units: int
    expiry: int
    """Unix time in seconds."""
    nonce: Hash32

    TYPE: ClassVar[bytes] = (
        b"RelayRequest(bytes32 sessionId,address supplier,bytes32 bodyHash,"
        b"uint64 maxUnits,uint64 expiry,bytes32 nonce)"
    )
    TYPE_HASH: ClassVar[bytes] = keccak(TYPE)

    def __post_init__(self) -> None:
        _require_hashes(self.session_id, self.body_hash, self.nonce)
        _require_address(self.supplier)
        _require_uint64(self.max_units, self.expiry)

    def encode(self) -> bytes:
        """The EIP-712 `typeHash || encodeData` of the message."""
        return b"".join(
            (
                self.TYPE_HASH,
                self.session_id,
                _ADDRESS_PAD,
                self.supplier,
                self.body_hash,
                _UINT64_PAD,
                self.max_units.to_bytes(8, "big"),
                _UINT64_PAD,
                self.expiry.to_bytes(8, "big"),
                self.nonce,
            )
        )


@value_class
class RelayResponse:
    """Supplier to gateway: what was served for a request, cumulative up to `part`."""

    request_hash: Hash32
    body_hash: Hash32
    salt_hash: Hash32
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    units: int
    status: Status
    service_spec_hash: Hash32
    part: int = 0

    TYPE: ClassVar[bytes] = (
        b"RelayResponse(bytes32 requestHash,bytes32 bodyHash,bytes32 saltHash,"
        b"uint32 inputTokens,uint32 cachedTokens,uint32 outputTokens,uint64 units,"
        b"uint8 status,bytes32 serviceSpecHash,uint32 part)"
    )
    TYPE_HASH: ClassVar[bytes] = keccak(TYPE)

    def __post_init__(self) -> None:
        _require_hashes(self.request_hash, self.body_hash, self.salt_hash, self.service_spec_hash)
        _require_uint32(self.input_tokens, self.cached_tokens, self.output_tokens, self.part)
        _require_uint64(self.units)

    def encode(self) -> bytes:
        """The EIP-712 `typeHash || encodeData` of the message."""
        return b"".join(
            (
                self.TYPE_HASH,
                self.request_hash,
                self.body_hash,
                self.salt_hash,
                _UINT32_PAD,
                self.input_tokens.to_bytes(4, "big"),
                _UINT32_PAD,
                self.cached_tokens.to_bytes(4, "big"),
                _UINT32_PAD,
                self.output_tokens.to_bytes(4, "big"),
                _UINT64_PAD,
                self.units.to_bytes(8, "big"),
                _UINT8_PAD,
                self.status.to_bytes(1, "big"),
                self.service_spec_hash,
                _UINT32_PAD,
                self.part.to_bytes(4, "big"),
            )
        )


@value_class
class Receipt:
    """Gateway to supplier: these units of this response count; `secret` is new to the supplier."""

    session_id: Hash32
    supplier: Address
    request_hash: Hash32
    response_hash: Hash32
    salt_hash: Hash32
    units: int
    secret: Hash32

    TYPE: ClassVar[bytes] = (
        b"Receipt(bytes32 sessionId,address supplier,bytes32 requestHash,bytes32 responseHash,"
        b"bytes32 saltHash,uint64 units,bytes32 secret)"
    )
    TYPE_HASH: ClassVar[bytes] = keccak(TYPE)

    def __post_init__(self) -> None:
        _require_hashes(
            self.session_id, self.request_hash, self.response_hash, self.salt_hash, self.secret
        )
        _require_address(self.supplier)
        _require_uint64(self.units)

    def encode(self) -> bytes:
        """The EIP-712 `typeHash || encodeData` of the message."""
        return b"".join(
            (
                self.TYPE_HASH,
                self.session_id,
                _ADDRESS_PAD,
                self.supplier,
                self.request_hash,
                self.response_hash,
                self.salt_hash,
                _UINT64_PAD,
                self.units.to_bytes(8, "big"),
                self.secret,
            )
        )


@value_class
class ReceiptBatch:
    """Gateway to supplier: one signature over the Merkle root of many receipts."""

    root: Hash32

    TYPE: ClassVar[bytes] = b"ReceiptBatch(bytes32 root)"
    TYPE_HASH: ClassVar[bytes] = keccak(TYPE)

    def __post_init__(self) -> None:
        _require_hashes(self.root)

    def encode(self) -> bytes:
        """The EIP-712 `typeHash || encodeData` of the message."""
        return self.TYPE_HASH + self.root


@value_class
class Cancel:
    """Gateway to supplier: the client of this request has left."""

    request_hash: Hash32

    TYPE: ClassVar[bytes] = b"Cancel(bytes32 requestHash)"
    TYPE_HASH: ClassVar[bytes] = keccak(TYPE)

    def __post_init__(self) -> None:
        _require_hashes(self.request_hash)

    def encode(self) -> bytes:
        """The EIP-712 `typeHash || encodeData` of the message."""
        return self.TYPE_HASH + self.request_hash


@value_class
class Ack:
    """Supplier to gateway: the receipts of this batch are durable here."""

    root: Hash32

    TYPE: ClassVar[bytes] = b"Ack(bytes32 root)"
    TYPE_HASH: ClassVar[bytes] = keccak(TYPE)

    def __post_init__(self) -> None:
        _require_hashes(self.root)

    def encode(self) -> bytes:
        """The EIP-712 `typeHash || encodeData` of the message."""
        return self.TYPE_HASH + self.root


@dataclass(frozen=True, slots=True)
class Domain:
    """The EIP-712 domain of one deployment: its chain and its contract `Claims`."""

    chain_id: int
    verifying_contract: Address
    separator: Hash32 = field(init=False, repr=False, compare=False)
    _prefix: bytes = field(init=False, repr=False, compare=False)

    NAME: ClassVar[bytes] = b"Lode"
    VERSION: ClassVar[bytes] = b"1"
    TYPE_HASH: ClassVar[bytes] = keccak(
        b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    )

    def __post_init__(self) -> None:
        _require_address(self.verifying_contract)
        require_range("chain_id", self.chain_id, 0, 2**256 - 1)
        separator = keccak(
            self.TYPE_HASH
            + keccak(self.NAME)
            + keccak(self.VERSION)
            + word(self.chain_id)
            + address_word(self.verifying_contract)
        )
        object.__setattr__(self, "separator", separator)
        object.__setattr__(self, "_prefix", b"\x19\x01" + separator)

    def digest(self, message: Message) -> Hash32:
        """The 32 bytes that are signed for a message in this domain."""
        return keccak(self._prefix + keccak(message.encode()))


def _require_hashes(*values: bytes) -> None:
    for value in values:
        if len(value) != HASH_BYTES:
            require_bytes("hash", value, HASH_BYTES)


def _require_address(value: bytes) -> None:
    if len(value) != ADDRESS_BYTES:
        require_bytes("address", value, ADDRESS_BYTES)


def _require_uint64(*values: int) -> None:
    for value in values:
        if not 0 <= value <= UINT64_MAX:
            require_range("uint64", value, 0, UINT64_MAX)


def _require_uint32(*values: int) -> None:
    for value in values:
        if not 0 <= value <= UINT32_MAX:
            require_range("uint32", value, 0, UINT32_MAX)
