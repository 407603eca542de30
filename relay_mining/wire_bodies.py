"""The bodies between gateway and supplier besides the relays themselves.

Integers are big-endian, every field has a fixed width, and nothing may be left over, as in `wire`.

    receipts      1 | sig 65 | count 4 | count * ( session 80 | supplier 20 requestHash 32
                                    responseHash 32 saltHash 32 units 8 secret 32 )
    ack, cancel   hash 32 | sig 65
    session       application 20 gateway 20 service 32 number 8
"""

import struct
from dataclasses import dataclass

from relay_mining.errors import MalformedError
from relay_mining.messages import Ack, Cancel, Receipt
from relay_mining.session import SessionKey
from relay_mining.types import SIGNATURE_BYTES, UNITS_MAX, Hash32, Signature, require_bytes
from relay_mining.wire import WIRE_VERSION, require_valid, require_version

_DELIVERY = struct.Struct(">B65sI")
_RECEIPT = struct.Struct(">20s20s32sQ20s32s32s32sQ32s")
_SIGNED_HASH = struct.Struct(">32s65s")
_SessionFields = tuple[bytes, bytes, bytes, int]

DELIVERY_RECEIPTS_MAX = 1024
"""Receipts of one delivery, well below the BATCH_SIZE_MAX that the chain would take: a supplier
reads and checks a delivery as a whole."""
RECEIPTS_BYTES_MAX = _DELIVERY.size + DELIVERY_RECEIPTS_MAX * _RECEIPT.size
"""Size of the largest delivery."""


@dataclass(frozen=True, slots=True)
class ReceiptDelivery:
    """Receipts of one batch in the order of its tree, and the signature over the batch's root."""

    receipts: tuple[tuple[SessionKey, Receipt], ...]
    signature: Signature

    def __post_init__(self) -> None:
        require_bytes("signature", self.signature, SIGNATURE_BYTES)


@dataclass(frozen=True, slots=True)
class SignedAck:
    """The word of a supplier's operator that a batch is durable."""

    ack: Ack
    signature: Signature

    def __post_init__(self) -> None:
        require_bytes("signature", self.signature, SIGNATURE_BYTES)


@dataclass(frozen=True, slots=True)
class SignedCancel:
    """The word of a gateway that the client of a request has left."""

    cancel: Cancel
    signature: Signature

    def __post_init__(self) -> None:
        require_bytes("signature", self.signature, SIGNATURE_BYTES)


def encode_receipts(delivery: ReceiptDelivery) -> bytes:
    """Return the body of a delivery of 1 to DELIVERY_RECEIPTS_MAX receipts."""
    require_valid(1 <= len(delivery.receipts) <= DELIVERY_RECEIPTS_MAX)
    parts = [_DELIVERY.pack(WIRE_VERSION, delivery.signature, len(delivery.receipts))]
    for session, receipt in delivery.receipts:
        if receipt.session_id != session.id:
            raise ValueError("a receipt belongs to another session")
        require_valid(_are_receipt_units_valid(receipt.units))
        parts.append(_pack_receipt(session, receipt))
    return b"".join(parts)


def decode_receipts(body: bytes) -> ReceiptDelivery:
    """Return the delivery in a body (MalformedError for anything else)."""
    if len(body) < _DELIVERY.size:
        raise MalformedError(f"a delivery of {len(body)} bytes")
    version, signature, count = _DELIVERY.unpack_from(body)
    require_version(version)
    if not 1 <= count <= DELIVERY_RECEIPTS_MAX:
        raise MalformedError(f"a delivery of {count} receipts")
    if len(body) != _DELIVERY.size + count * _RECEIPT.size:
        raise MalformedError(f"a delivery of {count} receipts in {len(body)} bytes")
    records = _RECEIPT.iter_unpack(memoryview(body)[_DELIVERY.size :])
    sessions: dict[_SessionFields, SessionKey] = {}
    return ReceiptDelivery(
        tuple(_unpack_receipt(record, sessions) for record in records), signature
    )


def encode_ack(signed: SignedAck) -> bytes:
    """Return the body that answers a delivery once it is durable."""
    return _SIGNED_HASH.pack(signed.ack.root, signed.signature)


def decode_ack(body: bytes) -> SignedAck:
    """Return the acknowledgement in a body (MalformedError for anything else)."""
    root, signature = _unpack_signed_hash(body)
    return SignedAck(Ack(root), signature)


def encode_cancel(signed: SignedCancel) -> bytes:
    """Return the body that asks a supplier to stop."""
    return _SIGNED_HASH.pack(signed.cancel.request_hash, signed.signature)


def decode_cancel(body: bytes) -> SignedCancel:
    """Return the cancellation in a body (MalformedError for anything else)."""
    request_hash, signature = _unpack_signed_hash(body)
    return SignedCancel(Cancel(request_hash), signature)


def _pack_receipt(session: SessionKey, receipt: Receipt) -> bytes:
    return _RECEIPT.pack(
        session.application,
        session.gateway,
        session.service,
        session.number,
        receipt.supplier,
        receipt.request_hash,
        receipt.response_hash,
        receipt.salt_hash,
        receipt.units,
        receipt.secret,
    )


def _unpack_receipt(
    record: tuple[bytes, bytes, bytes, int, bytes, bytes, bytes, bytes, int, bytes],
    sessions: dict[_SessionFields, SessionKey],
) -> tuple[SessionKey, Receipt]:
    session = sessions.get(record[:4]) or sessions.setdefault(record[:4], SessionKey(*record[:4]))
    receipt = Receipt(session.id, *record[4:])
    if not _are_receipt_units_valid(receipt.units):
        raise MalformedError(f"a receipt of {receipt.units} units")
    return session, receipt


def _unpack_signed_hash(body: bytes) -> tuple[Hash32, Signature]:
    if len(body) != _SIGNED_HASH.size:
        raise MalformedError(f"{len(body)} bytes instead of {_SIGNED_HASH.size}")
    value, signature = _SIGNED_HASH.unpack(body)
    return value, signature


def _are_receipt_units_valid(units: int) -> bool:
    return 0 < units <= UNITS_MAX
