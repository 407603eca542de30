"""What a proof needs, in a file for whoever is to make it: see `supplier.mining.watchtower`.

A bundle is a segment in the format of the receipt log: the session's facts and salt, its payable
receipts, and last the claims that may have been sent, so that one that was cut off is known.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from node.log_format import CorruptLog, frame, new_head, scan
from relay_mining import Address, Claim, Hash32, MinedReceipt
from supplier.mining.facts import SessionFacts
from supplier.mining.records import (
    Claimed,
    CorruptRecordError,
    Opened,
    Receipted,
    Record,
    decode_record,
    encode_record,
)

SUFFIX = ".bundle"


class BrokenBundleError(Exception):
    """A file that is no whole bundle."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """One claimed session; a receipt log of its own."""

    facts: SessionFacts
    salt: Hash32
    payable: tuple[Receipted, ...]
    claims: tuple[Claim, ...]
    """All that may have been sent, the likeliest last; the chain took one at most."""

    @property
    def session_id(self) -> Hash32:
        """The session."""
        return self.facts.key.id

    def receipts(self, number: int, session_id: Hash32) -> Iterator[Receipted]:
        """The payable receipts of the session; none of any other."""
        return iter(self.payable if session_id == self.session_id else ())


class BundleFolder:
    """The bundles of one folder; written by a node, read by watchtowers."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(
        self, facts: SessionFacts, salt: Hash32, mined: Iterable[MinedReceipt], claims: list[Claim]
    ) -> None:
        """Put a session's bundle in the place of any earlier one, durably; raises OSError."""
        session_id = facts.key.id
        receipts = [Receipted.of(each) for each in mined]
        claimed = [Claimed(session_id, claim) for claim in claims]
        records: list[Record] = [Opened(facts, salt), *receipts, *claimed]
        head = new_head()
        payloads = [encode_record(record) for record in records]
        frames = [frame(head, each, index == 0) for index, each in enumerate(payloads)]
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        place = self._of(claims[-1].supplier, session_id)
        beside = place.with_name("." + place.stem)
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(b"".join((head, *frames)))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(place)

    def remove(self, supplier: Address, session_id: Hash32) -> None:
        """Nobody needs to prove this session any more; raises OSError."""
        self._of(supplier, session_id).unlink(missing_ok=True)

    def files(self) -> list[Path]:
        """The bundles that are there, sorted."""
        return sorted(self.path.glob("*" + SUFFIX))

    def _of(self, supplier: Address, session_id: Hash32) -> Path:
        """Members of one session may write to one folder."""
        return self.path / f"{session_id.hex()}-{supplier.hex()}{SUFFIX}"


def read_bundle(path: Path) -> Bundle:
    """The bundle in a file; raises BrokenBundleError, and OSError where it cannot be read."""
    try:
        first, *rest = (decode_record(payload) for payload, _ in scan(path))
    except (CorruptLog, CorruptRecordError, ValueError) as error:
        raise BrokenBundleError(f"{path.name} is no bundle: {error}") from error
    claims = tuple(each.claim for each in rest if isinstance(each, Claimed))
    if not isinstance(first, Opened) or not claims:
        raise BrokenBundleError(f"{path.name} is not whole")
    if any(claim.session != first.facts.key for claim in claims):
        raise BrokenBundleError(f"{path.name} holds the claim of another session")
    payable = tuple(each for each in rest if isinstance(each, Receipted))
    return Bundle(first.facts, first.salt, payable, claims)
