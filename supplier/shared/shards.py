"""Which gateways this relay server serves: given out one at a time, kept until the server ends."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy.exc import OperationalError

from relay_mining import Address, Domain, Hash32
from supplier.errors import BusyError, MisdirectedError
from supplier.mining.books import Books
from supplier.mining.records import Record
from supplier.mining.recovery import restore_books
from supplier.mining.store import Store
from supplier.shared.database import ASSIGN_LOCK, Connection, Database
from supplier.shared.errors import SharedDatabaseError
from supplier.shared.membership import Membership
from supplier.shared.shared_log import SharedLog

log = logging.getLogger(__name__)

ELSEWHERE_S = 0.25
"""How long another server is believed to serve a gateway before the database is asked again."""
ELSEWHERE_MAX = 4096
SEALED_KEPT = 2
"""Sessions for which the books of a sealed one are kept."""

Found = TypeVar("Found")

OWNER = """
SELECT s.number, s.url FROM relay_gateway AS g JOIN relay_server AS s ON s.number = g.server
WHERE g.gateway = %(gateway)s AND s.deadline >= now()
"""
OVERDUE = """
SELECT FROM relay_gateway AS g JOIN relay_server AS s ON s.number = g.server
WHERE g.gateway = %(gateway)s
"""
BURY = """
DELETE FROM relay_server AS s USING relay_gateway AS g
WHERE g.gateway = %(gateway)s AND s.number = g.server AND s.deadline < now()
"""
FREEST = """
SELECT s.number, s.url FROM relay_server AS s LEFT JOIN relay_gateway AS g ON g.server = s.number
WHERE s.deadline >= now() GROUP BY s.number ORDER BY count(g.gateway), s.number DESC LIMIT 1
"""
GIVE = """
INSERT INTO relay_gateway (gateway, server) VALUES (%(gateway)s, %(server)s)
ON CONFLICT (gateway) DO UPDATE SET server = excluded.server
"""


@dataclass(frozen=True, slots=True)
class Replay:
    """Some sessions of the shared log, as a log of their own."""

    log: SharedLog
    sessions: list[Hash32]

    def replay(self) -> Iterator[Record]:
        """Every record, in the order of writing."""
        return self.log.read(self.sessions)


class Shards:
    """The gateways of this relay server, and where others are served."""

    def __init__(
        self, database: Database, membership: Membership, receipt_log: SharedLog, books: Books,
        store: Store, domain: Domain, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._database = database
        self._membership = membership
        self._log = receipt_log
        self._books = books
        self._store = store
        self._domain = domain
        self._clock = clock
        self._owned: set[Address] = set()
        self._asking: dict[Address, asyncio.Task[None]] = {}
        self._elsewhere: dict[Address, tuple[str, float]] = {}

    @property
    def owned(self) -> frozenset[Address]:
        """The gateways served here."""
        return frozenset(self._owned)

    def owns(self, gateway: Address) -> bool:
        """Whether this server serves a gateway; nobody while its lease may be over."""
        return gateway in self._owned and self._membership.is_held

    def verify_not_elsewhere(self, gateway: Address) -> None:
        """Raise MisdirectedError where another server was just found to serve a gateway.

        Raises BusyError while this server's lease may be over.
        """
        if not self._membership.is_held:
            raise BusyError("this relay server waits for the database it shares with others")
        url, until = self._elsewhere.get(gateway, ("", 0.0))
        if self._clock() < until:
            raise MisdirectedError(url)

    async def require(self, gateway: Address) -> None:
        """Return once this server serves a gateway, its books as the log has them.

        Raises MisdirectedError where another does, BusyError where it cannot be said.
        """
        self.verify_not_elsewhere(gateway)
        if gateway in self._owned:
            return
        task = self._asking.get(gateway)
        if task is None:
            task = self._asking[gateway] = asyncio.create_task(self._take(gateway))
            task.add_done_callback(lambda _: self._asking.pop(gateway, None))
        await asyncio.shield(task)

    async def require_known(self, gateway: Address) -> None:
        """As `require`, of a gateway that some server has served; of a stranger nothing is kept."""
        if gateway in self._owned and self._membership.is_held:
            return

        def work(connection: Connection) -> bool:
            found = connection.execute("SELECT FROM relay_gateway WHERE gateway = %s", (gateway,))
            return bool(found.rowcount)

        if await self._ask(work):
            await self.require(gateway)

    async def tidy(self, current: int) -> None:
        """Write off past sessions that are sealed, whoever sealed them; forget them later.

        Until then what was acknowledged is acknowledged again to a gateway that did not hear it.
        """
        past = [
            book.session_id for book in self._books.sessions.values() if book.key.number < current
        ]
        if not past:
            return

        def work(connection: Connection) -> list[Hash32]:
            rows = connection.execute(
                "SELECT session FROM relay_session WHERE session = ANY(%s) AND NOT is_sealed",
                (past,),
            ).fetchall()
            return [bytes(session) for (session,) in rows]

        unsealed = set(await self._database.run(work))
        for session_id in past:
            book = self._books.sessions.get(session_id)
            if book is not None and session_id not in unsealed:
                self._books.seal(book)
                if book.key.number < current - SEALED_KEPT:
                    self._books.drop([session_id])

    async def _take(self, gateway: Address) -> None:
        may_judge = self._membership.may_judge
        number, url = await self._ask(lambda connection: _assign(connection, gateway, may_judge))
        if number != self._membership.number:
            if len(self._elsewhere) >= ELSEWHERE_MAX:
                self._elsewhere.clear()
            self._elsewhere[gateway] = url, self._clock() + ELSEWHERE_S
            raise MisdirectedError(url)
        await self._load(gateway)
        self._owned.add(gateway)
        log.info("a gateway is served here", extra={"gateway": gateway})

    async def _load(self, gateway: Address) -> None:
        """The gateway's books as store and log have them; nothing of it is being served yet."""

        def work(connection: Connection) -> list[Hash32]:
            rows = connection.execute(
                "SELECT session FROM relay_session WHERE gateway = %s AND NOT is_closed",
                (gateway,),
            ).fetchall()
            return [bytes(session) for (session,) in rows]

        replay = Replay(self._log, await self._ask(work))
        now = self._clock()

        def restore() -> Books:
            beside = self._books.beside(self._store.history())
            restore_books(beside, replay, self._domain, now)
            return beside

        try:
            self._books.adopt(gateway, await asyncio.to_thread(restore))
        except OperationalError as error:
            raise BusyError("the database shared with other relay servers is away") from error

    async def _ask(self, work: Callable[[Connection], Found]) -> Found:
        try:
            return await self._database.run(work)
        except SharedDatabaseError as error:
            raise BusyError("the database shared with other relay servers is away") from error


def _assign(connection: Connection, gateway: Address, may_judge: bool) -> tuple[int, str]:
    """Who serves a gateway: as before while that server lives, else whoever serves the fewest.

    Raises BusyError where nobody can be chosen, or whether it lives cannot be judged yet.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (ASSIGN_LOCK,))
        owner = connection.execute(OWNER, {"gateway": gateway}).fetchone()
        if owner is None:
            if not may_judge and connection.execute(OVERDUE, {"gateway": gateway}).rowcount:
                raise BusyError("the relay server of this gateway is waited for")
            connection.execute(BURY, {"gateway": gateway})
            owner = connection.execute(FREEST).fetchone()
            if owner is None:
                raise BusyError("no relay server holds its lease")
            connection.execute(GIVE, {"gateway": gateway, "server": owner[0]})
    return int(owner[0]), str(owner[1])
