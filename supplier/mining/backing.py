"""Where a node keeps its receipts and what it did: on its own disk, or where others keep theirs."""

import time
from dataclasses import dataclass
from typing import Protocol, Self

from relay_mining import Address, Domain
from supplier.mining.alone import ALONE, Office, Sharding
from supplier.mining.books import Books
from supplier.mining.credit import compute_policy
from supplier.mining.receipt_log import Log, ReceiptLog
from supplier.mining.recovery import restore_books
from supplier.mining.store import Store, open_store
from supplier.settings import Settings


class Backing(Protocol):
    """What serving and settling are built on."""

    @property
    def books(self) -> Books:
        """What the sessions and gateways owe that are served here."""
        ...

    @property
    def settled(self) -> Books:
        """The sessions that this node is to settle."""
        ...

    @property
    def receipt_log(self) -> Log:
        """The only truth."""
        ...

    @property
    def store(self) -> Store:
        """What was sent and what came of it, for people."""
        ...

    @property
    def sharding(self) -> Sharding:
        """Which gateways are served here."""
        ...

    @property
    def office(self) -> Office:
        """Whether this node settles."""
        ...

    async def started(self) -> None:
        """Return once relays may be taken."""
        ...

    async def run(self) -> None:
        """Keep it up until cancelled; raises LogFailed where this node must not go on."""
        ...

    async def close(self) -> None:
        """Make everything durable and let go of it."""
        ...


@dataclass(frozen=True, slots=True)
class OwnDisk:
    """A file log and SQLite tables in the data directory of the only node there is."""

    books: Books
    receipt_log: ReceiptLog
    store: Store
    receipts: int
    """How many were found in the log."""
    sharding: Sharding = ALONE
    office: Office = ALONE

    @classmethod
    def open(cls, settings: Settings, supplier: Address, domain: Domain) -> Self:
        """The books as the log has them; raises CorruptRecordError, CorruptLog and LogLocked."""
        store = open_store(settings)
        books = Books(supplier, compute_policy(settings.credit), store.history())
        receipt_log = ReceiptLog(settings.data_dir / "receipts")
        count = restore_books(books, receipt_log, domain, time.monotonic())
        return cls(books, receipt_log, store, count)

    @property
    def settled(self) -> Books:
        """The same books: one node serves and settles."""
        return self.books

    async def started(self) -> None:
        """At once."""

    async def run(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Make everything durable and let go of the files."""
        await self.receipt_log.close()
        self.store.close()
