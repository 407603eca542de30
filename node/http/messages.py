"""The values both sides share: headers, answers, and the bytes of a response head."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from relay_mining import value_class

TYPE_JSON = b"application/json"
BODILESS = frozenset({204, 304})
HeaderList = Sequence[tuple[bytes, bytes]]


class Headers:
    """Header fields in the order they came, names in lower case."""

    __slots__ = ("_items",)

    def __init__(self, items: HeaderList = ()) -> None:
        self._items = items

    def get(self, name: bytes, default: bytes | None = None) -> bytes | None:
        """Return the first value under a lower-case name."""
        for key, value in self._items:
            if key == name:
                return value
        return default

    def get_all(self, name: bytes) -> list[bytes]:
        """Return every value under a lower-case name."""
        return [value for key, value in self._items if key == name]

    def __contains__(self, name: bytes) -> bool:
        return any(key == name for key, _ in self._items)

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        # Values carry bearer tokens and signatures: names only.
        return f"Headers({b', '.join(name for name, _ in self._items).decode('latin-1')})"


@value_class
class Response:
    """A whole answer; length, date and connection headers are the server's to add."""

    status: int = 200
    body: bytes = b""
    headers: HeaderList = ()
    content_type: bytes | None = TYPE_JSON


@dataclass(frozen=True, slots=True)
class Upgrade:
    """101: from now on the socket belongs to another protocol, which `make` returns."""

    protocol: bytes
    """What the request's Upgrade header names; the server's `Limits.upgrade` allows it."""
    make: Callable[[], asyncio.Protocol]
    headers: HeaderList = ()


@lru_cache(maxsize=128)
def encode_status_line(status: int) -> bytes:
    """Return `HTTP/1.1 <status> <reason>` with its line end."""
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = "Status"
    return f"HTTP/1.1 {status} {reason}\r\n".encode("ascii")


def encode_fields(headers: HeaderList) -> bytes:
    """Return header lines; a name or value that could break out of its line is a ValueError."""
    block = b"".join([b"%b: %b\r\n" % field for field in headers])
    lines = len(headers)
    if block.count(b"\n") != lines or block.count(b"\r") != lines or b"\0" in block:
        raise ValueError("line break or NUL in a header")
    return block


@lru_cache(maxsize=2)
def _encode_date(second: int) -> bytes:
    return f"date: {formatdate(second, usegmt=True)}\r\n".encode("ascii")


def encode_date() -> bytes:
    """Return this second's Date header line, formatted once a second."""
    return _encode_date(int(time.time()))


def encode_response(answer: Response, keep_alive: bool) -> bytes:
    """Return the head of a whole answer, its blank line included."""
    parts = [encode_status_line(answer.status), encode_date()]
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


def encode_upgrade(answer: Upgrade) -> bytes:
    """Return the head that switches protocols, its blank line included."""
    return b"%bupgrade: %b\r\nconnection: upgrade\r\n%b\r\n" % (
        encode_status_line(101), answer.protocol, encode_fields(answer.headers),
    )  # fmt: skip
