"""Everything a relay server shares with the others of its supplier, built from its settings."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Self

from sqlalchemy.exc import OperationalError

from node.errors import OperatorError
from relay_mining import Domain
from supplier.metrics import Metrics
from supplier.mining.books import Books
from supplier.mining.chain_view import ChainView
from supplier.mining.credit import compute_policy
from supplier.mining.store import Store
from supplier.settings import Settings
from supplier.shared.database import Database
from supplier.shared.errors import SharedDatabaseError
from supplier.shared.gathering import Gathering
from supplier.shared.membership import Membership
from supplier.shared.shards import Shards
from supplier.shared.shared_log import SharedLog

log = logging.getLogger(__name__)

JOIN_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Sharing:
    """The parts of one relay server that speak to the shared database."""

    membership: Membership
    books: Books
    receipt_log: SharedLog
    store: Store
    sharding: Shards
    office: Gathering
    databases: tuple[Database, ...]

    @classmethod
    def open(cls, settings: Settings, view: ChainView, domain: Domain, metrics: Metrics) -> Self:
        """The parts, not joined yet; raises OperatorError. The database is not asked."""
        shared, supplier = settings.shared, view.supplier
        if shared.database_url is None or not shared.url:
            raise OperatorError(
                "shared.database_url needs shared.url: where gateways reach this very server, or, "
                "where it dials them, any name that no other has"
            )
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        url = shared.database_url.get_secret_value()
        beating, writing = Database(url, shared.lease_s), Database(url)
        asking, settling = Database(url), Database(url)  # what strangers ask delays no claim
        membership = Membership(beating, shared.url.rstrip("/"), shared.lease_s)
        receipt_log, store = SharedLog(writing, membership), Store(url)
        policy = compute_policy(settings.credit)
        books, settled = Books(supplier, policy), Books(supplier, policy)
        shards = Shards(asking, membership, receipt_log, books, store, domain)
        office = Gathering(
            settling, membership, receipt_log, shards, settled, view, domain, metrics,
            settings.settlement,
        )  # fmt: skip
        databases = (beating, writing, asking, settling)
        return cls(membership, books, receipt_log, store, shards, office, databases)

    @property
    def settled(self) -> Books:
        """The sealed sessions of all servers, where this one settles."""
        return self.office.books

    async def started(self) -> None:
        """Return once this server has joined the others."""
        await self.membership.joined.wait()

    async def run(self) -> None:
        """Join, and keep the lease until cancelled.

        Raises FencedError, and OperatorError where the database is another supplier's.
        """
        while not self.membership.joined.is_set():
            try:
                await asyncio.to_thread(self.store.make_tables)
                await self.membership.join(self.books.supplier)
            except (SharedDatabaseError, OperationalError) as error:
                log.warning("waiting for the shared database: %s", error)
                await asyncio.sleep(JOIN_RETRY_S)
        await self.membership.run()

    async def close(self) -> None:
        """Write what is pending, give the gateways back, and let go of the database."""
        await self.receipt_log.close()
        if self.membership.is_held:
            await self.membership.leave()
        for database in self.databases:
            await database.close()
        self.store.close()
