"""Asking a server to switch protocols, and the socket once it has."""

from __future__ import annotations

import asyncio
import ssl as tls
from typing import cast

import httptools

from node.http.client import parse_url
from node.http.connector import AddressFilter, Connector
from node.http.errors import BadResponse, ClosedEarly, HttpClientError, TimedOut, TooLarge
from node.http.messages import HeaderList, Headers, encode_fields

HEAD_BYTES_MAX = 16 << 10
BODY_BYTES_MAX = 64 << 10
BUFFER_BYTES_MAX = 64 << 10


class UpgradeRefused(HttpClientError):
    """The server answered something else than 101: `status` and `body`."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.body = body


class Upgraded(asyncio.Protocol):
    """A socket on the way to another protocol: the server's answer, then plain bytes."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.headers = Headers()
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._fields: list[tuple[bytes, bytes]] = []
        self._body = bytearray()
        self._buffer = bytearray()
        self._received = 0
        self._is_whole = False
        self._error: HttpClientError | None = None
        self._wake: asyncio.Future[None] | None = None

    async def read_answer(self) -> None:
        """Wait for the head of a 101; raises UpgradeRefused or what is wrong with the answer."""
        while self._parser is not None:
            if self._is_whole:
                raise UpgradeRefused(self._parser.get_status_code(), bytes(self._body))
            await self._more()

    async def read(self, count: int) -> bytes:
        """The next `count` bytes behind the answer; raises HttpClientError."""
        while len(self._buffer) < count:
            await self._more()
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def take_rest(self) -> bytes:
        """What has come and was not read."""
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    # -- transport events ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Parse the answer; keep what follows it."""
        self._received += len(data)
        if self._parser is None:
            self._keep(data)
        else:
            self._parse(data, self._parser)
        self._notify()

    def connection_lost(self, error: Exception | None) -> None:
        """Fail whoever waits."""
        self._fail(ClosedEarly(self._received > 0))

    # -- parser events ---------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header."""
        self._fields.append((name.lower(), value))

    def on_body(self, data: bytes) -> None:
        """Collect the reason of a refusal."""
        self._body += data

    def on_message_complete(self) -> None:
        """The answer is whole."""
        self._is_whole = True

    # -- inside ----------------------------------------------------------------------------

    def _parse(self, data: bytes, parser: httptools.HttpResponseParser) -> None:
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade as switch:
            if parser.get_status_code() != 101:
                self._fail(BadResponse("it switches protocols with another status"))
                return
            self.headers = Headers(self._fields)
            self._parser = None
            self._keep(data[switch.args[0] :])
        except httptools.HttpParserError as error:
            self._fail(BadResponse(str(error)))
        else:
            if self._received > HEAD_BYTES_MAX + BODY_BYTES_MAX:
                self._fail(TooLarge("answer to an upgrade"))

    def _keep(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > BUFFER_BYTES_MAX:
            self.transport.pause_reading()  # whoever takes the socket over reads on

    def _fail(self, error: HttpClientError) -> None:
        if self._error is None:
            self._error = error
            self.transport.abort()
        self._notify()

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _more(self) -> None:
        if self._error is not None:
            raise self._error
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None


async def open_upgrade(
    url: str, protocol: bytes, headers: HeaderList, timeout_s: float,
    ssl: tls.SSLContext | None = None, allow_address: AddressFilter | None = None,
) -> Upgraded:  # fmt: skip
    """A connection to `url` whose server has switched to `protocol`; raises HttpClientError."""
    origin, target, host = parse_url(url)
    connector = Connector(origin, ssl if origin.tls else None, allow_address)
    request = b"GET %b HTTP/1.1\r\nhost: %b\r\nconnection: upgrade\r\nupgrade: %b\r\n%b\r\n" % (
        target, host, protocol, encode_fields(headers),
    )  # fmt: skip
    try:
        async with asyncio.timeout(timeout_s):
            upgraded = await connector.connect(Upgraded)
            try:
                upgraded.transport.write(request)
                await upgraded.read_answer()
            except BaseException:
                upgraded.transport.abort()
                raise
            return upgraded
    except TimeoutError:
        raise TimedOut("total") from None
