"""Raw sockets on both sides of HTTP, for peers that do not behave."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from node.http import Handler, Limits, Request, Response, Server, serve

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def echo(request: Request) -> Response:
    """Answer with the request's own body."""
    return Response(200, request.body, [(b"path", request.path)], b"text/plain")


@asynccontextmanager
async def serving(
    handler: Handler = echo, limits: Limits | None = None, **options: Any
) -> AsyncIterator[Server]:
    """Yield a running server, closed at once afterwards."""
    server = await serve(handler, limits=limits, **options)
    try:
        yield server
    finally:
        for wire in list(Wire.opened):
            await wire.close()
        await server.close(0.05)


class Wire:
    """A client that says exactly what it is told; `serving` closes the ones a test left open."""

    opened: ClassVar[set["Wire"]] = set()

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.opened.add(self)

    @classmethod
    async def open(cls, port: int) -> "Wire":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> tuple[int, dict[bytes, bytes]]:
        """Return status and headers of the next answer."""
        lines = (await self.reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        fields = dict(line.split(b": ", 1) for line in lines[1:] if line)
        return int(lines[0].split()[1]), fields

    async def answer(self) -> tuple[int, bytes]:
        """Return status and body of the next answer."""
        status, headers = await self.head()
        if headers.get(b"transfer-encoding") != b"chunked":
            return status, await self.reader.readexactly(int(headers.get(b"content-length", b"0")))
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readexactly(2)
        return status, body

    async def rest(self) -> bytes:
        """Return everything until the server closes."""
        try:
            return await self.reader.read()
        except ConnectionResetError:
            return b""

    def reset(self) -> None:
        """Leave with a RST."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def close(self) -> None:
        self.opened.discard(self)
        self.writer.close()


async def exchange(port: int, data: bytes) -> tuple[int, bytes]:
    """Send `data` on a new connection; return the first answer."""
    wire = await Wire.open(port)
    try:
        wire.send(data)
        return await wire.answer()
    finally:
        await wire.close()


@asynccontextmanager
async def scripted(talk: Talk) -> AsyncIterator[str]:
    """Yield the URL of a TCP server that runs `talk` on every connection."""

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(run, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Return one request's head and body as they came."""
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        if line.startswith(b"content-length: "):
            return head + await reader.readexactly(int(line[16:]))
    return head
