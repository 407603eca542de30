"""Settling for all relay servers: past sessions are sealed, then read whole from the shared log."""

import asyncio
import logging
import time
from dataclasses import dataclass

from relay_mining import Domain, Hash32
from supplier.metrics import Metrics
from supplier.mining.books import Books
from supplier.mining.chain_view import ChainView
from supplier.mining.recovery import restore_books
from supplier.settings import SettlementSettings
from supplier.shared.database import Connection, Database
from supplier.shared.errors import SharedDatabaseError
from supplier.shared.membership import Membership
from supplier.shared.shards import Replay, Shards
from supplier.shared.shared_log import SharedLog

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Gathering:
    """Whether this server settles, and the books it settles from: sealed sessions only."""

    database: Database
    membership: Membership
    receipt_log: SharedLog
    shards: Shards
    books: Books
    view: ChainView
    domain: Domain
    metrics: Metrics
    settings: SettlementSettings

    @property
    def is_ours(self) -> bool:
        """Whether this server settles, now."""
        return self.membership.is_leader

    async def enter(self, head: int) -> bool:
        """Whether this server settles at a head; every session that is due is in the books then."""
        self.metrics.relay_servers.set(len(self.membership.servers))
        self.metrics.gateways_served.set(len(self.shards.owned))
        self.metrics.settles.set(self.membership.is_leader)
        try:
            await self.shards.tidy(self.view.current)
            if not self.membership.is_leader:
                self.books.drop(list(self.books.sessions))
                return False
            await self._seal(head)
            await self._load()
        except SharedDatabaseError as error:
            log.warning("settlement waits: %s", error)
            return False
        return self.membership.is_leader

    async def _seal(self, head: int) -> None:
        current, clock = self.view.current, self.view.clock
        delay = self.settings.claim_delay(clock)

        def work(connection: Connection) -> list[tuple[Hash32, int]]:
            rows = connection.execute(
                "SELECT session, number FROM relay_session WHERE number < %s AND NOT is_sealed",
                (current,),
            ).fetchall()
            return [(bytes(session), int(number)) for session, number in rows]

        for session, number in await self.database.run(work):
            if head >= clock.claim_window(number).opens + delay:
                await self.receipt_log.seal(session)

    async def _load(self) -> None:
        def work(connection: Connection) -> list[Hash32]:
            rows = connection.execute(
                "SELECT session FROM relay_session WHERE is_sealed AND NOT is_closed"
            ).fetchall()
            return [bytes(session) for (session,) in rows]

        found = await self.database.run(work)
        wanted = [each for each in found if each not in self.books.sessions]
        if not wanted:
            return
        replay, now = Replay(self.receipt_log, wanted), time.monotonic()

        def restore() -> Books:
            beside = Books(self.books.supplier, self.books.credit)
            restore_books(beside, replay, self.domain, now)
            return beside

        restored = await asyncio.to_thread(restore)
        for book in restored.sessions.values():
            self.metrics.count("lost", book.totals.lost, book.facts.terms.price)
        self.books.sessions.update(restored.sessions)
