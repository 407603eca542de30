"""A durable append-only log with group commit: a record's future is done once it is on the disk.

A write begins only after the one before it was synced. Damage within the last write is a torn
tail, never acknowledged, and is cut off; any other damage raises CorruptLog.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from node.log_format import (
    RECORD_BYTES_MAX,
    AppendLogError,
    CorruptLog,
    frame,
    inspect,
    new_head,
    scan,
)

__all__ = ["AppendLog", "AppendLogError", "CorruptLog", "LogFailed", "LogLocked", "read_segments"]

PENDING_BYTES_MAX = 64 << 20
SEGMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
SUFFIX = ".log"


class LogFailed(AppendLogError):
    """A write or sync failed; what was pending is not known to be durable, reopen to go on."""


class LogLocked(AppendLogError):
    """Another process holds this log."""


class AppendLog:
    """A directory of named segments, one of them open for appending; one process at a time."""

    def __init__(self, path: str | Path, segment: str = "main") -> None:
        self._directory = Path(path)
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = _lock(self._directory / ".lock")
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="append-log")
        self._pending: list[tuple[list[bytes], asyncio.Future[None]]] = []
        self._pending_bytes = 0
        self._committer: asyncio.Task[None] | None = None
        self._failure: OSError | None = None
        self._closed = False
        self._segment = segment
        try:
            self._file, self._head = self._open(segment)
        except BaseException:
            os.close(self._lock)
            raise

    @property
    def segment(self) -> str:
        """The name of the segment that takes appends."""
        return self._segment

    def segments(self) -> tuple[str, ...]:
        """Return the names of all segments, sorted."""
        return _segments(self._directory)

    def replay(self, segment: str | None = None) -> Iterator[bytes]:
        """Yield the payloads of one segment, or of all in the order of their names.

        A torn tail ends a segment; raises CorruptLog where durable data is damaged.
        """
        for name in self.segments() if segment is None else (segment,):
            for payload, _ in scan(self._path(name)):
                yield payload

    async def append(self, payload: bytes) -> None:
        """Return once `payload` is durable; raises LogFailed where that cannot be promised.

        A cancelled wait does not take the record back.
        """
        await self.append_many((payload,))

    async def append_many(self, payloads: Iterable[bytes]) -> None:
        """Return once all of `payloads` are durable, adjacent and in order."""
        batch = list(payloads)
        if any(len(payload) > RECORD_BYTES_MAX for payload in batch):
            raise ValueError(f"a record is longer than {RECORD_BYTES_MAX} bytes")
        if not batch:
            return
        while self._pending_bytes > PENDING_BYTES_MAX and self._committer is not None:
            await asyncio.wait({self._committer})
        self._check_open()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending.append((batch, future))
        self._pending_bytes += sum(map(len, batch))
        if self._committer is None:
            self._committer = asyncio.create_task(self._commit())
        await future

    async def rotate(self, segment: str) -> None:
        """Send later appends to `segment`, new or old, once everything before is durable."""
        await self._flush()
        self._check_open()
        loop = asyncio.get_running_loop()
        file, head = await loop.run_in_executor(self._worker, self._open, segment)
        await self._flush()  # what was appended meanwhile belongs to the segment before
        os.close(self._file)
        self._file, self._head, self._segment = file, head, segment

    def delete(self, segment: str) -> None:
        """Remove a segment for good; the open one cannot be removed (ValueError)."""
        if segment == self._segment:
            raise ValueError("the open segment cannot be deleted")
        self._path(segment).unlink(missing_ok=True)
        _sync_directory(self._directory)

    async def close(self) -> None:
        """Make everything pending durable, then let go of files and lock."""
        if self._closed:
            return
        await self._flush()
        self._closed = True
        self._worker.shutdown()
        os.close(self._file)
        os.close(self._lock)

    async def __aenter__(self) -> AppendLog:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    # -- inside ----------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise LogFailed("the log is closed")
        if self._failure is not None:
            raise LogFailed(str(self._failure)) from self._failure

    async def _flush(self) -> None:
        while self._committer is not None:
            await asyncio.wait({self._committer})

    async def _commit(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._pending:
                batches, self._pending, self._pending_bytes = self._pending, [], 0
                payloads = [payload for batch, _ in batches for payload in batch]
                failure = self._failure
                if failure is None:
                    failure = await loop.run_in_executor(self._worker, self._write, payloads)
                for _, future in batches:
                    if future.done():
                        continue
                    if failure is None:
                        future.set_result(None)
                    else:
                        future.set_exception(LogFailed(str(failure)))
        finally:
            self._committer = None

    def _write(self, payloads: list[bytes]) -> OSError | None:
        frames = [frame(self._head, payload, i == 0) for i, payload in enumerate(payloads)]
        view = memoryview(b"".join(frames))
        try:
            while view:
                view = view[os.write(self._file, view) :]
            os.fdatasync(self._file)
        except OSError as error:
            self._failure = error  # after a failed sync the kernel may have dropped the pages
            return error
        return None

    def _path(self, segment: str) -> Path:
        if SEGMENT_NAME.fullmatch(segment) is None:
            raise ValueError(f"not a segment name: {segment!r}")
        return self._directory / (segment + SUFFIX)

    def _open(self, segment: str) -> tuple[int, bytes]:
        path = self._path(segment)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            head, end = inspect(path)
            os.ftruncate(descriptor, end)
            if head is None:
                head = new_head()
                os.write(descriptor, head)
            os.fsync(descriptor)
            _sync_directory(self._directory)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor, head


def read_segments(path: Path) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield the segments of a log by name with their payloads, as another process writes them.

    Nothing is locked or changed: the tail that is being written is left out, a segment that is
    deleted meanwhile is passed over. Raises CorruptLog where durable data is damaged.
    """
    for name in _segments(path):
        try:
            payloads = [payload for payload, _ in scan(path / (name + SUFFIX))]
        except FileNotFoundError:
            continue
        yield name, iter(payloads)


def _segments(directory: Path) -> tuple[str, ...]:
    return tuple(sorted(p.name.removesuffix(SUFFIX) for p in directory.glob("*" + SUFFIX)))


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise LogLocked(f"{path.parent} is in use by another process") from None
    return descriptor


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
