"""The lines of a batch: read from its input, answered, and kept in parts until all are."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.api.openai import Endpoint
from gateway.books.lines import show_request
from gateway.errors import (
    GatewayError,
    InvalidParameterError,
    RequestError,
    UpstreamInvalidError,
)
from node.nesting import is_deeper

LINES_MAX = 50_000
DEPTH_MAX = 64
"""Of a line: a request is allowed less, and one that is nested without end cannot be written."""
ENDPOINTS = {
    each.value.decode(): each for each in (Endpoint.CHAT, Endpoint.COMPLETIONS, Endpoint.EMBEDDINGS)
}
UNASKED = {
    "expired": (
        "batch_expired",
        "This request could not be executed before the completion window expired.",
    ),
    "cancelled": ("batch_cancelled", "The batch was cancelled before this request executed."),
}
"""What lines come to that a batch ended without, by how it ended: OpenAI's codes and words."""
_RESULT = re.compile(rb"(\d{1,5})\t([01])\t(.+)")
_BREAKS = bytes.maketrans(b"\r\n", b"  ")
"""JSON has line breaks between its tokens only, where spaces say the same."""


@dataclass(frozen=True, slots=True)
class BatchLine:
    """One request of a batch."""

    number: int
    custom_id: str
    body: bytes
    error: RequestError | None = None
    """Why it cannot be asked."""


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What a line came to: its JSON for the output file, or for the file of errors."""

    number: int
    is_error: bool
    line: bytes

    def encode(self) -> bytes:
        """The result as a line of a part."""
        return b"%d\t%d\t%b\n" % (self.number, self.is_error, self.line)


def read_results(part: bytes) -> Iterator[BatchResult]:
    """The results in a part; what is damaged is none, and its line asked again."""
    for each in part.split(b"\n")[:-1]:
        found = _RESULT.fullmatch(each)
        if found is not None:
            yield BatchResult(int(found[1]), found[2] == b"1", found[3])


def read_lines(data: bytes, endpoint: str) -> list[BatchLine]:
    """The requests of an input file; raises InvalidParameterError for one without or with too many.

    A line at fault is a request with an error, so that the others are answered.
    """
    lines = [each for each in data.split(b"\n") if each.strip()]
    if not 1 <= len(lines) <= LINES_MAX:
        raise InvalidParameterError(
            f"the input has {len(lines)} lines, not 1 to {LINES_MAX}", param="input_file_id"
        )
    seen: set[str] = set()
    return [_read_line(number, each, endpoint, seen) for number, each in enumerate(lines)]


def _read_line(number: int, line: bytes, endpoint: str, seen: set[str]) -> BatchLine:
    try:
        members: Any = orjson.loads(line)
    except orjson.JSONDecodeError:
        members = None
    custom_id = members.get("custom_id") if isinstance(members, dict) else None
    name = custom_id if isinstance(custom_id, str) else ""
    is_deep = line.count(b"[") + line.count(b"{") > DEPTH_MAX and is_deeper(members, DEPTH_MAX)
    if custom_id != name or not isinstance(members.get("body"), dict) or is_deep:
        return BatchLine(number, name, b"", InvalidParameterError(
            'a line is {"custom_id", "method": "POST", "url", "body": {...}}, nested at most '
            f"{DEPTH_MAX} levels", param="body",
        ))  # fmt: skip
    fault = None
    if custom_id in seen:
        fault = InvalidParameterError("another line has this custom_id", param="custom_id")
    elif (members.get("method"), members.get("url")) != ("POST", endpoint):
        fault = InvalidParameterError(f"this batch is of POST {endpoint}", param="url")
    elif members["body"].get("stream"):
        fault = InvalidParameterError("a batch is not streamed", param="stream")
    seen.add(custom_id)
    return BatchLine(number, custom_id, orjson.dumps(members["body"]), fault)


def write_answer(line: BatchLine, request: bytes, body: bytes) -> BatchResult:
    """The result of a line that was answered: the answer's bytes, with spaces for line breaks.

    An answer that is no JSON cannot be part of a line, and is an error.
    """
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        error = UpstreamInvalidError("the supplier's answer is no JSON")
        return write_failure(line, request, error)
    return BatchResult(line.number, False, _write(line, request, 200, body.translate(_BREAKS)))


def write_failure(line: BatchLine, request: bytes, error: GatewayError) -> BatchResult:
    """The result of a line that was refused or failed."""
    return BatchResult(line.number, True, _write(line, request, error.status, error.body()))


def write_unasked(line: BatchLine, batch: str, status: str) -> BatchResult:
    """The result of a line that a batch of one of the states `UNASKED` ended without."""
    code, message = UNASKED[status]
    said = {
        "id": f"{batch}_{line.number}", "custom_id": line.custom_id, "response": None,
        "error": {"code": code, "message": message},
    }  # fmt: skip
    return BatchResult(line.number, True, orjson.dumps(said))


def _write(line: BatchLine, request: bytes, status: int, body: bytes) -> bytes:
    name = show_request(request).encode()
    return (
        b'{"id":"batch_%b","custom_id":%b,"response":{"status_code":%d,"request_id":"%b",'
        b'"body":%b},"error":null}'
    ) % (name, orjson.dumps(line.custom_id), status, name, body)


def join_results(results: Sequence[BatchResult], *, is_error: bool) -> bytes:
    """A file of the results of one kind, in the order of the input."""
    kept = {each.number: each.line for each in results if each.is_error == is_error}
    return b"".join(kept[number] + b"\n" for number in sorted(kept))
