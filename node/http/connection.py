"""One server connection: answer one request at a time, hold every limit."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from math import inf
from typing import Protocol, cast

from node.http.errors import ClientDisconnected, RequestRefused
from node.http.exchange import Request, StreamWriter
from node.http.limits import Limits
from node.http.messages import (
    BODILESS,
    Response,
    Upgrade,
    encode_response,
    encode_upgrade,
)
from node.http.request_reader import ParsedRequest, Phase, Refusal, RequestReader

logger = logging.getLogger("node.http")

Answer = Response | StreamWriter | Upgrade | None
Handler = Callable[[Request], Awaitable[Answer]]
Refuse = Callable[[int], Response]
"""What answers, with the status it is given, a connection that brings no request."""
JOIN_BYTES_MAX = 64 << 10
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Owner(Protocol):
    """What a connection needs of the server that holds it."""

    handler: Handler
    refuse: Refuse
    limits: Limits
    draining: bool

    def joined(self, connection: ServerConnection) -> bool:
        """Return whether there is room for one more."""

    def left(self, connection: ServerConnection) -> None:
        """Forget a connection that has ended."""


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
        self.deadline = inf
        self._unread = 0
        """Bytes that the client had not taken when it was last given time for them."""
        self.transport: asyncio.Transport
        self._owner = owner
        self._limits = limits = owner.limits
        self._waits = (limits.idle_s, limits.head_s, limits.body_s, limits.write_stall_s)
        """By the phase of the reader."""
        self._reader = RequestReader(owner.limits)
        self._current: Request | None = None
        self._task: asyncio.Task[None] | None = None
        self._drain: asyncio.Future[None] | None = None

    # -- transport events ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket, or answer 503 where the server is full."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family in (socket.AF_INET, socket.AF_INET6):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.transport.set_write_buffer_limits(high=self._limits.write_buffer_bytes)
        self._expire_in(self._limits.head_s)
        if not self._owner.joined(self):
            self._refuse(503)

    def data_received(self, data: bytes) -> None:
        """Feed the reader, then start the next request if none is being answered."""
        reader = self._reader
        before = reader.phase, reader.completed
        reader.feed(data)
        if self._current is None and before != (reader.phase, reader.completed):
            self._expect_more()
        self._invite_body()
        self._next()

    def eof_received(self) -> bool:
        """Treat the client's FIN as its leaving; what is already answered is still flushed."""
        if self._current is not None:
            self.abort()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Wake everybody who works or waits for this client."""
        self._mark_lost()
        self._reader.release()
        self._owner.left(self)

    def pause_writing(self) -> None:
        """Hold writers back; a client that reads nothing for too long is cut off."""
        self.write_paused = True
        self._expect_reading()

    def resume_writing(self) -> None:
        """Let writers and the next request go on."""
        self.write_paused = False
        if self._current is not None:
            self.deadline = inf
        else:
            self._expect_more()
        if self._drain is not None and not self._drain.done():
            self._drain.set_result(None)
        self._next()

    # -- answering -------------------------------------------------------------------------

    def _next(self) -> None:
        ready = self._reader.ready
        if self._current is None and ready and not self.write_paused and not self.lost:
            item = ready.popleft()
            if isinstance(item, Refusal):
                self._refuse(item.status)
            elif self._owner.draining:
                self._refuse(503)
            else:
                self._start(item)
        if self.lost or self._reader.phase is Phase.DEAF or self.transport.is_closing():
            return
        if ready:
            self.transport.pause_reading()
        elif not self.transport.is_reading():
            self.transport.resume_reading()

    def _start(self, parsed: ParsedRequest) -> None:
        self._current = Request(self, parsed)
        self.deadline = inf
        self._task = self.loop.create_task(self._answer(self._current))

    async def _answer(self, request: Request) -> None:
        try:
            answer = await self._owner.handler(request)
            if isinstance(answer, Response):
                self.send(request, answer)
            elif isinstance(answer, Upgrade):
                self._hand_over(request, answer)
            elif not self.lost:
                _check_streamed(request)
        except ClientDisconnected:
            self.abort()
        except RequestRefused as refusal:
            self.send(request, Response(refusal.status, refusal.body, (), refusal.content_type))
        except asyncio.CancelledError:
            self.abort()
            raise
        except Exception:
            # The boundary to the handler's code: its caller is the client, who gets a 500.
            logger.exception("handler failed")
            self.send(request, Response(500, b"internal error", (), b"text/plain"))
        finally:
            self._finish(request)

    def send(self, request: Request, answer: Response) -> None:
        """Send a whole answer; the same one again is nothing new, another one cuts the client."""
        if self.lost or request.answer is answer:
            return
        if request.writer is not None or request.answer is not None:
            self.abort()  # an answer is out, or half of one: only a cut tells the truth
            return
        keep = request.keep_alive = request.keep_alive and not self._owner.draining
        head = encode_response(answer, keep)
        body = b"" if request.method == b"HEAD" or answer.status in BODILESS else answer.body
        request.answer = answer
        if len(body) <= JOIN_BYTES_MAX:
            self.transport.write(head + body)
        else:
            self.transport.writelines([head, body])

    def _hand_over(self, request: Request, answer: Upgrade) -> None:
        """Switch protocols; this connection is over, its socket is not."""
        if self.lost:
            return
        if request.headers.get(b"upgrade") != answer.protocol or not self._limits.upgrade:
            raise RuntimeError("nobody asked to switch to this protocol")
        self.transport.write(encode_upgrade(answer))
        self.lost = True
        self._owner.left(self)
        protocol = answer.make()
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)

    def adopt(self, transport: asyncio.Transport, data: bytes) -> None:
        """Take a socket that was opened for another protocol, and what it has brought since."""
        transport.set_protocol(self)
        self.connection_made(transport)
        self._expect_more()
        if data:
            self.data_received(data)

    def _finish(self, request: Request) -> None:
        self._current = self._task = None
        request.release()
        if self.lost:
            return
        if not request.keep_alive or self._owner.draining:
            self._close()
            return
        if not self.write_paused:
            self._expect_more()
        self._invite_body()
        self._next()

    def _invite_body(self) -> None:
        reader = self._reader
        if reader.wants_continue and self._current is None and not reader.ready:
            reader.wants_continue = False
            self.transport.write(CONTINUE)

    def _refuse(self, status: int) -> None:
        """Answer a status, then read on for a moment so that no reset destroys it."""
        self._reader.stop()
        answer = self._owner.refuse(status)
        self.transport.write(encode_response(answer, keep_alive=False) + answer.body)
        self._expire_in(self._limits.linger_s)
        if self.transport.can_write_eof():
            self.transport.write_eof()
            if not self.transport.is_reading():
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
        """Act on a passed deadline: more time for who reads, 408 for who dawdles, else the end."""
        dawdles = self._reader.phase in (Phase.HEAD, Phase.BODY)
        if 0 < self.transport.get_write_buffer_size() < self._unread:
            self._expect_reading()
        elif dawdles and not (self.busy or self.lost or self.write_paused):
            self._refuse(408)
        else:
            self.abort()

    def abort(self) -> None:
        """Drop the connection and whatever it still had to send."""
        self._mark_lost()
        self.transport.abort()

    def cancel_handler(self) -> None:
        """Cancel the task that answers the current request."""
        if self._task is not None:
            self._task.cancel()

    def close_idle(self) -> None:
        """Close a connection that serves nobody (the server is draining)."""
        if not self.busy and not self._reader.ready and self._reader.phase is Phase.IDLE:
            self._close()

    def _close(self) -> None:
        self._reader.stop()
        self._expect_reading()
        self.transport.close()

    def _mark_lost(self) -> None:
        if self.lost:
            return
        self.lost = True
        self._reader.stop()
        self._reader.ready.clear()
        if self._drain is not None and not self._drain.done():
            self._drain.set_exception(ClientDisconnected())
        if self._current is not None:
            self._current.client_left()

    def _expect_reading(self) -> None:
        self._unread = self.transport.get_write_buffer_size()
        self._expire_in(self._limits.write_stall_s)

    def _expect_more(self) -> None:
        self._expire_in(self._waits[self._reader.phase])

    def _expire_in(self, seconds: float) -> None:
        self.deadline = self.loop.time() + seconds


def _check_streamed(request: Request) -> None:
    if request.writer is None or not request.writer.closed:
        raise RuntimeError("handler returned without a whole answer")
