"""Files that somebody else may have written, or a crash cut off: bundles, records, the spool."""

import tempfile
from dataclasses import replace
from pathlib import Path

from gateway.settlement.spool import Spool
from node.log_format import frame, new_head
from relay_mining import Clock
from supplier.mining.bundles import BrokenBundleError, read_bundle
from supplier.mining.records import (
    Claimed,
    Closed,
    CorruptRecordError,
    Opened,
    Receipted,
    Sealed,
    Served,
    decode_record,
    encode_record,
)
from supplier.mining.watchtower import keep_provable
from tests.factories import DOMAIN, a_hash, a_session
from tests.fuzz.target import Target
from tests.relay_mining.claimed import SALT, TAU, a_claimed_session
from tests.supplier.market import facts_of

FOLDER = tempfile.TemporaryDirectory(prefix="lode-fuzz-")
CLOCK = Clock(0, 12, 2, 2)
CLAIMED = a_claimed_session((1_000, 70_000, 1_500))
FACTS = facts_of(a_session())
OPENED = Opened(replace(FACTS, terms=replace(FACTS.terms, tau=TAU)), SALT)
RECEIPTS = tuple(map(Receipted.of, CLAIMED.mined.values()))
BUNDLE = tuple(map(encode_record, (OPENED, *RECEIPTS, Claimed(a_session().id, CLAIMED.claim))))
OTHERS = (
    Served(a_hash(1), a_hash(2), a_hash(3), 77, "left"),
    Sealed(a_hash(1)), Closed(a_hash(1), "settled"),
)  # fmt: skip
RECORDS = (*BUNDLE, *map(encode_record, OTHERS))
DEBTS = (b"one", b"two" * 20)


def read_record(data: bytes) -> bool:
    """Whether a log takes a record, which is then what is written of it."""
    try:
        record = decode_record(data)
    except CorruptRecordError:
        return False
    written = encode_record(record)
    if isinstance(record, Opened | Claimed):  # JSON has many ways to write one value
        assert decode_record(written) == record
    else:
        assert written == data
    return True


def read_edited_bundle(data: bytes) -> bool:
    """Whether a watchtower takes a bundle with `data` for one of its records; then it can prove."""
    kinds = [each[:1] for each in BUNDLE]
    place = kinds.index(data[:1]) if data[:1] in kinds else len(BUNDLE)
    payloads = [*BUNDLE[:place], data, *BUNDLE[place + 1 :]]
    head = new_head()
    frames = [frame(head, each, index == 0) for index, each in enumerate(payloads)]
    path = Path(FOLDER.name) / "a.bundle"
    path.write_bytes(b"".join((head, *frames)))
    try:
        bundle = keep_provable(read_bundle(path), DOMAIN)
    except BrokenBundleError:
        return False
    assert {each.root for each in bundle.claims} == {CLAIMED.claim.root}
    assert CLOCK.proof_window(bundle.facts.key.number).opens >= 0
    return True


def _write_spool() -> bytes:
    folder = Path(FOLDER.name) / "whole"
    with Spool(folder) as spool:
        for each in DEBTS:
            spool.add(each)
    return (folder / "even.spool").read_bytes()


def read_spool(data: bytes) -> bool:
    """Whether a spool is whole; nothing comes out of it that nobody put in, but by its checksum."""
    folder = Path(FOLDER.name) / "edited"
    with Spool(folder):
        (folder / "even.spool").write_bytes(data)
    with Spool(folder) as spool:
        found = tuple(spool.replay())
    assert all(each in data for each in found)
    return found == DEBTS


TARGETS = (
    Target("record of the receipt log", RECORDS, read_record),
    Target("bundle of a watchtower", BUNDLE, read_edited_bundle),
    Target("spool of debts", (_write_spool(),), read_spool),
)
