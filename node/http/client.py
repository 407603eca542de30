"""A pooled HTTP/1.1 client: `ClientPool.request` for whole answers, `.stream` for long ones.

**When a request is sent twice.** A server may close an idle connection just as a request goes out
on it. A pooled connection is therefore looked at before use (age, FIN or stray bytes already in
the socket); if it still closes before any byte of an answer, the request goes out once more on a
fresh connection, provided that repeating it is harmless: its method is idempotent by RFC 9110
(GET, HEAD, OPTIONS, PUT, DELETE), or the caller says `replay_safe=True`. Never after a byte of
an answer, never after a timeout, never a request sent on a fresh connection.
"""

from __future__ import annotations

import asyncio
import ssl as tls
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import lru_cache
from urllib.parse import urlsplit

from node.http.client_connection import ClientConnection
from node.http.connector import AddressFilter, Origin
from node.http.errors import BadUrl, ClosedEarly, ConnectFailed, TooLarge
from node.http.limits import ClientLimits, Timeout
from node.http.lines import LinePool, Lines
from node.http.messages import HeaderList, Headers, encode_fields
from node.http.origin import OriginPool
from relay_mining import value_class

IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})
OWN_HEADERS = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection"})
DEFAULT_PORTS = {"http": 80, "https": 443, "dial": 0}
SHOWN_CHARS = 128


@value_class
class ClientResponse:
    """A whole answer."""

    status: int
    headers: Headers
    body: bytes


class ClientStream:
    """An answer whose head is here and whose body is still coming."""

    __slots__ = ("_connection", "headers", "status")

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.status = connection.status
        self.headers = connection.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield body bytes as they come; a body that ends early raises ClosedEarly."""
        while data := await self._connection.wait_chunk():
            yield data

    async def read(self, bytes_max: int) -> bytes:
        """Return the rest of the body; raises TooLarge past `bytes_max`."""
        return await _read(self._connection, bytes_max)

    def abort(self) -> None:
        """Close the socket at once; the server sees the client leave."""
        self._connection.abort()


@value_class
class _Prepared:
    origin: Origin
    head: bytes
    body: bytes
    is_head: bool
    replays: bool


class ClientPool:
    """Keep-alive connections per origin; safe for many tasks of one event loop.

    `allow_address(ip)` is asked about every resolved address, and only an address it allowed is
    connected to (so a name cannot change its mind in between). `lines` is what has dialled in.
    """

    def __init__(
        self,
        limits: ClientLimits | None = None,
        ssl: tls.SSLContext | None = None,
        allow_address: AddressFilter | None = None,
        lines: Lines | None = None,
    ) -> None:
        self.limits = limits or ClientLimits()
        self._lines = lines
        self._ssl = ssl
        self._allow_address = allow_address
        self._origins: dict[Origin, OriginPool] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    async def request(
        self,
        method: str | bytes,
        url: str,
        headers: HeaderList = (),
        body: bytes = b"",
        timeout: Timeout | None = None,
        *,
        replay_safe: bool = False,
    ) -> ClientResponse:
        """Return the whole answer; raises HttpClientError."""
        limit = self.limits.body_bytes_max
        prepared = _prepare(method, url, headers, body, replay_safe)
        origin, connection = await self._exchange(prepared, timeout or Timeout(), limit)
        try:
            body = await _read(connection, limit)
            return ClientResponse(connection.status, connection.headers, body)
        finally:
            self._release(origin, connection)

    @asynccontextmanager
    async def stream(
        self,
        method: str | bytes,
        url: str,
        headers: HeaderList = (),
        body: bytes = b"",
        timeout: Timeout | None = None,
        *,
        replay_safe: bool = False,
    ) -> AsyncIterator[ClientStream]:
        """Yield an answer once its head is here; leaving before its end closes the socket."""
        limit = self.limits.stream_bytes_max
        prepared = _prepare(method, url, headers, body, replay_safe)
        origin, connection = await self._exchange(prepared, timeout or Timeout(), limit)
        try:
            yield ClientStream(connection)
        finally:
            self._release(origin, connection)

    def has_line(self, name: str) -> bool:
        """Whether whoever dials in under a name has a line open."""
        return self._lines is not None and self._lines.count(name) > 0

    async def close(self) -> None:
        """Close every connection; requests in flight fail."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for origin in self._origins.values():
            origin.abort_all()
        self._origins.clear()
        await asyncio.sleep(0)

    async def __aenter__(self) -> ClientPool:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    # -- inside ----------------------------------------------------------------------------

    async def _exchange(
        self, prepared: _Prepared, timeout: Timeout, body_bytes_max: int
    ) -> tuple[OriginPool | LinePool, ClientConnection]:
        if self._closed:
            raise RuntimeError("the pool is closed")
        total_at = None
        if timeout.total is not None:
            total_at = asyncio.get_running_loop().time() + timeout.total
        origin = self._origin(prepared.origin)
        fresh = False
        while True:
            connection, reused = await origin.acquire(timeout, total_at, fresh=fresh)
            try:
                connection.send(
                    prepared.head, prepared.body, prepared.is_head, body_bytes_max, timeout,
                    total_at,
                )  # fmt: skip
                await connection.wait_head()
            except ClosedEarly as error:
                self._release(origin, connection)
                if fresh or not reused or error.received or not prepared.replays:
                    raise
                fresh = True
            except BaseException:
                connection.abort()
                self._release(origin, connection)
                raise
            else:
                return origin, connection

    def _origin(self, origin: Origin) -> OriginPool | LinePool:
        pool = self._origins.get(origin)
        if pool is None and not origin.port:
            return self._line_pool(origin.host)
        if pool is None:
            context = (self._ssl or _default_context()) if origin.tls else None
            pool = OriginPool(origin, self.limits, context, self._allow_address)
            self._origins[origin] = pool
        return pool

    def _line_pool(self, name: str) -> LinePool:
        if self._lines is None:
            raise ConnectFailed("nobody dials in here")
        return self._lines.pool(name)

    def _release(self, origin: OriginPool | LinePool, connection: ClientConnection) -> None:
        origin.release(connection)
        if self._sweeper is None and not self._closed:
            loop = asyncio.get_running_loop()
            self._sweeper = loop.call_later(self.limits.idle_s / 2, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        for origin, pool in list(self._origins.items()):
            pool.close_stale()
            if pool.is_unused:
                del self._origins[origin]
        if self._origins:
            loop = asyncio.get_running_loop()
            self._sweeper = loop.call_later(self.limits.idle_s / 2, self._sweep)


async def _read(connection: ClientConnection, bytes_max: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while data := await connection.wait_chunk():
        size += len(data)
        if size > bytes_max:
            raise TooLarge("response body")
        parts.append(data)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _prepare(
    method: str | bytes, url: str, headers: HeaderList, body: bytes, replay_safe: bool
) -> _Prepared:
    verb = method.encode("ascii") if isinstance(method, str) else method
    if not verb.isalpha() or not verb.isupper():
        raise ValueError(f"not a method: {verb!r}")
    for name, _ in headers:
        if name.lower() in OWN_HEADERS:
            raise ValueError(f"the client writes {name.decode('latin-1')!r} itself")
    origin, target, host = parse_url(url)
    length = b"content-length: %d\r\n" % len(body) if body or verb in (b"POST", b"PUT") else b""
    head = b"%b %b HTTP/1.1\r\nhost: %b\r\n%b%b\r\n" % (
        verb, target, host, length, encode_fields(headers),
    )  # fmt: skip
    return _Prepared(origin, head, body, verb == b"HEAD", replay_safe or verb in IDEMPOTENT)


@lru_cache(maxsize=4096)
def parse_url(url: str) -> tuple[Origin, bytes, bytes]:
    """Return origin, request target and Host of an absolute http(s) URL, or of a line's.

    Raises BadUrl.
    """
    shown = repr(url[:SHOWN_CHARS])
    if not url.isascii() or any(c <= " " or c == "\x7f" for c in url):
        raise BadUrl(f"not a plain URL: {shown}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadUrl(f"not a URL: {shown}: {error}") from None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc:
        raise BadUrl(f"not an http(s) URL without credentials: {shown}")
    if parts.scheme == "dial" and port is not None:
        raise BadUrl(f"a line has no port: {shown}")
    port = port or DEFAULT_PORTS[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if port != DEFAULT_PORTS[parts.scheme]:
        host = f"{host}:{port}"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    origin = Origin(parts.scheme == "https", parts.hostname, port)
    return origin, target.encode("ascii"), host.encode("ascii")


_default_context: Callable[[], tls.SSLContext] = lru_cache(maxsize=1)(tls.create_default_context)
