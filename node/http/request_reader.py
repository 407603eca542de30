"""Parse requests strictly, without a socket: bytes in, whole requests or refusals out.

llhttp refuses bare line feeds, folded headers, repeated or malformed lengths, Content-Length
beside Transfer-Encoding, and control characters. What it leaves open is checked here.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import IntEnum

import httptools

from node.http.limits import Limits
from node.http.messages import Headers
from relay_mining import value_class

CHUNK_OVERHEAD_MAX = 8  # framing bytes a client may spend per body byte ("1\r\nx\r\n" spends 5)


class Phase(IntEnum):
    """Where the reading of a connection stands."""

    IDLE = 0  # between requests
    HEAD = 1
    BODY = 2
    DEAF = 3  # nothing more is parsed


_IDLE, _HEAD, _BODY, _DEAF = Phase  # through the class each look costs a tenth of a microsecond


@value_class
class ParsedRequest:
    """A whole request as it came."""

    method: bytes
    target: bytes
    headers: Headers
    body: bytes
    speaks_1_1: bool
    keep_alive: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """The status that answers what cannot be a request; nothing after it is read."""

    status: int


class _Refuse(Exception):
    """Carries a status out of a parser callback."""


class RequestReader:
    """Feed it what a socket gives; `ready` fills with requests, at last perhaps a Refusal."""

    def __init__(self, limits: Limits) -> None:
        self.phase = _IDLE
        self.ready: deque[ParsedRequest | Refusal] = deque()
        self.completed = 0
        self.wants_continue = False
        self._limits = limits
        self._parser = httptools.HttpRequestParser(self)
        self._feeding = 0
        self._raw = 0
        self._begin()

    def feed(self, data: bytes) -> None:
        """Parse `data`; after a refusal, or a request that asked to close, it is ignored."""
        if self.phase is _DEAF:
            return
        if self.phase is _IDLE:
            self.phase = _HEAD
            self._raw = 0
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

    def stop(self) -> None:
        """Ignore whatever still comes."""
        self.phase = _DEAF

    def release(self) -> None:
        """Let go of the parser, which holds this reader: else both wait for the collector."""
        self.stop()
        del self._parser

    # -- parser events ---------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Start a request; the bytes before it in this read are not its own."""
        if self.phase is _IDLE:
            self.phase = _HEAD
            self._raw = -self._feeding

    def on_url(self, url: bytes) -> None:
        """Collect the request target."""
        self._target += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header; trailers count against the limit and are dropped."""
        if self.phase is _HEAD:
            self._headers.append((name.lower(), value))
        else:
            self._trailers += 1
        self._count_head(len(name) + len(value) + 4)

    def on_headers_complete(self) -> None:
        """Refuse early what need not be read."""
        headers = Headers(self._headers)
        version = self._parser.get_http_version()
        if version not in ("1.0", "1.1"):
            raise _Refuse(400)
        self._check_head(headers, version == "1.1")
        self.phase = _BODY
        self.wants_continue = version == "1.1" and b"expect" in headers

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
        speaks_1_1 = self._parser.get_http_version() == "1.1"
        keep = speaks_1_1 and self._parser.should_keep_alive() and not self._parser.should_upgrade()
        headers = Headers(self._headers)
        method = self._parser.get_method()
        self.ready.append(
            ParsedRequest(method, self._target, headers, body, speaks_1_1, keep_alive=keep)
        )
        self.completed += 1
        self.phase = _IDLE if keep else _DEAF
        self._begin()

    # -- inside ----------------------------------------------------------------------------

    def _begin(self) -> None:
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._size = self._head_bytes = self._trailers = 0
        self.wants_continue = False

    def _count_head(self, count: int) -> None:
        self._head_bytes += count
        fields = len(self._headers) + self._trailers
        limits = self._limits
        if self._head_bytes > limits.header_bytes_max or fields > limits.header_count_max:
            raise _Refuse(431)

    def _check_head(self, headers: Headers, speaks_1_1: bool) -> None:
        if self._parser.should_upgrade() and not self._may_upgrade(headers):
            raise _Refuse(501)
        if not _is_origin_form(self._target, self._parser.get_method()):
            raise _Refuse(400)
        if speaks_1_1 and len(headers.get_all(b"host")) != 1:
            raise _Refuse(400)
        coding = headers.get(b"transfer-encoding")
        if coding is not None and (not speaks_1_1 or b"content-length" in headers):
            raise _Refuse(400)
        if coding is not None and coding.lower() != b"chunked":
            raise _Refuse(501)
        if int(headers.get(b"content-length") or b"0") > self._limits.body_bytes_max:
            raise _Refuse(413)
        if (headers.get(b"expect") or b"100-continue").lower() != b"100-continue":
            raise _Refuse(417)

    def _may_upgrade(self, headers: Headers) -> bool:
        asked = headers.get_all(b"upgrade")
        is_bare = b"content-length" not in headers and b"transfer-encoding" not in headers
        return is_bare and self._parser.get_method() == b"GET" and asked == [self._limits.upgrade]

    def _check_framing(self) -> None:
        # What llhttp buffers or skips without telling: an endless header, chunk extensions.
        spare = self._limits.header_bytes_max
        if self.phase is _HEAD and self._raw > spare:
            raise _Refuse(431)
        allowed = self._size * (1 + CHUNK_OVERHEAD_MAX) + 2 * spare
        if self.phase is _BODY and self._raw > allowed:
            raise _Refuse(400)

    def _give_up(self, status: int) -> None:
        # Bytes after a `Connection: close` request are an error of nobody's request.
        if self.phase is not _DEAF:
            self.phase = _DEAF
            self.ready.append(Refusal(status))


def _is_origin_form(target: bytes, method: bytes) -> bool:
    if b"#" in target:
        return False
    return target.startswith(b"/") or (target == b"*" and method == b"OPTIONS")
