"""Which relay servers live: each keeps a row until a deadline, and whoever lost it is fenced.

The row's number is a fencing token: it only grows, every write of a server holds its row, and who
finds a deadline passed deletes the row. The live server with the lowest number settles for all.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from relay_mining import Address
from supplier.mining.postgres import CONNECT_S
from supplier.shared.database import Connection, Database, prepare
from supplier.shared.errors import FencedError, SharedDatabaseError

log = logging.getLogger(__name__)

BEATS_PER_LEASE = 3


class Membership:
    """This relay server's own row, and the rows of the others as of the last beat."""

    def __init__(
        self, database: Database, url: str, lease_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.url = url
        self.number = 0
        """Of this server; 0 before it has joined."""
        self.servers: dict[int, str] = {}
        """URLs of the live servers by number."""
        self.joined = asyncio.Event()
        self._database = database
        self._lease_s = lease_s
        self._clock = clock
        self._held_until = self._judges_from = 0.0

    @property
    def is_held(self) -> bool:
        """Whether nobody can have fenced this server yet, by its own monotonic clock."""
        return self._clock() < self._held_until

    @property
    def may_judge(self) -> bool:
        """Whether whoever is overdue by now has had the time that this server had.

        After a time without the database all are overdue, and come back one after another.
        """
        return self.is_held and self._clock() >= self._judges_from

    @property
    def is_leader(self) -> bool:
        """Whether this server settles."""
        return self.is_held and min(self.servers, default=0) == self.number

    async def join(self, supplier: Address) -> None:
        """Be a relay server, in the place of an earlier process of the same URL.

        Raises SharedDatabaseError, and OperatorError where the database is another supplier's.
        """
        began = self._clock()

        def work(connection: Connection) -> int:
            prepare(connection, supplier)
            connection.execute("DELETE FROM relay_server WHERE url = %s", (self.url,))
            row = connection.execute(
                "INSERT INTO relay_server (url, deadline) "
                "VALUES (%s, now() + make_interval(secs => %s)) RETURNING number",
                (self.url, self._lease_s),
            ).fetchone()
            assert row is not None
            return int(row[0])

        self.number = await self._database.run(work)
        self._held_until = began + self._lease_s
        await self.beat()
        self.joined.set()

    async def run(self) -> None:
        """Renew the lease until cancelled; raises FencedError once others have ended it."""
        while True:
            await asyncio.sleep(self._lease_s / BEATS_PER_LEASE)
            try:
                await self.beat()
            except SharedDatabaseError as error:
                log.warning("the lease is not renewed: %s", error)

    async def beat(self) -> None:
        """Renew the lease once, bury the dead where that can be judged, and see who lives."""
        began, may_judge = self._clock(), self.may_judge
        if not self.is_held:
            self._judges_from = began + self._lease_s + CONNECT_S

        def work(connection: Connection) -> dict[int, str] | None:
            renewed = connection.execute(
                "UPDATE relay_server SET deadline = now() + make_interval(secs => %s) "
                "WHERE number = %s",
                (self._lease_s, self.number),
            )
            if not renewed.rowcount:
                return None
            if may_judge:
                connection.execute("DELETE FROM relay_server WHERE deadline < now()")
            rows = connection.execute("SELECT number, url FROM relay_server").fetchall()
            return {int(number): str(url) for number, url in rows}

        found = await self._database.run(work)
        if found is None:
            raise FencedError(
                "this relay server was silent for longer than shared.lease_s, and others serve its "
                "gateways now: start it again"
            )
        self._held_until = began + self._lease_s
        if found.keys() != self.servers.keys():
            log.info("relay servers: %s", ", ".join(found[each] for each in sorted(found)))
        self.servers = found

    async def leave(self) -> None:
        """Give the gateways back at once, rather than when the lease is over."""

        def work(connection: Connection) -> None:
            connection.execute("DELETE FROM relay_server WHERE number = %s", (self.number,))

        self._held_until = 0.0
        try:
            await self._database.run(work)
        except SharedDatabaseError as error:
            log.warning("the lease ends by itself: %s", error)
