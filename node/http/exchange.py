"""What a handler sees of one request: the request, and a writer for a streamed answer."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING

from node.http.errors import ClientDisconnected
from node.http.messages import (
    BODILESS,
    TYPE_JSON,
    HeaderList,
    Headers,
    Response,
    encode_date,
    encode_fields,
    encode_status_line,
)

if TYPE_CHECKING:
    from node.http.connection import ServerConnection
    from node.http.request_reader import ParsedRequest


class Request:
    """One request with its whole body; `path` is `target` without its query."""

    __slots__ = (
        "_cancels",
        "_connection",
        "_disconnected",
        "_writer",
        "answer",
        "body",
        "headers",
        "keep_alive",
        "method",
        "path",
        "query",
        "speaks_1_1",
        "target",
    )

    def __init__(self, connection: ServerConnection, parsed: ParsedRequest) -> None:
        self.method = parsed.method
        self.target = parsed.target
        self.path, _, self.query = parsed.target.partition(b"?")
        self.headers = parsed.headers
        self.body = parsed.body
        self.speaks_1_1 = parsed.speaks_1_1
        self.keep_alive = parsed.keep_alive
        self.answer: Response | None = None
        """The whole answer that was sent, if one was."""
        self._connection = connection
        self._disconnected: asyncio.Future[None] | None = None
        self._writer: StreamWriter | None = None
        self._cancels = False

    @property
    def disconnected(self) -> asyncio.Future[None]:
        """A future that is done once the client has left; never cancelled by the server."""
        if self._disconnected is None:
            self._disconnected = self._connection.loop.create_future()
            if self._connection.lost:
                self._disconnected.set_result(None)
        return self._disconnected

    @property
    def peer(self) -> str:
        """The client's address as text, empty where there is none."""
        name = self._connection.transport.get_extra_info("peername")
        return str(name[0]) if isinstance(name, tuple) else ""

    def cancel_on_disconnect(self) -> None:
        """Have this handler's task cancelled when the client leaves."""
        self._cancels = True
        if self._connection.lost:
            self._connection.cancel_handler()

    def respond(self, answer: Response) -> None:
        """Send a whole answer at once: the client does not wait for what its handler still does.

        The handler returns the same answer in the end.
        """
        self._connection.send(self, answer)

    def respond_stream(
        self, status: int = 200, headers: HeaderList = (), content_type: bytes | None = TYPE_JSON,
        first: bytes = b"",
    ) -> StreamWriter:  # fmt: skip
        """Send the head of a streamed answer and return the writer of its body.

        With a `content-length` among the headers the body is sent as it is, else in chunks. What
        there is of the body by then goes out in one piece with the head as `first`.
        """
        if self._writer is not None or self.answer is not None:
            raise RuntimeError("this request is already being answered")
        self._writer = StreamWriter(self, self._connection, status)
        self._writer.send_head(headers, content_type, first)
        return self._writer

    def client_left(self) -> None:
        """Tell whoever waits that the client is gone (called by the connection)."""
        if self._disconnected is not None and not self._disconnected.done():
            self._disconnected.set_result(None)
        if self._cancels:
            self._connection.cancel_handler()

    def release(self) -> None:
        """Let go of the writer, which holds this request: else both wait for the collector."""
        self._writer = None

    @property
    def writer(self) -> StreamWriter | None:
        """The writer of the streamed answer, once one has begun."""
        return self._writer


class StreamWriter:
    """Writes one streamed body, a chunk and a system call per write, at the client's pace.

    One task writes. As a context manager it closes the body on a clean exit, and on an error
    aborts the connection, so that a client never takes a cut body for a whole one.
    """

    __slots__ = ("_chunked", "_connection", "_left", "_mute", "_request", "closed", "status")

    def __init__(self, request: Request, connection: ServerConnection, status: int) -> None:
        self._request = request
        self._connection = connection
        self._chunked = False
        self._left: int | None = None
        self._mute = request.method == b"HEAD" or status in BODILESS
        self.status = status
        self.closed = False

    def send_head(self, headers: HeaderList, content_type: bytes | None, first: bytes) -> None:
        """Send the head, and `first` of the body (called once, by `Request.respond_stream`)."""
        request, connection = self._request, self._connection
        length = Headers(headers).get(b"content-length")
        parts = [encode_status_line(self.status), encode_date()]
        if content_type is not None:
            parts.append(b"content-type: %b\r\n" % content_type)
        if length is not None:
            self._left = int(length)
        elif self.status not in BODILESS and request.speaks_1_1:
            self._chunked = True
            parts.append(b"transfer-encoding: chunked\r\n")
        else:
            request.keep_alive = request.keep_alive and self.status in BODILESS
        if not request.keep_alive or connection.draining:
            request.keep_alive = False
            parts.append(b"connection: close\r\n")
        parts.append(encode_fields(headers))
        parts.append(b"\r\n")
        if first and not self._mute:
            parts.append(self._frame(first))
        if not connection.lost:
            connection.transport.write(b"".join(parts))

    async def write(self, data: bytes) -> None:
        """Send `data`, returning when the client's buffer has room again.

        Raises ClientDisconnected once the client is gone or has stalled past the limit.
        """
        if self.closed:
            raise RuntimeError("this body is closed")
        connection = self._connection
        if connection.lost:
            raise ClientDisconnected
        if not data or self._mute:
            return
        connection.transport.write(self._frame(data))
        if connection.write_paused:
            await connection.drained()

    async def close(self, last: bytes = b"") -> None:
        """End the body, its `last` bytes and its end in one piece.

        A body shorter than its content-length is a ValueError.
        """
        if self.closed:
            return
        end = self._frame(last) if last and not self._mute else b""
        if self._left and not self._mute:
            raise ValueError("body shorter than its content-length")
        self.closed = True
        if self._connection.lost:
            raise ClientDisconnected
        if self._chunked and not self._mute:
            end += b"0\r\n\r\n"
        if end:
            self._connection.transport.write(end)
        if self._connection.write_paused:
            await self._connection.drained()

    def _frame(self, data: bytes) -> bytes:
        """What is sent for some bytes of the body."""
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise ValueError("body longer than its content-length")
        return b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data

    async def __aenter__(self) -> StreamWriter:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            await self.close()
        else:
            self._connection.abort()
