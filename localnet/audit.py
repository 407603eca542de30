"""The books after a run: what was owed, logged, claimed and paid, receipt by receipt (property 7).

What suppliers logged is read with the project's own reader, and mined again here: a claim is right
when its root is that of every acknowledged payable receipt of its session, and of nothing else.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from gateway.settlement.outbox import SETTLED, Outbox, OwedReceipt
from node.append_log import AppendLog
from relay_mining import (
    Address,
    Claim,
    Domain,
    Hash32,
    InvalidProofError,
    Leaf,
    SumTrie,
    verify_leaf,
)
from supplier.mining.facts import SessionFacts
from supplier.mining.receipt_log import ReceiptLog
from supplier.mining.records import Closed, Opened, Receipted, Record

Relay = tuple[Hash32, Hash32]
"""Request and response of a receipt."""


@dataclass(slots=True)
class SessionBooks:
    """One session of one supplier, as its log has it."""

    facts: SessionFacts
    salt: Hash32
    receipts: dict[Relay, Receipted] = field(default_factory=dict)
    end: str = "never closed"

    def leaves(self, supplier: Address, domain: Domain) -> list[Leaf]:
        """The payable ones among the receipts."""
        found = []
        for record in self.receipts.values():
            mined = record.mined(supplier, self.salt)
            signer, tau = self.facts.gateway_signer, self.facts.terms.tau
            with suppress(InvalidProofError):
                found.append(verify_leaf(mined, domain, signer, self.salt, tau))
        return found

    def variance(self) -> int:
        """Of the sum of the leaves' weights over seeds: each is tau with probability units / tau,
        or, of a receipt of tau units and more, what it is.
        """
        tau = self.facts.terms.tau
        return sum(each.units * max(0, tau - each.units) for each in self.receipts.values())


@dataclass(slots=True)
class SupplierAudit:
    """One supplier: relays and units by stage, and every breach of property 7."""

    name: str
    owed: int = 0
    """Receipts that the gateway owes for answers it accepted."""
    owed_units: int = 0
    logged: int = 0
    """Receipts that the supplier logged, which is what it acknowledges."""
    logged_units: int = 0
    payable: int = 0
    claimed: int = 0
    """Payable receipts that are leaves of the claim of their session."""
    claimed_units: int = 0
    """The weights of those leaves: in the mean, over seeds, `logged_units`."""
    variance: int = 0
    """Of `claimed_units` over seeds, in units squared."""
    lost: int = 0
    """Owed, and never acknowledged."""
    lost_units: int = 0
    unclaimed_sessions: int = 0
    """Sessions without a payable receipt."""
    breaches: list[str] = field(default_factory=list)


def keep_segments(log: Path, archive: Path) -> None:
    """Link the segments of a receipt log into an archive, where they outlive their deletion."""
    archive.mkdir(parents=True, exist_ok=True)
    for segment in log.glob("*.log"):
        with suppress(FileExistsError, FileNotFoundError):
            os.link(segment, archive / segment.name)


async def read_sessions(archive: Path) -> dict[Hash32, SessionBooks]:
    """The sessions in a supplier's receipt log that no node has open, or in the archive of it."""
    log = ReceiptLog(archive)
    try:
        return fold_sessions(log.replay())
    finally:
        await log.close()


def fold_sessions(records: Iterable[Record]) -> dict[Hash32, SessionBooks]:
    """The sessions that records of a receipt log tell of, in the order of writing."""
    sessions: dict[Hash32, SessionBooks] = {}
    for record in records:
        match record:
            case Opened(facts, salt):
                sessions.setdefault(facts.key.id, SessionBooks(facts, salt)).facts = facts
            case Receipted(session_id, request_hash, response_hash):
                relay = (request_hash, response_hash)
                sessions[session_id].receipts.setdefault(relay, record)
            case Closed(session_id, reason):
                sessions[session_id].end = reason
            case _:
                continue
    return sessions


async def read_owed(directory: Path) -> dict[Relay, OwedReceipt]:
    """Every receipt that a gateway, now stopped, ever owed, in units as recounted."""
    outbox = Outbox()
    async with AppendLog(directory) as log:
        outbox.replay(record for record in log.replay() if record[0] != SETTLED)
    return {(each.request_hash, each.response_hash): each for each in outbox}


@dataclass(slots=True)
class Audit:
    """Holds the suppliers' logs against the gateway's and against the claims on the chain."""

    domain: Domain
    owed: Mapping[Relay, OwedReceipt]
    claims: Mapping[tuple[Address, Hash32], Sequence[Claim]]
    """Accepted claims by supplier and session: of each at most one."""
    _leaves: dict[Hash32, str] = field(default_factory=dict)
    """Paths of claimed leaves, and whose."""

    def check(
        self, name: str, supplier: Address, sessions: Mapping[Hash32, SessionBooks]
    ) -> SupplierAudit:
        """What became of one supplier's receipts."""
        audit = SupplierAudit(name)
        logged = {relay for each in sessions.values() for relay in each.receipts}
        self._count_owed(audit, supplier, logged)
        for session_id, books in sessions.items():
            audit.logged += len(books.receipts)
            audit.logged_units += sum(each.units for each in books.receipts.values())
            audit.variance += books.variance()
            self._check_session(audit, supplier, session_id, books)
        for owner, session_id in self.claims:
            if owner == supplier and session_id not in sessions:
                audit.breaches.append(f"a claim for a session without receipts: {session_id.hex()}")
        return audit

    def _count_owed(self, audit: SupplierAudit, supplier: Address, logged: set[Relay]) -> None:
        mine = {relay: each for relay, each in self.owed.items() if each.supplier == supplier}
        lost = [each for relay, each in mine.items() if relay not in logged]
        audit.owed = len(mine)
        audit.owed_units = sum(each.units for each in mine.values())
        audit.lost = len(lost)
        audit.lost_units = sum(each.units for each in lost)
        if strange := logged - mine.keys():
            audit.breaches.append(f"{len(strange)} receipts that the gateway never owed")

    def _check_session(
        self, audit: SupplierAudit, supplier: Address, session_id: Hash32, books: SessionBooks
    ) -> None:
        leaves = books.leaves(supplier, self.domain)
        claims = self.claims.get((supplier, session_id), ())
        audit.payable += len(leaves)
        where = f"session {books.facts.key.number}"
        if len(claims) > 1:
            audit.breaches.append(f"{where}: {len(claims)} claims")
        elif not claims and leaves:
            audit.breaches.append(f"{where}: {len(leaves)} payable receipts unclaimed: {books.end}")
        elif not claims:
            audit.unclaimed_sessions += 1
        elif claims[0].root != SumTrie.build(leaves).root:
            audit.breaches.append(
                f"{where}: a claim of {claims[0].root.count} leaves for {len(leaves)} payable"
            )
        else:
            audit.claimed += len(leaves)
            audit.claimed_units += claims[0].root.sum
            self._take(audit, where, leaves)

    def _take(self, audit: SupplierAudit, where: str, leaves: Iterable[Leaf]) -> None:
        place = f"{audit.name}, {where}"
        for leaf in leaves:
            if leaf.path in self._leaves:
                audit.breaches.append(f"{where}: a leaf that {self._leaves[leaf.path]} has too")
            self._leaves[leaf.path] = place
