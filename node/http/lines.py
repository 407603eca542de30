"""Connections that servers nobody can reach have opened to us, and on which we are the client.

Such a connection is a line. Lines are filed under the name of the server that opened them, and a
`ClientPool` sends on them whatever goes to `line_url(name)`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from math import inf

from node.http.client_connection import ClientConnection
from node.http.errors import ConnectFailed, HttpClientError, TimedOut
from node.http.limits import ClientLimits, Timeout

BEAT = b"OPTIONS * HTTP/1.1\r\nhost: line\r\n\r\n"
BEAT_BYTES_MAX = 1024


def line_url(name: str) -> str:
    """The base URL of whoever dials in under a name (hex digits)."""
    return f"dial://{name}"


@dataclass(frozen=True, slots=True)
class LineRules:
    """How many lines are taken, and when one is given up."""

    lines_max: int = 8192
    lines_per_name_max: int = 512
    beat_s: float = 15.0
    """A line that was idle for so long is asked whether it still works."""
    answer_s: float = 5.0
    """Within which it answers."""


class Line(ClientConnection):
    """One connection; `holder` is whose key opened it."""

    def __init__(self, limits: ClientLimits, pool: LinePool, holder: bytes) -> None:
        super().__init__(limits, asyncio.get_running_loop())
        self.holder = holder
        self.is_retired = False
        self._pool = pool

    def connection_lost(self, error: Exception | None) -> None:
        """Fail an answer that is not whole, and leave the pool."""
        super().connection_lost(error)
        self._pool.drop(self)


class LinePool:
    """The lines of one name; what `OriginPool` is to servers that are connected to."""

    def __init__(self) -> None:
        self.lines: set[Line] = set()
        self._idle: list[Line] = []
        self._queue: deque[asyncio.Future[Line]] = deque()
        self._loop = asyncio.get_running_loop()

    @property
    def idle(self) -> int:
        """Lines that carry nothing now."""
        return len(self._idle)

    async def acquire(
        self, timeout: Timeout, total_at: float | None, fresh: bool
    ) -> tuple[Line, bool]:
        """A line and True; where all are busy the next to be free, or to be opened.

        Raises ConnectFailed where there is none, or TimedOut("connect" or "total"). No line is
        `fresh`: all are opened by the other side.
        """
        line = None if self._queue else self._take_idle()
        if line is not None:
            return line, True
        if not self.lines:
            raise ConnectFailed("it dials in, and has no line open")
        connect_at = None if timeout.connect is None else self._loop.time() + timeout.connect
        is_total = total_at is not None and (connect_at is None or total_at <= connect_at)
        try:
            async with asyncio.timeout_at(total_at if is_total else connect_at):
                found = await self._turn()
                while found.transport.is_closing():
                    found = await self._turn()
                return found, True
        except TimeoutError:
            raise TimedOut("total" if is_total else "connect") from None

    def release(self, line: ClientConnection) -> None:
        """Take a line back after its exchange, to keep or to forget."""
        assert isinstance(line, Line)
        if not line.finish():
            self.drop(line)
        elif line.is_retired:
            self.close(line)
        else:
            self.give(line)

    def give(self, line: Line) -> None:
        """Hand a line that is free to whoever waits longest, or keep it."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(line)
                return
        line.idle_since = self._loop.time()
        self._idle.append(line)

    def drop(self, line: Line) -> None:
        """Forget a line."""
        self.lines.discard(line)
        with suppress(ValueError):
            self._idle.remove(line)

    def close(self, line: Line) -> None:
        """End a line at once."""
        self.drop(line)
        line.abort()

    def close_one(self) -> bool:
        """End the line that was idle longest; False where all are busy."""
        if self._idle:
            self.close(self._idle[0])
            return True
        return False

    def retire(self, holders: frozenset[bytes]) -> None:
        """End the lines of everybody but `holders`, busy ones after what they carry."""
        for line in [each for each in self.lines if each.holder not in holders]:
            line.is_retired = True
            if line in self._idle:
                self.close(line)

    def take_due(self, before: float) -> list[Line]:
        """Idle lines that nothing came on since `before`, but not all at a time."""
        due = [each for each in self._idle if each.idle_since <= before][: -(-3 * self.idle // 4)]
        for line in due:
            self._idle.remove(line)
        return due

    def _take_idle(self) -> Line | None:
        now = self._loop.time()
        while self._idle:
            line = self._idle.pop()
            if not line.is_stale(now):
                return line
            self.close(line)
        return None

    async def _turn(self) -> Line:
        turn: asyncio.Future[Line] = self._loop.create_future()
        self._queue.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(turn.result())
            raise
        finally:
            with suppress(ValueError):
                self._queue.remove(turn)


class Lines:
    """All lines, by name; bounded, and asked in turn whether they still work."""

    def __init__(self, rules: LineRules | None = None, limits: ClientLimits | None = None) -> None:
        self.rules = rules or LineRules()
        self._limits = replace(limits or ClientLimits(), idle_s=inf)
        self._pools: dict[str, LinePool] = {}

    @property
    def total(self) -> int:
        """How many lines are open."""
        return sum(len(pool.lines) for pool in self._pools.values())

    @property
    def names(self) -> tuple[str, ...]:
        """Who has a line."""
        return tuple(name for name, pool in self._pools.items() if pool.lines)

    def count(self, name: str) -> int:
        """How many lines a name has."""
        pool = self._pools.get(name)
        return len(pool.lines) if pool is not None else 0

    def pool(self, name: str) -> LinePool:
        """The lines of a name; raises ConnectFailed where there never was one."""
        pool = self._pools.get(name)
        if pool is None:
            raise ConnectFailed("it dials in, and has no line open")
        return pool

    def has_room(self, name: str) -> bool:
        """Whether `add` would take one more of a name, at another's expense perhaps."""
        count = self.count(name)
        if count >= self.rules.lines_per_name_max:
            return False
        return self.total < self.rules.lines_max or self._richest_above(count) is not None

    def add(self, name: str, holder: bytes, transport: asyncio.Transport) -> bool:
        """Take a socket as a line of a name; False, and nothing done, where there is no room.

        Where all lines are taken, whoever has most gives up an idle one to who has fewer.
        """
        if not self.has_room(name):
            return False
        if self.total >= self.rules.lines_max:
            richest = self._richest_above(self.count(name))
            assert richest is not None
            richest.close_one()
        pool = self._pools.setdefault(name, LinePool())
        line = Line(self._limits, pool, holder)
        transport.set_protocol(line)
        line.connection_made(transport)
        pool.lines.add(line)
        pool.give(line)
        return True

    def retire(self, name: str, holders: frozenset[bytes] = frozenset()) -> None:
        """End the lines of a name that none of `holders` opened."""
        self.pool(name).retire(holders)

    async def beat(self) -> None:
        """Ask the lines that were idle for long; those that do not answer are closed."""
        before = asyncio.get_running_loop().time() - self.rules.beat_s
        asked = [
            self._ask(pool, line) for pool in self._pools.values() for line in pool.take_due(before)
        ]
        await asyncio.gather(*asked)

    def close(self) -> None:
        """End all lines; what they carry fails."""
        for pool in self._pools.values():
            for line in list(pool.lines):
                pool.close(line)
        self._pools.clear()

    async def _ask(self, pool: LinePool, line: Line) -> None:
        wait = self.rules.answer_s
        until = asyncio.get_running_loop().time() + wait
        try:
            line.send(BEAT, b"", False, BEAT_BYTES_MAX, Timeout(wait, wait, wait, wait), until)
            await line.wait_head()
            while await line.wait_chunk():
                continue
        except HttpClientError:
            line.is_retired = True
        finally:
            pool.release(line)

    def _richest_above(self, count: int) -> LinePool | None:
        """Who has most lines and an idle one, where that is more than `count` and one more."""
        rich = [each for each in self._pools.values() if each.idle]
        richest = max(rich, key=lambda each: len(each.lines), default=None)
        return richest if richest is not None and len(richest.lines) > count + 1 else None
