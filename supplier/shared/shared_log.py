"""The receipt log of all relay servers, in PostgreSQL: as durable as a commit of the database.

One statement is in flight at a time and takes all that has gathered meanwhile; it is sent again
after a connection was lost. What it does is in `supplier.shared.record_rows`.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import psycopg

from node.append_log import LogFailed
from relay_mining import Hash32
from supplier.mining.receipt_log import SessionSealedError
from supplier.mining.records import Receipted, Record, Sealed
from supplier.shared.database import Database
from supplier.shared.errors import SharedDatabaseError
from supplier.shared.membership import Membership
from supplier.shared.record_rows import Entry, drop_before, read_records, write_entries

log = logging.getLogger(__name__)

GROUP_RECORDS_MAX = 8192
PENDING_RECORDS_MAX = 1 << 17
NOTE_LINGER_S = 0.25
RETRY_S = 0.25
CLOSE_S_MAX = 5.0


@dataclass(slots=True)
class _Append:
    entries: list[Entry]
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
        return read_records(self._database, "session = ANY(%s)", (sessions,))

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
            entries.append(Entry(self._place, record))
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
                return await self._database.run(lambda link: write_entries(link, server, entries))
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
            await self._database.run(lambda link: drop_before(link, oldest))
        except SharedDatabaseError as error:
            log.info("closed sessions are forgotten later: %s", error)
        else:
            self._dropped = oldest


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
