"""A question to a dashboard and its answer, without a web server: either shell can carry them."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

JSON = "application/json"
COUNT_DIGITS_MAX = 18
"""Of a count in a query; a longer one is more than anything here."""

SECURITY_HEADERS = (
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
)
"""On every answer: nothing from elsewhere is loaded, nothing of ours is framed, no text is code."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, as far as a dashboard looks at it; header names in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def cookie(self, name: str) -> str:
        """The value of a cookie; empty where there is none."""
        for part in self.headers.get("cookie", "").split(";"):
            key, _, value = part.strip().partition("=")
            if key == name:
                return value
        return ""

    def number(self, name: str, default: int, most: int) -> int:
        """A count in the query, brought between 0 and `most`; the default where it is none."""
        text = self.query.get(name, "")
        if not text.isascii() or not text.isdigit():
            return default
        return most if len(text) > COUNT_DIGITS_MAX else min(int(text), most)


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent back: a body, or a stream in its place."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    stream: AsyncIterator[bytes] | None = None
    on_end: Callable[[], None] | None = None
    """Called once the stream is over, even where it was never begun: whoever asked had left."""

    def all_headers(self) -> list[tuple[str, str]]:
        """Its own headers, the type, and those that every answer carries."""
        own = {name for name, _ in self.headers}
        cache = () if "cache-control" in own else (("cache-control", "no-store"),)
        return [("content-type", self.content_type), *self.headers, *cache, *SECURITY_HEADERS]


def reply_json(value: Any, status: int = 200) -> Reply:
    """A JSON document; money and units are decimal text in it, for they exceed a double."""
    return Reply(status, orjson.dumps(value))


def reply_error(status: int, message: str, code: str) -> Reply:
    """An error in the shape of the API's."""
    kind = "invalid_request_error" if status < 500 else "api_error"
    error = {"message": message, "type": kind, "param": None, "code": code}
    return reply_json({"error": error}, status)
