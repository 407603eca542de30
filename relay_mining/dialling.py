"""How a supplier that no gateway can reach and a gateway it dials show each other who they are.

    offer       base64url( 1 | supplier 20 gateway 20 session 8 supplierNonce 32 )   to the gateway
    challenge   base64url( 1 | gatewayNonce 32 )                                     to the supplier
    proof       sig 65 of Dial, to the gateway; then sig 65 of DialTaken, to the supplier

Both nonces are fresh, so a handshake is good for one connection; integers and base64 as in `wire`.
"""

import struct
from typing import ClassVar

from relay_mining.hashing import address_word, keccak, word
from relay_mining.messages import Domain
from relay_mining.signing import Signer, recover
from relay_mining.types import (
    ADDRESS_BYTES,
    HASH_BYTES,
    SIGNATURE_BYTES,
    UINT64_MAX,
    Address,
    Hash32,
    Signature,
    require_bytes,
    require_range,
)
from relay_mining.values import value_class
from relay_mining.wire import WIRE_VERSION, from_base64, require_version, to_base64

DIALS_OUT = "dial:"
"""The registered URL of a supplier that takes no connections."""
DIAL_PROTOCOL = b"lode-dial"
"""What the connection is upgraded to, and the header that carries offer and challenge."""
DIAL_PROOF_BYTES = SIGNATURE_BYTES

_OFFER = struct.Struct(">B20s20sQ32s")
_CHALLENGE = struct.Struct(">B32s")
_OFFER_CHARS = (_OFFER.size * 4 + 2) // 3
_CHALLENGE_CHARS = (_CHALLENGE.size * 4 + 2) // 3


@value_class
class DialOffer:
    """Supplier to gateway: who dials whom, by the keys of which session."""

    supplier: Address
    gateway: Address
    session: int
    nonce: Hash32

    def __post_init__(self) -> None:
        require_bytes("supplier", self.supplier, ADDRESS_BYTES)
        require_bytes("gateway", self.gateway, ADDRESS_BYTES)
        require_range("session", self.session, 0, UINT64_MAX)
        require_bytes("nonce", self.nonce, HASH_BYTES)

    def encode(self) -> bytes:
        """The header's value."""
        return to_base64(
            _OFFER.pack(WIRE_VERSION, self.supplier, self.gateway, self.session, self.nonce)
        ).encode()

    @classmethod
    def decode(cls, header: bytes) -> "DialOffer":
        """The offer in a header (MalformedError for anything else)."""
        version, *members = _OFFER.unpack(from_base64(header.decode("latin-1"), _OFFER_CHARS))
        require_version(version)
        return cls(*members)


def encode_challenge(nonce: Hash32) -> bytes:
    """The header's value for a gateway's nonce."""
    return to_base64(_CHALLENGE.pack(WIRE_VERSION, nonce)).encode()


def decode_challenge(header: bytes) -> Hash32:
    """The nonce in a header (MalformedError for anything else)."""
    version, nonce = _CHALLENGE.unpack(from_base64(header.decode("latin-1"), _CHALLENGE_CHARS))
    require_version(version)
    return bytes(nonce)


@value_class
class _Shaken:
    """What both sides sign of one handshake."""

    supplier: Address
    gateway: Address
    session: int
    gateway_nonce: Hash32
    supplier_nonce: Hash32

    TYPE_HASH: ClassVar[bytes]

    def encode(self) -> bytes:
        """The EIP-712 `typeHash || encodeData` of the message."""
        return b"".join((
            self.TYPE_HASH, address_word(self.supplier), address_word(self.gateway),
            word(self.session), self.gateway_nonce, self.supplier_nonce,
        ))  # fmt: skip


class Dial(_Shaken):
    """Supplier to gateway: this connection is mine, to send me relays on."""

    TYPE: ClassVar[bytes] = (
        b"Dial(address supplier,address gateway,uint64 session,"
        b"bytes32 gatewayNonce,bytes32 supplierNonce)"
    )
    TYPE_HASH: ClassVar[bytes] = keccak(TYPE)


class DialTaken(_Shaken):
    """Gateway to supplier: it is taken, and what comes on it comes from me."""

    TYPE: ClassVar[bytes] = (
        b"DialTaken(address supplier,address gateway,uint64 session,"
        b"bytes32 gatewayNonce,bytes32 supplierNonce)"
    )
    TYPE_HASH: ClassVar[bytes] = keccak(TYPE)


@value_class
class Handshake:
    """Both nonces of one connection: what each side signs, and whose signature it is."""

    domain: Domain
    offer: DialOffer
    gateway_nonce: Hash32

    def sign_dial(self, operator: Signer) -> Signature:
        """The supplier's proof."""
        return operator.sign(self._digest(Dial))

    def sign_taken(self, gateway: Signer) -> Signature:
        """The gateway's proof."""
        return gateway.sign(self._digest(DialTaken))

    def dialled_by(self, signature: Signature) -> Address:
        """Whose proof it is (SignatureMismatchError for nobody's)."""
        return recover(self._digest(Dial), signature)

    def taken_by(self, signature: Signature) -> Address:
        """Whose word it is that the connection is taken (SignatureMismatchError for nobody's)."""
        return recover(self._digest(DialTaken), signature)

    def _digest(self, kind: type[_Shaken]) -> Hash32:
        offer = self.offer
        return self.domain.digest(
            kind(offer.supplier, offer.gateway, offer.session, self.gateway_nonce, offer.nonce)
        )
