"""Spans of what a node does, for an OpenTelemetry collector; nothing where none is named.

Spans carry names, counts and outcomes, never prompts, answers, keys or addresses of clients. They
are queued in memory, and sent by a thread of their own; what the queue has no room for is dropped.
A node decides by itself which traces it records, whatever a caller's `traceparent` says of that.
"""

from collections.abc import Mapping
from enum import Enum
from types import TracebackType
from typing import Protocol

from pydantic import BaseModel, Field

from node.errors import OperatorError
from node.http import HeaderList

TRACEPARENT = b"traceparent"
Attribute = str | int | float | bool
Attributes = Mapping[str, Attribute]


class TelemetrySettings(BaseModel):
    """Where spans are sent to, and of how many requests."""

    otlp_endpoint: str = Field(
        default="",
        description="base URL of an OTLP/HTTP collector, as http://127.0.0.1:4318; unset: no spans",
    )
    sampled_share: float = Field(
        default=1.0, ge=0, le=1, description="part of the traces that is recorded, drawn by trace"
    )


class Kind(Enum):
    """A span's part in a call."""

    SERVER = "server"
    CLIENT = "client"
    INTERNAL = "internal"


class Span(Protocol):
    """Something that takes time; ends once, and at the latest with its `with` block."""

    @property
    def headers(self) -> HeaderList:
        """What to send along with a call, so that its spans are this one's children."""
        ...

    @property
    def is_recorded(self) -> bool:
        """Whether anybody will see it: attributes that cost something are for those only."""
        ...

    def child(self, name: str, kind: Kind = Kind.INTERNAL) -> "Span":
        """Begin a part of it."""
        ...

    def set(self, attributes: Attributes) -> None:
        """Add attributes."""
        ...

    def fail(self, error_type: str) -> None:
        """Mark it failed; `error_type` is a class or a code, never a message."""
        ...

    def end(self) -> None:
        """End it; a second time does nothing."""
        ...

    def __enter__(self) -> "Span":
        """Return itself."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it, failed where an exception leaves the block."""
        ...


class _NoSpan:
    """The span of whoever records nothing."""

    __slots__ = ()
    headers: HeaderList = ()
    is_recorded = False

    def child(self, name: str, kind: Kind = Kind.INTERNAL) -> Span:
        return self

    def set(self, attributes: Attributes) -> None: ...

    def fail(self, error_type: str) -> None: ...

    def end(self) -> None: ...

    def __enter__(self) -> Span:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


NO_SPAN: Span = _NoSpan()


class Traces(Protocol):
    """Begins the spans of one process."""

    def begin(self, name: str, kind: Kind, traceparent: bytes | None = None) -> Span:
        """A span of its own, or a part of the caller's that the header names."""
        ...

    def close(self) -> None:
        """Send what is queued, waiting a few seconds at most; blocks."""
        ...


class _NoTraces:
    """Records nothing."""

    __slots__ = ()

    def begin(self, name: str, kind: Kind, traceparent: bytes | None = None) -> Span:
        return NO_SPAN

    def close(self) -> None: ...


NO_TRACES: Traces = _NoTraces()


def open_traces(settings: TelemetrySettings, service: str) -> Traces:
    """The traces of a process named `service`; raises OperatorError without the extra `traces`."""
    if not settings.otlp_endpoint:
        return NO_TRACES
    try:
        from node.otlp import OtlpTraces
    except ImportError as error:
        raise OperatorError(
            "telemetry.otlp_endpoint needs OpenTelemetry: pip install 'lode[traces]'"
        ) from error
    return OtlpTraces(settings, service)
