"""Receipts owed and not acknowledged, durable: a killed gateway sends them again.

What is kept of a receipt is what it is made of; secret and signature follow from the signing key,
so the same relay always yields the same receipt. Records, in the order they were made:

    owed       1 | application 20 gateway 20 service 32 number 8 signer 20 supplier 20
                   requestHash 32 responseHash 32 saltHash 32 units 8
    billed     4 | an owed receipt, then what its bill is made of:
                   request 16 price 8 bodyHash 32 specHash 32 input 4 cached 4 output 4 part 4
                   status 1 unitsSigned 8 signature 65, the API key's id, NUL, the model's name
    lowered    2 | responseHash 32 units 8        the recount found less; 0 takes it back
    settled    3 | responseHash 32                acknowledged, refused for good, or too late
    removed    5 | number 8                       receipts of sessions up to this one are gone
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

from relay_mining import (
    Address,
    Hash32,
    Receipt,
    RelayResponse,
    SessionKey,
    Signature,
    Signer,
    Status,
    value_class,
)

_OWED = struct.Struct(">B20s20s32sQ20s20s32s32s32sQ")
_BILL = struct.Struct(">16sQ32s32sIIIIBQ65s")
_LOWERED = struct.Struct(">B32sQ")
_SETTLED = struct.Struct(">B32s")
_REMOVED = struct.Struct(">BQ")
OWED, LOWERED, SETTLED, BILLED, REMOVED = 1, 2, 3, 4, 5


@value_class
class Bill:
    """What a receipt was for, and the supplier's signed word on it."""

    request: bytes
    """The client's request, 16 bytes."""
    key_id: str
    model: str
    price: int
    """Token base units for a million units."""
    response: RelayResponse
    signature: Signature


@value_class
class OwedReceipt:
    """A receipt to be: everything but what the signing key adds."""

    session: SessionKey
    signer: Address
    supplier: Address
    request_hash: Hash32
    response_hash: Hash32
    salt_hash: Hash32
    units: int
    bill: Bill | None = None
    """None in a log from before bills were kept."""

    def receipt(self, key: Signer) -> Receipt:
        """The one receipt this relay has."""
        return Receipt(
            session_id=self.session.id,
            supplier=self.supplier,
            request_hash=self.request_hash,
            response_hash=self.response_hash,
            salt_hash=self.salt_hash,
            units=self.units,
            secret=key.receipt_secret(self.request_hash, self.response_hash),
        )


def encode_owed(owed: OwedReceipt) -> bytes:
    """The record that a relay is to be receipted."""
    key, bill = owed.session, owed.bill
    record = _OWED.pack(
        BILLED if bill else OWED, key.application, key.gateway, key.service, key.number,
        owed.signer, owed.supplier, owed.request_hash, owed.response_hash, owed.salt_hash,
        owed.units,
    )  # fmt: skip
    return record + _encode_bill(bill) if bill else record


def _encode_bill(bill: Bill) -> bytes:
    said = bill.response
    return _BILL.pack(
        bill.request, bill.price, said.body_hash, said.service_spec_hash, said.input_tokens,
        said.cached_tokens, said.output_tokens, said.part, said.status, said.units, bill.signature,
    ) + f"{bill.key_id}\0{bill.model}".encode()  # fmt: skip


def encode_lowered(response_hash: Hash32, units: int) -> bytes:
    """The record that a relay is receipted with fewer units than the supplier signed."""
    return _LOWERED.pack(LOWERED, response_hash, units)


def encode_settled(response_hash: Hash32) -> bytes:
    """The record that a receipt needs no more sending."""
    return _SETTLED.pack(SETTLED, response_hash)


def encode_removed(number: int) -> bytes:
    """The record that what a log had of sessions up to a number may be gone from it."""
    return _REMOVED.pack(REMOVED, number)


class Outbox:
    """The receipts still to be acknowledged, by supplier and in their order; pure state."""

    def __init__(self) -> None:
        self._owed: dict[Address, dict[Hash32, OwedReceipt]] = {}
        self._suppliers: dict[Hash32, Address] = {}

    def __len__(self) -> int:
        return len(self._suppliers)

    def __contains__(self, response_hash: Hash32) -> bool:
        return response_hash in self._suppliers

    def __iter__(self) -> Iterator[OwedReceipt]:
        for waiting in self._owed.values():
            yield from waiting.values()

    @property
    def suppliers(self) -> tuple[Address, ...]:
        """Suppliers that something is owed to."""
        return tuple(self._owed)

    def owed_to(self, supplier: Address) -> int:
        """How many receipts are owed to a supplier."""
        return len(self._owed.get(supplier, ()))

    def replay(self, records: Iterable[bytes]) -> None:
        """Rebuild the state a log's records lead to (ValueError for a record of no kind)."""
        for record in records:
            kind = record[0] if record else 0
            if kind in (OWED, BILLED):
                self.add(decode_owed(record))
            elif kind == LOWERED:
                _, response_hash, units = _LOWERED.unpack(record)
                self.lower(response_hash, units)
            elif kind == SETTLED:
                self.settle((_SETTLED.unpack(record)[1],))
            elif kind != REMOVED:
                raise ValueError(f"a record of kind {kind}")

    def add(self, owed: OwedReceipt) -> None:
        """Owe a receipt; the same one again changes nothing."""
        waiting = self._owed.setdefault(owed.supplier, {})
        waiting.setdefault(owed.response_hash, owed)
        self._suppliers[owed.response_hash] = owed.supplier

    def lower(self, response_hash: Hash32, units: int) -> None:
        """Receipt fewer units; none at all takes the receipt back."""
        supplier = self._suppliers.get(response_hash)
        if supplier is None:
            return
        if units <= 0:
            self.settle((response_hash,))
            return
        waiting = self._owed[supplier]
        waiting[response_hash] = replace(waiting[response_hash], units=units)

    def settle(self, response_hashes: Iterable[Hash32]) -> None:
        """Forget receipts that need no more sending."""
        for response_hash in response_hashes:
            supplier = self._suppliers.pop(response_hash, None)
            if supplier is None:
                continue
            waiting = self._owed[supplier]
            del waiting[response_hash]
            if not waiting:
                del self._owed[supplier]

    def next_batch(self, supplier: Address, size_max: int) -> tuple[OwedReceipt, ...]:
        """The oldest receipts of a supplier that one key signs, at most `size_max`."""
        waiting = self._owed.get(supplier, {})
        first = next(iter(waiting.values()), None)
        if first is None:
            return ()
        same = (each for each in waiting.values() if each.signer == first.signer)
        return tuple(islice(same, size_max))

    def expired(self, session_min: int) -> tuple[OwedReceipt, ...]:
        """Receipts of sessions before `session_min`, which nobody can claim any more."""
        return tuple(each for each in self if each.session.number < session_min)


def decode_owed(record: bytes) -> OwedReceipt:
    """The receipt of a record that `encode_owed` made."""
    kind, application, gateway, service, number, *rest = _OWED.unpack_from(record)
    owed = OwedReceipt(SessionKey(application, gateway, service, number), *rest)
    return replace(owed, bill=_decode_bill(record, owed)) if kind == BILLED else owed


def _decode_bill(record: bytes, owed: OwedReceipt) -> Bill:
    request, price, body_hash, spec_hash, given, cached, written, part, status, units, signature = (
        _BILL.unpack_from(record, _OWED.size)
    )
    response = RelayResponse(
        owed.request_hash, body_hash, owed.salt_hash, given, cached, written, units,
        Status(status), spec_hash, part,
    )  # fmt: skip
    key_id, _, model = record[_OWED.size + _BILL.size :].decode().partition("\0")
    return Bill(request, key_id, model, price, response, signature)


def read_accepted(records: Iterable[bytes]) -> dict[Hash32, OwedReceipt]:
    """Every response that was ever accepted, in units as recounted: 0 where none is receipted."""
    accepted: dict[Hash32, OwedReceipt] = {}
    for record in records:
        if record[0] in (OWED, BILLED):
            owed = decode_owed(record)
            accepted.setdefault(owed.response_hash, owed)
        elif record[0] == LOWERED:
            _, response_hash, units = _LOWERED.unpack(record)
            if response_hash in accepted:
                accepted[response_hash] = replace(accepted[response_hash], units=units)
    return accepted


def read_owed(records: Iterable[bytes]) -> dict[Hash32, OwedReceipt]:
    """Every receipt that was ever owed, by its response, in units as recounted."""
    return {digest: each for digest, each in read_accepted(records).items() if each.units > 0}


def read_removed(records: Iterable[bytes]) -> int:
    """The session up to which a log's receipts may be gone; -1 where none was removed."""
    return max((_REMOVED.unpack(each)[1] for each in records if each[0] == REMOVED), default=-1)


def read_last_session(records: Iterable[bytes]) -> int:
    """The newest session that a log has receipts of, or had; -1 where it never had one."""
    last = -1
    for record in records:
        if record[0] in (OWED, BILLED):
            last = max(last, _OWED.unpack_from(record)[4])
        elif record[0] == REMOVED:
            last = max(last, _REMOVED.unpack(record)[1])
    return last
