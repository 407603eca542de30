"""An HTTP/1.1 server of bytes in, bytes out: `await serve(handler, host, port)`."""

from __future__ import annotations

import asyncio
import socket
import ssl as tls
from typing import Any

from node.http.connection import Handler, Refuse, ServerConnection
from node.http.limits import Limits
from node.http.messages import Response


def refuse_barely(status: int) -> Response:
    """A status and nothing else."""
    return Response(status, b"", (), None)


class Server:
    """Answers on connections; `serve` makes one that listens, `close` drains it.

    One made without `serve` listens nowhere and answers on the sockets it is given.
    """

    def __init__(self, handler: Handler, limits: Limits, refuse: Refuse = refuse_barely) -> None:
        self.handler = handler
        self.refuse = refuse
        self.limits = limits
        self.draining = False
        self._loop = asyncio.get_running_loop()
        self._listener: asyncio.Server | None = None
        self._connections: set[ServerConnection] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._sweeper = self._loop.call_later(limits.sweep_s, self._sweep)

    @property
    def port(self) -> int:
        """The TCP port the first listening socket is bound to."""
        if self._listener is None:
            raise RuntimeError("this server listens nowhere")
        return int(self._listener.sockets[0].getsockname()[1])

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    @property
    def in_flight(self) -> int:
        """How many requests are being answered."""
        return sum(connection.busy for connection in self._connections)

    async def close(self, drain_s: float = 30.0) -> None:
        """Stop accepting, let what is in flight finish for `drain_s` seconds, cut the rest."""
        self.draining = True
        if self._listener is not None:
            self._listener.close()
        for connection in list(self._connections):
            connection.close_idle()
        try:
            async with asyncio.timeout(drain_s):
                await self._empty.wait()
        except TimeoutError:
            for connection in list(self._connections):
                connection.cancel_handler()
                connection.abort()
            await self._empty.wait()
        self._sweeper.cancel()
        if self._listener is not None:
            await self._listener.wait_closed()

    def adopt(self, transport: asyncio.Transport, data: bytes = b"") -> None:
        """Answer on a socket that was opened for another protocol; `data` has come on it."""
        ServerConnection(self, self._loop).adopt(transport, data)

    # -- what connections call -------------------------------------------------------------

    def joined(self, connection: ServerConnection) -> bool:
        """Hold a new connection; False past the limit, cut off without an answer past twice it."""
        count = len(self._connections)
        self._connections.add(connection)
        self._empty.clear()
        if count >= 2 * self.limits.connections_max:
            connection.abort()
            return True
        return count < self.limits.connections_max

    def left(self, connection: ServerConnection) -> None:
        """Forget an ended connection."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def _sweep(self) -> None:
        now = self._loop.time()
        for connection in [c for c in self._connections if c.deadline <= now]:
            connection.expire()
        self._sweeper = self._loop.call_later(self.limits.sweep_s, self._sweep)


async def serve(
    handler: Handler,
    host: str = "127.0.0.1",
    port: int = 0,
    limits: Limits | None = None,
    *,
    refuse: Refuse = refuse_barely,
    ssl: tls.SSLContext | None = None,
    sock: socket.socket | None = None,
    reuse_port: bool = False,
) -> Server:
    """Return a server that answers `handler`'s answers on `host:port` (0: any free port).

    `refuse` answers what is no request, or one too many. `sock` is a bound socket to listen on
    instead. With `ssl` a handshake may take `head_s`. Raises OSError where binding fails.
    """
    server = Server(handler, limits or Limits(), refuse)
    loop = asyncio.get_running_loop()

    def connect() -> ServerConnection:
        return ServerConnection(server, loop)

    options: dict[str, Any] = {"backlog": server.limits.backlog}
    if ssl is not None:
        options |= {
            "ssl": ssl,
            "ssl_handshake_timeout": server.limits.head_s,
            "ssl_shutdown_timeout": server.limits.write_stall_s,
        }
    try:
        if sock is not None:
            listener = await loop.create_server(connect, sock=sock, **options)
        else:
            listener = await loop.create_server(
                connect, host, port, reuse_port=reuse_port or None, **options
            )
    except OSError:
        server._sweeper.cancel()
        raise
    server._listener = listener
    return server
