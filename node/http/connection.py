"""One server connection: parse strictly, answer one request at a time, hold every limit."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from enum import Enum
from math import inf
from typing import Any, Protocol, cast

import httptools

from node.http.errors import ClientDisconnected, RequestRefused
from node.http.exchange import BODILESS, JOIN_BYTES_MAX, Request, StreamWriter
from node.http.limits import Limits
from node.http.messages import Headers, Response, encode_date, encode_fields, encode_status_line

logger = logging.getLogger("node.http")

Answer = Response | StreamWriter | None
Handler = Callable[[Request], Awaitable[Answer]]
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CHUNK_OVERHEAD_MAX = 8  # framing bytes a client may spend per body byte ("1\r\nx\r\n" spends 5)


class Phase(Enum):
    """Where the reading side of a connection stands."""

    IDLE = 0  # between requests
    HEAD = 1
    BODY = 2
    DEAF = 3  # nothing more is parsed: refused, closing or lingering


class Owner(Protocol):
    """What a connection needs of the server that holds it."""

    handler: Handler
    limits: Limits
    draining: bool

    def joined(self, connection: ServerConnection) -> bool:
        """Return whether there is room for one more."""

    def left(self, connection: ServerConnection) -> None:
        """Forget a connection that has ended."""


class _Refuse(Exception):  # noqa: N818 - carries a status out of a parser callback
    """A request that is answered by a status before its handler sees it."""


class ServerConnection(asyncio.Protocol):
    """The protocol of one accepted socket.

    Reading goes on while a handler works, so a client that leaves is seen at once; it pauses only
    while a whole pipelined request waits for its turn. A client that closes its sending half
    counts as gone: on the wire the two look alike.
    """

    def __init__(self, owner: Owner, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.lost = False
        self.write_paused = False
        self.speaks_1_1 = True
        self.deadline = inf
        self.transport: asyncio.Transport
        self._owner = owner
        self._limits = owner.limits
        self._parser = httptools.HttpRequestParser(self)
        self._phase = Phase.IDLE
        self._waiting: deque[Request | int] = deque()
        self._current: Request | None = None
        self._task: asyncio.Task[None] | None = None
        self._drain: asyncio.Future[None] | None = None
        self._feeding = 0
        self._owes_continue = False
        self._begin_message()

    # -- transport events ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket, or answer 503 where the server is full."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family in (socket.AF_INET, socket.AF_INET6):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.set_write_buffer_limits(high=self._limits.write_buffer_bytes)
        self._set_deadline(self._limits.head_s)
        if not self._owner.joined(self):
            self._refuse(503)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, then start the next request if none is being answered."""
        if self._phase is Phase.DEAF:
            return
        if self._phase is Phase.IDLE:
            self._phase = Phase.HEAD
            self._raw = 0
            self._read_deadline(self._limits.head_s)
        self._feeding = len(data)
        try:
            self._parser.feed_data(data)
            self._raw += len(data)
            self._check_framing()
        except _Refuse as refusal:
            self._give_up(refusal.args[0])
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, _Refuse):
                raise
            self._give_up(error.__context__.args[0])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._give_up(400)
        self._next()

    def eof_received(self) -> bool:
        """Treat the client's FIN as its leaving; what is already answered is still flushed."""
        if self._current is not None:
            self.abort()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Wake everybody who works or waits for this client."""
        self._mark_lost()
        self._owner.left(self)

    def pause_writing(self) -> None:
        """Hold writers back; a client that reads nothing for too long is cut off."""
        self.write_paused = True
        self._set_deadline(self._limits.write_stall_s)

    def resume_writing(self) -> None:
        """Let writers and the next request go on."""
        self.write_paused = False
        self._set_deadline(inf if self._current is not None else self._limits.idle_s)
        if self._drain is not None and not self._drain.done():
            self._drain.set_result(None)
        self._next()

    # -- parser events ---------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Start a request; the bytes before it in this read are not its own."""
        if self._phase is Phase.IDLE:
            self._phase = Phase.HEAD
            self._raw = -self._feeding
            self._read_deadline(self._limits.head_s)

    def on_url(self, url: bytes) -> None:
        """Collect the request target."""
        self._target += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header; trailers count against the limit and are dropped."""
        self._count_head(len(name) + len(value) + 4)
        if self._phase is Phase.HEAD:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Check what llhttp leaves open, refuse early, and invite a body that asks first."""
        headers = Headers(self._headers)
        version = self._parser.get_http_version()
        self._check_head(headers, version)
        self._phase = Phase.BODY
        self._read_deadline(self._limits.body_s)
        if headers.get(b"expect") is not None and version == "1.1":
            if self._current is None and not self._waiting:
                self.transport.write(CONTINUE)
            else:
                self._owes_continue = True

    def on_body(self, data: bytes) -> None:
        """Collect body bytes within the limit."""
        self._size += len(data)
        if self._size > self._limits.body_bytes_max:
            raise _Refuse(413)
        self._parts.append(data)

    def on_message_complete(self) -> None:
        """Queue the whole request."""
        parts = self._parts
        body = b"" if not parts else parts[0] if len(parts) == 1 else b"".join(parts)
        version_1_1 = self._parser.get_http_version() == "1.1"
        keep = version_1_1 and self._parser.should_keep_alive()
        method = self._parser.get_method()
        request = Request(self, method, self._target, Headers(self._headers), body, keep)
        if not version_1_1:
            self.speaks_1_1 = False
        self._waiting.append(request)
        self._phase = Phase.IDLE if keep else Phase.DEAF
        self._begin_message()

    def _begin_message(self) -> None:
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._size = 0
        self._head_bytes = 0
        self._raw = 0
        self._owes_continue = False

    # -- checks ----------------------------------------------------------------------------

    def _count_head(self, count: int) -> None:
        self._head_bytes += count
        if (
            self._head_bytes > self._limits.header_bytes_max
            or len(self._headers) >= self._limits.header_count_max
        ):
            raise _Refuse(431)

    def _check_head(self, headers: Headers, version: str) -> None:
        if version not in ("1.0", "1.1") or not _is_target(self._target, self._parser.get_method()):
            raise _Refuse(400)
        if len(headers.get_all(b"host")) != 1 and version == "1.1":
            raise _Refuse(400)
        if self._parser.should_upgrade():
            raise _Refuse(501)
        coding = headers.get(b"transfer-encoding")
        if coding is not None:
            if version == "1.0" or b"content-length" in headers:
                raise _Refuse(400)
            if coding.lower() != b"chunked":
                raise _Refuse(501)
        if int(headers.get(b"content-length") or b"0") > self._limits.body_bytes_max:
            raise _Refuse(413)
        if (headers.get(b"expect") or b"100-continue").lower() != b"100-continue":
            raise _Refuse(417)

    def _check_framing(self) -> None:
        # What llhttp buffers or skips without telling: an endless header, chunk extensions.
        spare = self._limits.header_bytes_max
        if self._phase is Phase.HEAD and self._raw > spare:
            raise _Refuse(431)
        allowed = self._size * (1 + CHUNK_OVERHEAD_MAX) + 2 * spare
        if self._phase is Phase.BODY and self._raw > allowed:
            raise _Refuse(400)

    def _give_up(self, status: int) -> None:
        # Bytes after a `Connection: close` request are an error of nobody's request.
        if self._phase is not Phase.DEAF:
            self._phase = Phase.DEAF
            self._waiting.append(status)

    # -- answering -------------------------------------------------------------------------

    def _next(self) -> None:
        if self._current is None and self._waiting and not self.write_paused and not self.lost:
            item = self._waiting.popleft()
            if isinstance(item, int):
                self._refuse(item)
            elif self._owner.draining:
                self._refuse(503)
            else:
                self._current = item
                self.deadline = inf
                self._task = self.loop.create_task(self._answer(item))
        if self.lost or self._phase is Phase.DEAF:
            return
        if self._waiting:
            self.transport.pause_reading()
        elif not self.transport.is_reading() and not self.transport.is_closing():
            self.transport.resume_reading()

    async def _answer(self, request: Request) -> None:
        try:
            answer = await self._owner.handler(request)
            if isinstance(answer, Response):
                self._send(request, answer)
            elif request.writer is None or not request.writer.closed:
                raise RuntimeError("handler returned without a whole answer")  # noqa: TRY301
        except ClientDisconnected:
            self.abort()
        except RequestRefused as refusal:
            self._send(request, Response(refusal.status, refusal.body, (), refusal.content_type))
        except asyncio.CancelledError:
            self.abort()
            raise
        except Exception:
            logger.exception("handler failed")
            self._send(request, Response(500, b"internal error", (), b"text/plain"))
        finally:
            self._finish(request)

    def _send(self, request: Request, answer: Response) -> None:
        if self.lost:
            return
        if request.writer is not None:  # half an answer is out: only a cut tells the truth
            self.abort()
            return
        keep = request.keep_alive = request.keep_alive and not self._owner.draining
        head = encode_response(answer, keep)
        body = b"" if request.method == b"HEAD" or answer.status in BODILESS else answer.body
        if len(body) <= JOIN_BYTES_MAX:
            self.transport.write(head + body)
        else:
            self.transport.writelines([head, body])

    def _finish(self, request: Request) -> None:
        self._current = self._task = None
        if self.lost:
            return
        if not request.keep_alive or self._owner.draining:
            self._phase = Phase.DEAF
            self._close()
            return
        if not self.write_paused:
            wait = {Phase.IDLE: self._limits.idle_s, Phase.HEAD: self._limits.head_s}
            self._set_deadline(wait.get(self._phase, self._limits.body_s))
        if self._owes_continue and not self._waiting:
            self._owes_continue = False
            self.transport.write(CONTINUE)
        self._next()

    def _refuse(self, status: int) -> None:
        """Answer a bare status, then read on for a moment so that no reset destroys it."""
        self._phase = Phase.DEAF
        self.transport.write(encode_response(Response(status, b"", (), None), keep_alive=False))
        self._set_deadline(self._limits.linger_s)
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.transport.resume_reading()
        else:
            self.transport.close()

    # -- ending ----------------------------------------------------------------------------

    @property
    def draining(self) -> bool:
        """Whether the server is closing down."""
        return self._owner.draining

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return self._current is not None

    @property
    def idle(self) -> bool:
        """Whether nothing is being read, answered or flushed."""
        flushed = self.transport.get_write_buffer_size() == 0
        return not self.busy and not self._waiting and self._phase is Phase.IDLE and flushed

    async def drained(self) -> None:
        """Wait until the client has read enough; raises ClientDisconnected if it never does."""
        if self.lost:
            raise ClientDisconnected
        self._drain = self.loop.create_future()
        try:
            await self._drain
        finally:
            self._drain = None

    def expire(self) -> None:
        """Act on a passed deadline: 408 for a request that dawdles, else the end."""
        if self._phase in (Phase.HEAD, Phase.BODY) and self._current is None and not self.lost:
            if not self.write_paused:
                self._refuse(408)
                return
        self.abort()

    def abort(self) -> None:
        """Drop the connection and whatever it still had to send."""
        self._mark_lost()
        self.transport.abort()

    def cancel_handler(self) -> None:
        """Cancel the task that answers the current request."""
        if self._task is not None:
            self._task.cancel()

    def _close(self) -> None:
        self._set_deadline(self._limits.write_stall_s)
        self.transport.close()

    def close_idle(self) -> None:
        """Close at once what serves nobody (the server is draining)."""
        if self.idle:
            self._close()

    def _mark_lost(self) -> None:
        if self.lost:
            return
        self.lost = True
        self._waiting.clear()
        if self._drain is not None and not self._drain.done():
            self._drain.set_exception(ClientDisconnected())
        if self._current is not None:
            self._current.client_left()

    def _set_deadline(self, seconds: float) -> None:
        self.deadline = self.loop.time() + seconds

    def _read_deadline(self, seconds: float) -> None:
        if self._current is None:
            self._set_deadline(seconds)


def _is_target(target: bytes, method: bytes) -> bool:
    if b"#" in target:
        return False
    return target.startswith(b"/") or (target == b"*" and method == b"OPTIONS")


def encode_response(answer: Response, keep_alive: bool) -> bytes:
    """Return the head of a whole answer, its blank line included."""
    parts: list[Any] = [encode_status_line(answer.status), encode_date()]
    if answer.content_type is not None:
        parts.append(b"content-type: %b\r\n" % answer.content_type)
    if answer.status not in BODILESS:
        parts.append(b"content-length: %d\r\n" % len(answer.body))
    if not keep_alive:
        parts.append(b"connection: close\r\n")
    if answer.headers:
        parts.append(encode_fields(answer.headers))
    parts.append(b"\r\n")
    return b"".join(parts)
