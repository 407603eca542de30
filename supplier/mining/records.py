"""What the receipt log holds, and its bytes: the only truth about what was receipted.

    OPENED   salt32 and facts of a session (JSON), before its first relay
    SERVED   sessionId32 requestHash32 responseHash32 added8 and the engine's name, not waited for
    RECEIPT  sessionId32 requestHash32 responseHash32 secret32 units8 signature65 path_len1 path
    SEALED   sessionId32: no receipt counts from here on
    CLAIMED  sessionId32 and a claim as it was sent (JSON)
    CLOSED   sessionId32 and why there is nothing left to do (text)

The salt is written because its responses commit to it, whatever key the operator has by the time
of the proof; it is a secret until then, and is kept nowhere else. The supplier is not written: it
is the node's identity.
"""

from dataclasses import dataclass, field

import orjson

from relay_mining import Address, Claim, Hash32, MinedReceipt, Receipt, SessionKey, TrieRoot, keccak
from supplier.mining.facts import SessionFacts, decode_facts, read_count
from supplier.settings import ENGINE_NAME_MAX

_OPENED, _SERVED, _RECEIPT, _SEALED, _CLAIMED, _CLOSED = b"O", b"V", b"R", b"S", b"C", b"X"
_HASH = 32
_SIGNATURE = 65
_FIXED = 4 * _HASH + 8 + _SIGNATURE + 1


class CorruptRecordError(Exception):
    """A record with a good checksum that this version cannot have written."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The session's facts, and the salt its responses commit to."""

    facts: SessionFacts
    salt: Hash32 = field(repr=False)


@dataclass(frozen=True, slots=True)
class Served:
    """A signed response that a receipt is waited for; what it added to those before."""

    session_id: Hash32
    request_hash: Hash32
    response_hash: Hash32
    added: int
    engine: str = ""
    """Who served it; empty in records from before it was written."""


@dataclass(frozen=True, slots=True)
class Receipted:
    """One accepted receipt, as a proof needs it."""

    session_id: Hash32
    request_hash: Hash32
    response_hash: Hash32
    secret: Hash32
    units: int
    batch_signature: bytes
    batch_path: tuple[Hash32, ...]

    @classmethod
    def of(cls, mined: MinedReceipt) -> "Receipted":
        """The record of a receipt whose place under a signed batch root is known."""
        receipt = mined.receipt
        return cls(
            session_id=receipt.session_id,
            request_hash=receipt.request_hash,
            response_hash=receipt.response_hash,
            secret=receipt.secret,
            units=receipt.units,
            batch_signature=mined.batch_signature,
            batch_path=mined.batch_path,
        )

    def mined(self, supplier: Address, salt: Hash32) -> MinedReceipt:
        """The receipt itself, with its way to the signed batch root."""
        receipt = Receipt(
            session_id=self.session_id,
            supplier=supplier,
            request_hash=self.request_hash,
            response_hash=self.response_hash,
            salt_hash=keccak(salt),
            units=self.units,
            secret=self.secret,
        )
        return MinedReceipt(receipt, self.batch_path, self.batch_signature)


@dataclass(frozen=True, slots=True)
class Sealed:
    """The receipts of a session are those logged before this."""

    session_id: Hash32


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claim this supplier made up its mind to send."""

    session_id: Hash32
    claim: Claim


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing is left to do for the session."""

    session_id: Hash32
    reason: str


Record = Opened | Served | Receipted | Sealed | Claimed | Closed


def encode_record(record: Record) -> bytes:
    """The bytes of a record."""
    if isinstance(record, Receipted):
        return b"".join(
            (
                _RECEIPT,
                record.session_id,
                record.request_hash,
                record.response_hash,
                record.secret,
                record.units.to_bytes(8, "big"),
                record.batch_signature,
                len(record.batch_path).to_bytes(1, "big"),
                *record.batch_path,
            )
        )
    if isinstance(record, Served):
        hashes = record.session_id + record.request_hash + record.response_hash
        return _SERVED + hashes + record.added.to_bytes(8, "big") + record.engine.encode()
    if isinstance(record, Opened):
        return _OPENED + record.salt + record.facts.encode()
    if isinstance(record, Sealed):
        return _SEALED + record.session_id
    if isinstance(record, Claimed):
        return _CLAIMED + record.session_id + _encode_claim(record.claim)
    return _CLOSED + record.session_id + record.reason.encode()


def decode_record(data: bytes) -> Record:
    """The record of these bytes; raises CorruptRecordError."""
    kind, rest = data[:1], data[1:]
    try:
        if kind == _RECEIPT:
            return _decode_receipt(rest)
        if kind == _SERVED:
            return _decode_served(rest)
        if kind == _OPENED:
            return Opened(decode_facts(rest[_HASH:]), rest[:_HASH])
        if kind == _SEALED:
            return Sealed(rest)
        if kind == _CLAIMED:
            return Claimed(rest[:_HASH], _decode_claim(rest[_HASH:]))
        if kind == _CLOSED:
            return Closed(rest[:_HASH], rest[_HASH:].decode())
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptRecordError(f"a record of kind {kind!r}: {error}") from error
    raise CorruptRecordError(f"a record of unknown kind {kind!r}")


def _decode_served(rest: bytes) -> Served:
    fixed = 3 * _HASH + 8
    if not fixed <= len(rest) <= fixed + ENGINE_NAME_MAX:
        raise ValueError("a served response has another length")
    session, request, response = (rest[at : at + _HASH] for at in range(0, 3 * _HASH, _HASH))
    added = int.from_bytes(rest[3 * _HASH : fixed], "big")
    return Served(session, request, response, added, rest[fixed:].decode())


def _decode_receipt(data: bytes) -> Receipted:
    if len(data) < _FIXED or len(data) != _FIXED + _HASH * data[_FIXED - 1]:
        raise ValueError(f"{len(data)} bytes")
    session_id, request_hash, response_hash, secret = (
        data[at : at + _HASH] for at in range(0, 4 * _HASH, _HASH)
    )
    at = 4 * _HASH
    return Receipted(
        session_id=session_id,
        request_hash=request_hash,
        response_hash=response_hash,
        secret=secret,
        units=int.from_bytes(data[at : at + 8], "big"),
        batch_signature=data[at + 8 : at + 8 + _SIGNATURE],
        batch_path=tuple(data[j : j + _HASH] for j in range(_FIXED, len(data), _HASH)),
    )


def _encode_claim(claim: Claim) -> bytes:
    key = claim.session
    return orjson.dumps(
        {
            "supplier": claim.supplier.hex(),
            "session": [key.application.hex(), key.gateway.hex(), key.service.hex(), key.number],
            "root": [claim.root.digest.hex(), str(claim.root.sum), claim.root.count],
            "value": str(claim.value),
            "bond": str(claim.bond),
            "tau": str(claim.tau),
            "fee_bps": claim.fee_bps,
            "price": str(claim.price),
        }
    )


def _decode_claim(data: bytes) -> Claim:
    raw = orjson.loads(data)
    application, gateway, service, number = raw["session"]
    digest, total, count = raw["root"]
    return Claim(
        supplier=bytes.fromhex(raw["supplier"]),
        session=SessionKey(
            bytes.fromhex(application),
            bytes.fromhex(gateway),
            bytes.fromhex(service),
            read_count(number),
        ),
        root=TrieRoot(bytes.fromhex(digest), int(total), read_count(count)),
        value=int(raw["value"]),
        bond=int(raw["bond"]),
        tau=int(raw["tau"]),
        fee_bps=read_count(raw["fee_bps"]),
        price=int(raw["price"]),
    )
