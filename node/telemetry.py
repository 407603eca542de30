"""Logs as JSON lines without secrets, and metrics in the Prometheus text format.

Three nets catch a secret: exact values handed to `hide`, patterns (bearer tokens, API keys, a
32-byte hex string in free text), and field names that say so. A public 32-byte hash therefore
goes into a log as a field: `logger.info("claimed", extra={"claim": digest})`, digest as bytes.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from node.http.exchange import Request
from node.http.messages import Response

REDACTED = "[redacted]"
HIDDEN_LENGTH_MIN = 8
PATTERN = re.compile(
    r"(?i:\bbearer\s+)[^\s\"',;]+"
    r"|\bsk-[A-Za-z0-9_-]{8,}"
    r"|(?<![0-9A-Za-z])(?:0x)?[0-9a-fA-F]{64}(?![0-9A-Fa-f])"
)
SENSITIVE = re.compile(
    r"(?i)(^|_)(password|passphrase|private|secret|authorization|api_?key|mnemonic|token)($|_)"
)
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_hidden: set[str] = set()


def hide(secret: str) -> None:
    """Never let this exact text appear in a log line; shorter than 8 characters is ignored."""
    if len(secret) >= HIDDEN_LENGTH_MIN:
        _hidden.add(secret)


def redact(text: str) -> str:
    """Return `text` with every known or likely secret replaced."""
    for secret in tuple(_hidden):  # keys are also opened in other threads
        if secret in text:
            text = text.replace(secret, REDACTED)
    return PATTERN.sub(REDACTED, text)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, event, the record's extra fields, error."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, secrets out."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": redact(record.getMessage()),
        }
        for name, value in vars(record).items():
            if name not in STANDARD and name not in line:
                line[name] = REDACTED if SENSITIVE.search(name) else _plain(value)
        if record.exc_info:
            line["error"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=True)


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes):
        text = value.hex()
        return REDACTED if text in _hidden else "0x" + text
    if isinstance(value, Mapping):
        return {
            redact(str(k)): REDACTED if SENSITIVE.search(str(k)) else _plain(v)
            for k, v in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return redact(str(value))


def setup_logging(level: int | str = logging.INFO, stream: TextIO | None = None) -> None:
    """Have every logger of this process write JSON lines to `stream` (standard error).

    httpx stays quiet: it would write a line a question to the chain, endpoint URLs with keys in
    them included.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    logging.getLogger("httpx").setLevel(logging.WARNING)


def metrics_handler(registry: CollectorRegistry) -> Callable[[Request], Awaitable[Response]]:
    """Return a chassis handler that exposes `registry` on GET /metrics."""

    async def expose(request: Request) -> Response:
        if request.path != b"/metrics":
            return Response(404, b"not found", (), b"text/plain")
        if request.method not in (b"GET", b"HEAD"):
            return Response(405, b"", ((b"allow", b"GET, HEAD"),), None)
        return Response(200, generate_latest(registry), (), CONTENT_TYPE_LATEST.encode("ascii"))

    return expose
