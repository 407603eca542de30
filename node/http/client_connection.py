"""One client connection: send a request, hand its answer over at the reader's pace."""

from __future__ import annotations

import asyncio
import select
import socket
from collections import deque
from typing import cast

import httptools

from node.http.errors import BadResponse, ClosedEarly, HttpClientError, TimedOut, TooLarge
from node.http.limits import ClientLimits, Timeout
from node.http.messages import Headers

JOIN_BYTES_MAX = 64 << 10
CHUNK_OVERHEAD_MAX = 8
INTERIM_MAX = 8
READABLE = select.POLLIN | select.POLLHUP | select.POLLERR


class _Stop(Exception):
    """Ends parsing with the error it holds."""


class ClientConnection(asyncio.Protocol):
    """The protocol of one connected socket; it carries one exchange at a time."""

    def __init__(self, limits: ClientLimits, loop: asyncio.AbstractEventLoop) -> None:
        self.transport: asyncio.Transport
        self.idle_since = 0.0
        self.status = 0
        self.headers = Headers()
        self.complete = True
        self.error: HttpClientError | None = None
        self.received = False
        self._limits = limits
        self._loop = loop
        self._wake: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._poll: select.poll | None = None
        self._paused = False
        self._reusable = True
        self._chunks: deque[bytes] = deque()
        self._buffered = 0

    # -- one exchange ----------------------------------------------------------------------

    def send(
        self, head: bytes, body: bytes, bodiless: bool, body_bytes_max: int, timeout: Timeout,
        total_at: float | None,
    ) -> None:  # fmt: skip
        """Send one request; `bodiless` says that its answer carries no body (HEAD)."""
        self._parser = httptools.HttpResponseParser(self)
        self._chunks.clear()
        self._fields: list[tuple[bytes, bytes]] = []
        self._buffered = self._size = self._head_bytes = self._raw = self._interim = 0
        self._body_bytes_max = body_bytes_max
        self._bodiless = bodiless
        self._in_body = False
        self.status = 0
        self.headers = Headers()
        self.complete = self.received = False
        self._timeout = timeout
        self._total_at = total_at
        self._since = self._loop.time()
        self._arm()
        if len(body) <= JOIN_BYTES_MAX:
            self.transport.write(head + body)
        else:
            self.transport.writelines([head, body])

    async def wait_head(self) -> None:
        """Wait until status and headers are here; raises HttpClientError."""
        while not self._in_body:
            if self.error is not None:
                raise self.error
            await self._wait()

    async def wait_chunk(self) -> bytes:
        """Return what has arrived of the body since the last call, b"" at its end.

        Bytes that came before an error are handed out first; then the error is raised.
        """
        while not self._chunks:
            if self.error is not None:
                raise self.error
            if self.complete:
                return b""
            await self._wait()
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self._buffered = 0
        if self._paused:
            self._paused = False
            self._since = self._loop.time()
            self.transport.resume_reading()
        return data

    def finish(self) -> bool:
        """End the exchange; return whether the connection may carry another."""
        reusable = (
            self.complete
            and self._reusable
            and self.error is None
            and not self.transport.is_closing()
            and self.transport.get_write_buffer_size() == 0
        )
        if not reusable:
            self.abort()
        return reusable

    def abort(self) -> None:
        """Close the socket at once."""
        self._disarm()
        self._reusable = False
        self.transport.abort()

    def is_stale(self, now: float) -> bool:
        """Return whether an idle connection is too old, closed, or spoke out of turn."""
        if self.transport.is_closing() or now - self.idle_since >= self._limits.idle_s:
            return True
        return bool(self._poll is not None and self._poll.poll(0))

    # -- transport events ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        raw = transport.get_extra_info("socket")
        if raw is None:
            return
        if raw.family in (socket.AF_INET, socket.AF_INET6):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._poll = select.poll()
        self._poll.register(raw.fileno(), READABLE)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; anything outside an exchange spoils the connection."""
        if self.complete or self.error is not None:
            self.abort()
            return
        self.received = True
        try:
            self._parser.feed_data(data)
            self._raw += len(data)
            self._check_framing()
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, _Stop):
                raise
            self._spoil(error.__context__.args[0])
        except _Stop as stop:
            self._spoil(stop.args[0])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._spoil(BadResponse(str(error)))
        if self._in_body:  # the head has one deadline, however its bytes come
            self._since = self._loop.time()
            self._notify()

    def eof_received(self) -> bool:
        """Close when the server does."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Fail an answer that is not whole."""
        self._disarm()
        self._reusable = False
        if not self.complete and self.error is None:
            self._fail(ClosedEarly(self.received))
        vars(self).pop("_parser", None)  # which holds this: else both wait for the collector

    # -- parser events ---------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Refuse a second answer: nobody asked for it."""
        if self.complete:
            raise _Stop(BadResponse("an answer nobody asked for"))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header; trailers count against the limit and are dropped."""
        self._head_bytes += len(name) + len(value) + 4
        limits = self._limits
        if (
            self._head_bytes > limits.header_bytes_max
            or len(self._fields) >= limits.header_count_max
        ):
            raise _Stop(TooLarge("response head"))
        if not self._in_body:
            self._fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Accept a head whose body has a visible end."""
        status = self._parser.get_status_code()
        if status < 200:
            self._interim += 1
            if status == 101 or self._interim > INTERIM_MAX:
                raise _Stop(BadResponse(f"unexpected interim status {status}"))
            return
        headers = Headers(self._fields)
        if not self._bodiless and status not in (204, 304):
            self._check_body(headers)
        self.status = status
        self.headers = headers
        self._in_body = True
        self._reusable = self._parser.should_keep_alive()
        if self._bodiless:  # the parser still expects a body here, so the socket ends with it
            self.complete = True
            self._reusable = False

    def on_body(self, data: bytes) -> None:
        """Buffer body bytes; stop reading while the reader lags."""
        if self.complete:  # a body behind the head that answers HEAD
            raise _Stop(BadResponse("a body nobody asked for"))
        self._size += len(data)
        if self._size > self._body_bytes_max:
            raise _Stop(TooLarge("response body"))
        self._chunks.append(data)
        self._buffered += len(data)
        if self._buffered > self._limits.buffer_bytes_max and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def on_message_complete(self) -> None:
        """End the answer, or go on after an interim one."""
        if self._in_body:
            self.complete = True
        else:
            self._fields = []

    def _check_body(self, headers: Headers) -> None:
        coding = headers.get(b"transfer-encoding")
        length = headers.get(b"content-length")
        if coding is None and length is None:
            raise _Stop(BadResponse("body delimited by close: a cut would go unseen"))
        if coding is not None and (length is not None or coding.lower() != b"chunked"):
            raise _Stop(BadResponse("ambiguous body framing"))
        if length is not None and int(length) > self._body_bytes_max:
            raise _Stop(TooLarge("response body"))

    def _check_framing(self) -> None:
        spare = self._limits.header_bytes_max
        if not self._in_body and self._raw > spare + self._interim * spare:
            raise _Stop(TooLarge("response head"))
        if self._raw > self._size * (1 + CHUNK_OVERHEAD_MAX) + (2 + self._interim) * spare:
            raise _Stop(BadResponse("chunk framing outweighs its data"))

    # -- waiting ---------------------------------------------------------------------------

    async def _wait(self) -> None:
        self._wake = self._loop.create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _spoil(self, error: HttpClientError) -> None:
        # Garbage behind a whole answer costs the connection, not the answer.
        self._reusable = False
        if not self.complete:
            self._fail(error)

    def _fail(self, error: HttpClientError) -> None:
        self.error = error
        self.abort()
        self._notify()

    def _deadline(self) -> tuple[float | None, str]:
        silence = self._timeout.read if self._in_body else self._timeout.first_byte
        at = None if silence is None or self._paused else self._since + silence
        if self._total_at is not None and (at is None or self._total_at <= at):
            return self._total_at, "total"
        return at, "read" if self._in_body else "first_byte"

    def _arm(self) -> None:
        # One timer a connection: it looks again when it fires, instead of moving at every chunk
        # or being taken back at every end of an exchange.
        now = self._loop.time()
        at = self._look_at(now)
        if at is None or (self._timer is not None and self._timer_at <= at):
            return
        self._disarm()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._look)

    def _look_at(self, now: float) -> float | None:
        """When to look whether a deadline has passed: a moment from now at the soonest."""
        at, _ = self._deadline()
        read = self._timeout.read
        if at is None:
            periods = [p for p in (read, self._timeout.first_byte) if p is not None]
            return now + min(periods) if periods else None
        soonest = at if read is None else min(at, now + read)  # a body may begin any time
        return max(soonest, now + 0.001)

    def _look(self) -> None:
        self._timer = None
        if self.complete or self.error is not None:
            return
        at, phase = self._deadline()
        if at is not None and at <= self._loop.time():
            self._fail(TimedOut(phase))
        else:
            self._arm()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
