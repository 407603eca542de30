"""What the HTTP chassis refuses by itself, told as every other refusal is."""

import os

from gateway.api.body import RequestLimits
from gateway.books.lines import show_request
from gateway.errors import BodyTooLargeError
from node.errors import encode_error
from node.http import Response

CLIENTS, SERVERS = "invalid_request_error", "server_error"
UNREAD = ("invalid_http", CLIENTS, "this is not HTTP/1.1 as it is read here")
REFUSED = {
    408: ("request_timeout", CLIENTS, "the request did not come in time"),
    417: ("expectation_failed", CLIENTS, "nothing but 100-continue is to be expected"),
    431: ("headers_too_large", CLIENTS, "the path and headers are longer than those read here"),
    501: ("not_implemented", CLIENTS, "no such coding, method or upgrade is spoken here"),
    503: ("gateway_full", SERVERS, "no more connections are taken now; try again shortly"),
}
"""By the status: its code, whose fault it is, and why."""


def write_refusal(status: int, limits: RequestLimits) -> Response:
    """The answer to what never became a request; it has an id all the same."""
    code, kind, why = REFUSED.get(status, UNREAD)
    if status == BodyTooLargeError.status:
        code, why = BodyTooLargeError.code, f"the body exceeds {limits.body_bytes_max} bytes"
    named = (b"x-request-id", show_request(os.urandom(16)).encode())
    headers = (named, (b"retry-after", b"1")) if status == 503 else (named,)
    return Response(status, encode_error(why, kind, code), headers)
