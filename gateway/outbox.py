"""Receipts owed and not acknowledged, durable: a killed gateway sends them again.

What is kept of a receipt is what it is made of; secret and signature follow from the signing key,
so the same relay always yields the same receipt. Records, in the order they were made:

    owed       1 | application 20 gateway 20 service 32 number 8 signer 20 supplier 20
                   requestHash 32 responseHash 32 saltHash 32 units 8
    lowered    2 | responseHash 32 units 8        the recount found less; 0 takes it back
    settled    3 | responseHash 32                acknowledged, refused for good, or too late
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from relay_mining import Address, Hash32, Receipt, SessionKey, Signer

_OWED = struct.Struct(">B20s20s32sQ20s20s32s32s32sQ")
_LOWERED = struct.Struct(">B32sQ")
_SETTLED = struct.Struct(">B32s")
OWED, LOWERED, SETTLED = 1, 2, 3


@dataclass(frozen=True, slots=True)
class OwedReceipt:
    """A receipt to be: everything but what the signing key adds."""

    session: SessionKey
    signer: Address
    supplier: Address
    request_hash: Hash32
    response_hash: Hash32
    salt_hash: Hash32
    units: int

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
    key = owed.session
    return _OWED.pack(
        OWED, key.application, key.gateway, key.service, key.number, owed.signer, owed.supplier,
        owed.request_hash, owed.response_hash, owed.salt_hash, owed.units,
    )  # fmt: skip


def encode_lowered(response_hash: Hash32, units: int) -> bytes:
    """The record that a relay is receipted with fewer units than the supplier signed."""
    return _LOWERED.pack(LOWERED, response_hash, units)


def encode_settled(response_hash: Hash32) -> bytes:
    """The record that a receipt needs no more sending."""
    return _SETTLED.pack(SETTLED, response_hash)


class Outbox:
    """The receipts still to be acknowledged, by supplier and in their order; pure state."""

    def __init__(self) -> None:
        self._owed: dict[Address, dict[Hash32, OwedReceipt]] = {}
        self._suppliers: dict[Hash32, Address] = {}

    def __len__(self) -> int:
        return len(self._suppliers)

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
            if kind == OWED:
                self.add(decode_owed(record))
            elif kind == LOWERED:
                _, response_hash, units = _LOWERED.unpack(record)
                self.lower(response_hash, units)
            elif kind == SETTLED:
                self.settle((_SETTLED.unpack(record)[1],))
            else:
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
    _, application, gateway, service, number, *rest = _OWED.unpack(record)
    session = SessionKey(application, gateway, service, number)
    return OwedReceipt(session, *rest)
