"""What a client asks of a new batch, and the document that the batch begins with."""

from typing import Any

from gateway.api.batch_documents import Document
from gateway.api.batch_lines import ENDPOINTS
from gateway.api.body import RequestLimits, parse_object
from gateway.api.checks import is_metadata
from gateway.errors import InvalidParameterError
from gateway.routing.relaying import PRICE_HEADER, Call, read_price_cap

WINDOW, WINDOW_S = "24h", 86_400
NAME_CHARS_MAX = 64
"""Of a name in `metadata`."""


def read_batch(call: Call) -> Document:
    """The members of a document that its client decides; raises InvalidParameterError."""
    asked = parse_object(call.body, RequestLimits())
    file_id, endpoint = asked.get("input_file_id"), asked.get("endpoint")
    metadata, cap = asked.get("metadata"), read_price_cap(call.headers)
    if not isinstance(endpoint, str) or endpoint not in ENDPOINTS:
        raise InvalidParameterError(
            "endpoint must be one of " + ", ".join(ENDPOINTS), param="endpoint"
        )
    if asked.get("completion_window") != WINDOW:
        raise InvalidParameterError(
            f"completion_window must be {WINDOW}", param="completion_window"
        )
    if not isinstance(file_id, str):
        raise InvalidParameterError("input_file_id must be a file's", param="input_file_id")
    if metadata is not None and not _is_short(metadata):
        raise InvalidParameterError(
            f"metadata must be at most 16 short strings by names of up to {NAME_CHARS_MAX} "
            "characters", param="metadata"
        )  # fmt: skip
    return {
        "endpoint": endpoint, "input_file_id": file_id, "completion_window": WINDOW,
        "metadata": metadata, PRICE_HEADER.decode(): None if cap is None else str(cap),
    }  # fmt: skip


def _is_short(metadata: Any) -> bool:
    return is_metadata(metadata) and max(map(len, metadata), default=0) <= NAME_CHARS_MAX


def begin_document(asked: Document, name: str, key_id: str, total: int, now: int) -> Document:
    """The document of a batch of `total` lines that begins at `now`, in Unix seconds."""
    return {
        **asked, "id": name, "object": "batch", "status": "in_progress",
        "created_at": now, "in_progress_at": now, "expires_at": now + WINDOW_S,
        "output_file_id": None, "error_file_id": None,
        "request_counts": {"total": total, "completed": 0, "failed": 0}, "key": key_id,
    }  # fmt: skip
