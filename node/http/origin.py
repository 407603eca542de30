"""The connections of one origin: opened as they are needed, kept while they are good."""

from __future__ import annotations

import asyncio
import ssl as tls
from collections import deque

from node.http.client_connection import ClientConnection
from node.http.connector import AddressFilter, Connector, Origin
from node.http.errors import TimedOut
from node.http.limits import ClientLimits, Timeout


class OriginPool:
    """Idle connections, newest first, and a bound on all of them together."""

    def __init__(
        self,
        origin: Origin,
        limits: ClientLimits,
        context: tls.SSLContext | None,
        allow_address: AddressFilter | None,
    ) -> None:
        self._limits = limits
        self._connector = Connector(origin, context, allow_address)
        self._loop = asyncio.get_running_loop()
        self._idle: list[ClientConnection] = []
        self._busy: set[ClientConnection] = set()
        self._connecting = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def is_unused(self) -> bool:
        """Whether nothing is open, opening or waiting."""
        return not (self._idle or self._busy or self._connecting or self._queue)

    async def acquire(
        self, timeout: Timeout, total_at: float | None, fresh: bool
    ) -> tuple[ClientConnection, bool]:
        """Return a connection and whether it has carried a request before.

        Raises ConnectFailed, AddressRefused, or TimedOut("connect" or "total").
        """
        if not self._queue and not fresh:
            connection = self._take_idle()
            if connection is not None:
                return connection, True
        connect_at = None if timeout.connect is None else self._loop.time() + timeout.connect
        is_total = total_at is not None and (connect_at is None or total_at <= connect_at)
        try:
            async with asyncio.timeout_at(total_at if is_total else connect_at):
                await self._wait_slot()
                connection = None if fresh else self._take_idle()
                if connection is not None:
                    return connection, True
                return await self._connect(), False
        except TimeoutError:
            raise TimedOut("total" if is_total else "connect") from None

    def release(self, connection: ClientConnection) -> None:
        """Take a connection back after its exchange, to keep or to forget."""
        self._busy.discard(connection)
        if connection.finish():
            connection.idle_since = self._loop.time()
            self._idle.append(connection)
        self._wake_next()

    def close_stale(self) -> None:
        """Close idle connections past their time."""
        now = self._loop.time()
        kept = []
        for connection in self._idle:
            if connection.is_stale(now):
                connection.abort()
            else:
                kept.append(connection)
        self._idle = kept

    def abort_all(self) -> None:
        """Close everything at once."""
        for connection in [*self._idle, *self._busy]:
            connection.abort()
        self._idle.clear()

    # -- inside ----------------------------------------------------------------------------

    def _take_idle(self) -> ClientConnection | None:
        now = self._loop.time()
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_stale(now):
                self._busy.add(connection)
                return connection
            connection.abort()
        return None

    def _is_full(self) -> bool:
        return len(self._busy) + self._connecting >= self._limits.connections_per_origin_max

    async def _wait_slot(self) -> None:
        while self._is_full():
            turn: asyncio.Future[None] = self._loop.create_future()
            self._queue.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._wake_next()  # the slot handed to us goes to the next in line
                raise
            finally:
                if turn in self._queue:
                    self._queue.remove(turn)

    def _wake_next(self) -> None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    async def _connect(self) -> ClientConnection:
        self._connecting += 1
        try:
            connection = await self._connector.connect(
                lambda: ClientConnection(self._limits, self._loop)
            )
        except BaseException:
            self._connecting -= 1
            self._wake_next()
            raise
        self._connecting -= 1
        self._busy.add(connection)
        return connection
