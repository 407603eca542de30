"""The receipt log of all relay servers, in PostgreSQL: as durable as a commit of the database.

One statement is in flight at a time and takes all that has gathered meanwhile. It writes nothing
unless this server's row is there, and of a sealed session no receipt; it can be sent again after a
connection was lost, since each record has its place in its server's own order.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import psycopg

from node.append_log import LogFailed
from relay_mining import Hash32
from supplier.mining.receipt_log import SessionSealedError
from supplier.mining.records import (
    Closed,
    Opened,
    Receipted,
    Record,
    Sealed,
    Served,
    decode_record,
    encode_record,
)
from supplier.shared.database import Connection, Database
from supplier.shared.errors import FencedError, SharedDatabaseError
from supplier.shared.membership import Membership

log = logging.getLogger(__name__)

GROUP_RECORDS_MAX = 8192
PENDING_RECORDS_MAX = 1 << 17
NOTE_LINGER_S = 0.25
RETRY_S = 0.25
CLOSE_S_MAX = 5.0
ROWS_AT_ONCE = 4096

WRITE = """
WITH mine AS MATERIALIZED (
    SELECT number FROM relay_server WHERE number = %(server)s FOR KEY SHARE
), open AS MATERIALIZED (
    SELECT session FROM relay_session
    WHERE session = ANY(%(bound)s) AND NOT is_sealed ORDER BY session FOR SHARE
), opened AS (
    INSERT INTO relay_session (session, gateway, number)
    SELECT o.session, o.gateway, o.number
    FROM mine, unnest(%(opened)s::bytea[], %(gateways)s::bytea[], %(numbers)s::bigint[])
        AS o(session, gateway, number)
    ON CONFLICT (session) DO NOTHING
), closed AS (
    UPDATE relay_session SET is_closed = true
    WHERE session = ANY(%(closed)s) AND EXISTS (SELECT FROM mine)
)
INSERT INTO relay_record (session, server, place, payload)
SELECT n.session, mine.number, n.place, n.payload
FROM mine, unnest(%(places)s::bigint[], %(sessions)s::bytea[], %(payloads)s::bytea[],
    %(is_bound)s::boolean[]) AS n(place, session, payload, is_bound)
WHERE NOT n.is_bound OR n.session IN (SELECT session FROM open)
ORDER BY n.place
ON CONFLICT (server, place) DO NOTHING
RETURNING place
"""
SEAL = """
WITH mine AS MATERIALIZED (
    SELECT number FROM relay_server WHERE number = %(server)s FOR KEY SHARE
), sealed AS (
    UPDATE relay_session SET is_sealed = true
    WHERE session = %(session)s AND NOT is_sealed AND EXISTS (SELECT FROM mine)
    RETURNING session
)
INSERT INTO relay_record (session, server, place, payload)
SELECT sealed.session, mine.number, %(place)s, %(payload)s FROM mine, sealed
ON CONFLICT (server, place) DO NOTHING
RETURNING place
"""
"""Waits for the writes of receipts that hold the session's row; those after it see it sealed."""


@dataclass(slots=True)
class _Entry:
    place: int
    record: Record
    session_id: Hash32


@dataclass(slots=True)
class _Append:
    entries: list[_Entry]
    future: asyncio.Future[None]


class SharedLog:
    """The receipt log over one connection; behaves as `ReceiptLog` does for one server."""

    def __init__(self, database: Database, membership: Membership) -> None:
        self._database = database
        self._membership = membership
        self._place = 0
        self._pending: list[_Append] = []
        self._records_pending = 0
        self._committer: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._writing: set[asyncio.Task[None]] = set()
        self._dropped = self._oldest = 0

    def begin(self, records: list[Record]) -> "asyncio.Task[None]":
        """Start to append, in a task that outlives a caller that is cancelled."""
        task = asyncio.create_task(self.append(records))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return task

    def note(self, record: Record) -> None:
        """Write a record that nothing waits for, with the next group or a little later."""
        if self._records_pending < PENDING_RECORDS_MAX:
            self._put([record]).add_done_callback(_ignore)
            if self._committer is None and self._timer is None:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(NOTE_LINGER_S, self._wake)

    async def seal(self, session_id: Hash32) -> None:
        """End a session's receipts, whichever server writes them."""
        await self.append([Sealed(session_id)])

    async def append(self, records: Iterable[Record]) -> None:
        """Return when the records are committed; a session is opened before its receipts come.

        Raises FencedError, and SessionSealedError where a receipt came too late. While the database
        is away it waits: what was begun is written, or refused, once it is back.
        """
        batch = list(records)
        while self._records_pending > PENDING_RECORDS_MAX and self._committer is not None:
            await asyncio.wait({self._committer})
        if batch:
            future = self._put(batch)
            self._wake()
            await future

    async def enter(self, number: int) -> None:
        """A session begins; nothing is cut by sessions here."""

    def drop_before(self, oldest_open: int) -> None:
        """Forget, by and by, the records of closed sessions before the one before `oldest_open`."""
        self._oldest = max(self._oldest, oldest_open - 1)

    def receipts(self, number: int, session_id: Hash32) -> Iterator[Receipted]:
        """The receipts of a session, each once; complete once it is sealed."""
        seen: set[tuple[Hash32, Hash32]] = set()
        for record in self.read([session_id]):
            if not isinstance(record, Receipted):
                continue
            relay = (record.request_hash, record.response_hash)
            if relay not in seen:
                seen.add(relay)
                yield record

    def read(self, sessions: list[Hash32]) -> Iterator[Record]:
        """Every record of some sessions, in the order of writing."""
        return _read(self._database, "session = ANY(%s)", (sessions,))

    async def close(self) -> None:
        """Have everything pending written, if that can be done soon."""
        self._wake()
        if self._committer is not None:
            _, late = await asyncio.wait({self._committer}, timeout=CLOSE_S_MAX)
            for each in late:
                each.cancel()

    # -- inside ----------------------------------------------------------------------------

    def _put(self, records: list[Record]) -> asyncio.Future[None]:
        entries = []
        for record in records:
            self._place += 1
            entries.append(_Entry(self._place, record, _session_of(record)))
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending.append(_Append(entries, future))
        self._records_pending += len(entries)
        return future

    def _wake(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._committer is None and self._pending:
            self._committer = asyncio.create_task(self._commit())

    async def _commit(self) -> None:
        try:
            while self._pending:
                group = self._next_group()
                try:
                    written = await self._write(group)
                except LogFailed as error:
                    _fail(group, error)
                else:
                    _resolve(group, written)
                await self._drop()
        finally:
            self._committer = None

    def _next_group(self) -> list[_Append]:
        """The oldest appends: a seal by itself, else as many as one statement takes."""
        count, size = 0, 0
        for each in self._pending:
            is_seal = isinstance(each.entries[0].record, Sealed)
            if count and (is_seal or size + len(each.entries) > GROUP_RECORDS_MAX):
                break
            count, size = count + 1, size + len(each.entries)
            if is_seal:
                break
        group, self._pending = self._pending[:count], self._pending[count:]
        self._records_pending -= size
        return group

    async def _write(self, group: list[_Append]) -> set[int]:
        """The places that are in the log; asked again until the database says.

        Raises FencedError, and LogFailed for what no waiting mends, as a right that is gone.
        """
        entries = [entry for each in group for entry in each.entries]
        server = self._membership.number
        while True:
            try:
                return await self._database.run(lambda link: _write(link, server, entries))
            except SharedDatabaseError as error:
                log.warning("receipts wait for the shared database: %s", error)
            except psycopg.Error as error:
                raise LogFailed(f"the shared database refuses records: {error}") from error
            await asyncio.sleep(RETRY_S)

    async def _drop(self) -> None:
        if self._oldest <= self._dropped:
            return
        oldest = self._oldest
        try:
            await self._database.run(lambda link: _drop_before(link, oldest))
        except SharedDatabaseError as error:
            log.info("closed sessions are forgotten later: %s", error)
        else:
            self._dropped = oldest


@dataclass(frozen=True, slots=True)
class SharedReader:
    """The sessions that are not closed, for commands; changes nothing."""

    database: Database

    def replay(self) -> Iterator[Record]:
        """Every record, in the order of writing; raises SharedDatabaseError."""
        wanted = "session IN (SELECT session FROM relay_session WHERE NOT is_closed)"
        return _read(self.database, wanted, ())


def _read(database: Database, wanted: str, values: tuple[object, ...]) -> Iterator[Record]:
    """Records over a connection of their own, a few thousand at a time."""
    query = f"SELECT payload FROM relay_record WHERE {wanted} ORDER BY id"
    with (
        database.connection() as connection,
        connection.transaction(),
        connection.cursor(name="records") as cursor,
    ):
        cursor.itersize = ROWS_AT_ONCE
        cursor.execute(query.encode(), values)
        for (payload,) in cursor:
            yield decode_record(bytes(payload))


def _write(connection: Connection, server: int, entries: list[_Entry]) -> set[int]:
    """The places of the entries that are in the log; raises FencedError."""
    places = [entry.place for entry in entries]
    if isinstance(entries[0].record, Sealed):
        (entry,) = entries
        values = {
            "server": server, "session": entry.session_id, "place": entry.place,
            "payload": encode_record(entry.record),
        }  # fmt: skip
        connection.execute(SEAL, values)
        _require_row(connection, server)
        return set(places)  # sealed now, or by another leader before
    rows = connection.execute(WRITE, _values(server, entries), prepare=True).fetchall()
    written = {int(place) for (place,) in rows}
    if len(written) < len(places):
        _require_row(connection, server)
        rows = connection.execute(
            "SELECT place FROM relay_record WHERE server = %s AND place = ANY(%s)",
            (server, places),
        ).fetchall()
        written = {int(place) for (place,) in rows}
    return written


def _values(server: int, entries: list[_Entry]) -> dict[str, object]:
    opened = [each.record.facts.key for each in entries if isinstance(each.record, Opened)]
    is_bound = [isinstance(each.record, Receipted | Served) for each in entries]
    bound = {each.session_id for each, is_one in zip(entries, is_bound, strict=True) if is_one}
    return {
        "server": server,
        "bound": sorted(bound),
        "opened": [key.id for key in opened],
        "gateways": [key.gateway for key in opened],
        "numbers": [key.number for key in opened],
        "closed": [each.session_id for each in entries if isinstance(each.record, Closed)],
        "places": [each.place for each in entries],
        "sessions": [each.session_id for each in entries],
        "payloads": [encode_record(each.record) for each in entries],
        "is_bound": is_bound,
    }


def _require_row(connection: Connection, server: int) -> None:
    if not connection.execute("SELECT FROM relay_server WHERE number = %s", (server,)).rowcount:
        raise FencedError("others took this relay server for dead: start it again")


def _drop_before(connection: Connection, oldest: int) -> None:
    connection.execute(
        "WITH gone AS ("
        "DELETE FROM relay_session WHERE is_closed AND number < %s RETURNING session"
        ") DELETE FROM relay_record USING gone WHERE relay_record.session = gone.session",
        (oldest,),
    )


def _resolve(group: list[_Append], written: set[int]) -> None:
    for each in group:
        late = {entry.session_id for entry in each.entries if entry.place not in written}
        if each.future.done():
            continue
        if late:
            each.future.set_exception(SessionSealedError(frozenset(late)))
        else:
            each.future.set_result(None)


def _fail(group: list[_Append], error: LogFailed) -> None:
    for each in group:
        if not each.future.done():
            each.future.set_exception(error)


def _ignore(future: asyncio.Future[None]) -> None:
    """Of a note nobody asks what became."""
    if not future.cancelled():
        future.exception()


def _session_of(record: Record) -> Hash32:
    return record.facts.key.id if isinstance(record, Opened) else record.session_id
