"""The durable receipt log, cut into one segment for each session in which it was written.

A record of session n is written in n, n+1 or n+2, so a segment is deleted when every session up
to one after it is closed: the log is as long as what is still owed. Whatever was acknowledged is
in it; whatever is in it before its session is sealed is claimed.
"""

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from node.append_log import AppendLog, LogFailed
from relay_mining import Hash32
from supplier.mining.records import Receipted, Record, Sealed, decode_record, encode_record

_DIGITS = 12


class LogAwayError(LogFailed):
    """The log cannot be reached now; what was asked for can be asked again."""


class SessionSealedError(LogFailed):
    """Sessions were sealed for their claims before their receipts could be written."""

    def __init__(self, sessions: frozenset[Hash32]) -> None:
        super().__init__("the session is being claimed; what came too late is not in the claim")
        self.sessions = sessions


class Log(Protocol):
    """A receipt log that is written: this node's own, or one that several relay servers share."""

    def begin(self, records: list[Record]) -> "asyncio.Task[None]":
        """Start to append, in a task that outlives a caller that is cancelled."""
        ...

    def note(self, record: Record) -> None:
        """Write a record that nothing waits for."""
        ...

    async def seal(self, session_id: Hash32) -> None:
        """End a session's receipts behind all that were begun."""
        ...

    async def append(self, records: Iterable[Record]) -> None:
        """Return when the records are durable; raises LogFailed."""
        ...

    def receipts(self, number: int, session_id: Hash32) -> Iterator[Receipted]:
        """The receipts of session `number` logged before it was sealed, each once."""
        ...

    async def enter(self, number: int) -> None:
        """Session `number` runs from now on."""
        ...

    def drop_before(self, oldest_open: int) -> None:
        """Forget what no session from `oldest_open` on can have a record in."""
        ...


class ReceiptLog:
    """Records under one directory; one process writes them."""

    def __init__(self, directory: Path) -> None:
        last = max((p.stem for p in directory.glob("*.log") if p.stem.isdigit()), default="0")
        self._log = AppendLog(directory, segment=_name(int(last)))
        self._writing: set[asyncio.Task[None]] = set()

    def begin(self, records: list[Record]) -> "asyncio.Task[None]":
        """Start to append, in a task that outlives a caller that is cancelled."""
        task = asyncio.create_task(self.append(records))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return task

    def note(self, record: Record) -> None:
        """Write a record that nothing waits for; if it is lost, a restart knows a little less."""
        self.begin([record]).add_done_callback(lambda task: task.cancelled() or task.exception())

    async def seal(self, session_id: Hash32) -> None:
        """End a session's receipts behind all that were begun; the caller begins no more."""
        if self._writing:
            await asyncio.wait(self._writing)
        await self.append([Sealed(session_id)])

    async def append(self, records: Iterable[Record]) -> None:
        """Return when the records are durable (one fsync serves many); raises LogFailed."""
        await self._log.append_many([encode_record(record) for record in records])

    def replay(self, first: int = 0) -> Iterator[Record]:
        """Every record of the segments from session `first` on, in the order of writing."""
        for segment in self._log.segments():
            if int(segment) >= first:
                yield from map(decode_record, self._log.replay(segment))

    def receipts(self, number: int, session_id: Hash32) -> Iterator[Receipted]:
        """The receipts of session `number` logged before it was sealed, each once."""
        seen: set[tuple[Hash32, Hash32]] = set()
        for record in self.replay(max(0, number - 1)):
            if isinstance(record, Sealed) and record.session_id == session_id:
                return
            if not isinstance(record, Receipted) or record.session_id != session_id:
                continue
            relay = (record.request_hash, record.response_hash)
            if relay not in seen:
                seen.add(relay)
                yield record

    async def enter(self, number: int) -> None:
        """Write into the segment of session `number` from now on; never back into an old one."""
        if number > int(self._log.segment):
            await self._log.rotate(_name(number))

    def drop_before(self, oldest_open: int) -> None:
        """Delete segments no session from `oldest_open` on can have a record in."""
        for segment in self._log.segments():
            if int(segment) + 1 < oldest_open and segment != self._log.segment:
                self._log.delete(segment)

    async def close(self) -> None:
        """Make everything durable and let go of the files."""
        await self._log.close()


def _name(number: int) -> str:
    return f"{number:0{_DIGITS}d}"
