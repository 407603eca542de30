"""A request's body as bytes and as JSON: bounded, parsed once, spliced and never re-encoded."""

from dataclasses import dataclass
from typing import Any

import orjson

from gateway.errors import BodyTooLargeError, MalformedBodyError
from node.nesting import is_deeper

WHITESPACE = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Bounds on one request; sizes in bytes."""

    body_bytes_max: int = 10 << 20
    depth_max: int = 32
    choices_max: int = 5
    messages_max: int = 2048
    inputs_max: int = 2048
    """Texts that one request may have embedded."""


def parse_object(body: bytes, limits: RequestLimits) -> dict[str, Any]:
    """The JSON object a body holds, refused by size, depth and form (RequestError)."""
    if len(body) > limits.body_bytes_max:
        raise BodyTooLargeError(f"the body exceeds {limits.body_bytes_max} bytes")
    try:
        members = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedBodyError(f"the body is not JSON: {error}") from error
    if not isinstance(members, dict):
        raise MalformedBodyError("the body is not a JSON object")
    depth_max = limits.depth_max
    if body.count(b"[") + body.count(b"{") > depth_max and is_deeper(members, depth_max):
        raise MalformedBodyError(f"the body is nested deeper than {depth_max} levels")
    return members


def splice(body: bytes, additions: bytes) -> bytes:
    """`body` with `additions` (`,"name":value...`) before the brace that ends it."""
    if not additions:
        return body
    head = body.rstrip(WHITESPACE)[:-1]
    if head.rstrip(WHITESPACE).endswith(b"{"):
        additions = additions[1:]
    return b"".join((head, additions, b"}"))
