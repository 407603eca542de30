"""Signatures as the chain's `ecrecover` accepts them, and the secrets drawn from a key.

A signature here is 65 bytes `r || s || v`, `s` in the lower half of the order (EIP-2) and `v` 27
or 28, so that one message has one signature. Verifying always recovers: checking `(r, s)` against
a known public key would be blind to a wrong `v`, which passes here and fails on the chain.
"""

import hashlib
import hmac

from coincurve import PrivateKey, PublicKey

from relay_mining.errors import SignatureMismatchError
from relay_mining.hashing import keccak
from relay_mining.types import (
    HASH_BYTES,
    SIGNATURE_BYTES,
    Address,
    Hash32,
    Signature,
    require_bytes,
)

_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
_HALF_ORDER_BYTES = _HALF_ORDER.to_bytes(32, "big")
_V_OF_RECOVERY_ID = {0: b"\x1b", 1: b"\x1c"}
_RECOVERY_ID_OF_V = {27: b"\x00", 28: b"\x01"}


class Signer:
    """A private key: signs digests and derives what only its holder can know."""

    __slots__ = ("_key", "_salt_key", "_secret_key", "address")

    address: Address

    def __init__(self, private_key: bytes) -> None:
        require_bytes("private_key", private_key, HASH_BYTES)
        self._key = PrivateKey(private_key)
        self._secret_key = _prf(private_key, b"lode/receipt-secret")
        self._salt_key = _prf(private_key, b"lode/session-salt")
        self.address = _address_of(self._key.public_key.format(compressed=False))

    def __repr__(self) -> str:
        return f"Signer(0x{self.address.hex()})"

    def sign(self, digest: Hash32) -> Signature:
        """The signature of a 32-byte digest; the same one each time (RFC 6979)."""
        compact = self._key.sign_recoverable(digest, hasher=None)
        return compact[:64] + _V_OF_RECOVERY_ID[compact[64]]

    def receipt_secret(self, request_hash: Hash32, response_hash: Hash32) -> Hash32:
        """The `secret` of the one receipt this gateway key can give a response."""
        require_bytes("request_hash", request_hash, HASH_BYTES)
        require_bytes("response_hash", response_hash, HASH_BYTES)
        return _prf(self._secret_key, request_hash + response_hash)

    def session_salt(self, session_id: Hash32) -> Hash32:
        """The salt this operator key commits to for a session, opened only in a proof."""
        require_bytes("session_id", session_id, HASH_BYTES)
        return _prf(self._salt_key, session_id)


class Verifier:
    """The signatures of one address; remembers its public key once it has seen it."""

    __slots__ = ("_public_key", "address")

    def __init__(self, address: Address) -> None:
        self.address = address
        self._public_key = b""

    def verify(self, digest: Hash32, signature: Signature) -> None:
        """Refuse a signature of `digest` by anyone else (SignatureMismatchError)."""
        public_key = _recover_public_key(digest, signature)
        if public_key == self._public_key:
            return
        if _address_of(public_key) != self.address:
            raise SignatureMismatchError(f"not signed by 0x{self.address.hex()}")
        self._public_key = public_key


def recover(digest: Hash32, signature: Signature) -> Address:
    """The address that signed a 32-byte digest.

    Raises SignatureMismatchError for a wrong length, a `v` other than 27 and 28, a high `s` and
    anything else no key signs.
    """
    return _address_of(_recover_public_key(digest, signature))


def _recover_public_key(digest: Hash32, signature: Signature) -> bytes:
    require_bytes("digest", digest, HASH_BYTES)
    if len(signature) != SIGNATURE_BYTES:
        raise SignatureMismatchError(f"a signature of {len(signature)} bytes")
    recovery_id = _RECOVERY_ID_OF_V.get(signature[64])
    if recovery_id is None:
        raise SignatureMismatchError(f"a signature with v = {signature[64]}")
    if signature[32:64] > _HALF_ORDER_BYTES:
        raise SignatureMismatchError("a signature with a high s")
    try:
        point = PublicKey.from_signature_and_message(
            signature[:64] + recovery_id, digest, hasher=None
        )
    except ValueError as error:
        raise SignatureMismatchError("a signature of no key") from error
    return point.format(compressed=False)


def _address_of(public_key: bytes) -> Address:
    return keccak(public_key[1:])[12:]


def _prf(key: bytes, message: bytes) -> Hash32:
    return hmac.digest(key, message, hashlib.sha256)
