"""Refusals as OpenAI's clients parse them."""

from typing import Any

import orjson

from node.http import Response
from supplier.engines.embedded.errors import OverloadedError, RequestError

__all__ = ["error_body", "error_response", "refuse"]

RETRY_HEADERS = ((b"retry-after", b"1"),)


def error_body(
    message: str, kind: str, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """Return `{"error": {message, type, param, code}}`."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def error_response(status: int, message: str, kind: str) -> Response:
    """Return an answer that names no parameter."""
    return Response(status, orjson.dumps(error_body(message, kind)))


def refuse(error: RequestError) -> Response:
    """Return what a refused request is answered."""
    body = orjson.dumps(error_body(error.message, error.kind, error.param, error.code))
    headers = RETRY_HEADERS if isinstance(error, OverloadedError) else ()
    return Response(error.status, body, headers)
