"""Errors of the HTTP chassis, split first by whose side of the wire they belong to.

HttpError
├── HttpServerError
│   ├── ClientDisconnected   the peer left; stop working for it
│   └── RequestRefused       a handler's short way to an error answer
└── HttpClientError
    ├── ConnectFailed        no byte was sent; trying elsewhere is safe
    │   └── AddressRefused   the name resolves to an address we do not talk to
    ├── TimedOut             a deadline passed; `phase` says which
    ├── BadResponse          the peer does not speak HTTP/1.1 as we demand it
    │   └── TooLarge         the answer exceeds a limit of ours
    └── ClosedEarly          the connection ended before the answer did
"""

from __future__ import annotations


class HttpError(Exception):
    """Anything that goes wrong on a wire of ours."""


class HttpServerError(HttpError):
    """Raised on the serving side."""


class ClientDisconnected(HttpServerError):
    """The client closed its connection, or stopped reading for too long."""


class RequestRefused(HttpServerError):
    """Raised by a handler to answer `status` with `body` and nothing else."""

    def __init__(self, status: int, body: bytes = b"", content_type: bytes = b"text/plain") -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.content_type = content_type


class HttpClientError(HttpError):
    """Raised on the calling side."""


class ConnectFailed(HttpClientError):
    """No connection came about, so nothing was sent."""


class BadUrl(ConnectFailed, ValueError):
    """Not an absolute http(s) URL without credentials; strangers list such URLs too."""


class AddressRefused(ConnectFailed):
    """Every address the host resolves to is one the caller's guard refuses."""


class TimedOut(HttpClientError):
    """A deadline passed in `phase`: "connect", "first_byte", "read" or "total"."""

    def __init__(self, phase: str) -> None:
        super().__init__(f"timed out: {phase}")
        self.phase = phase


class BadResponse(HttpClientError):
    """The answer is not one well-formed, delimited HTTP/1.1 message."""


class TooLarge(BadResponse):
    """The answer's head or body exceeds the caller's limit."""


class ClosedEarly(HttpClientError):
    """The peer closed before the answer was whole; `received` tells whether any byte of it came."""

    def __init__(self, received: bool) -> None:
        super().__init__("connection closed " + ("mid-answer" if received else "before any answer"))
        self.received = received
