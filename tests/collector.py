"""An OTLP/HTTP collector that keeps what it is sent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from node.http import Request, Response, serve

KINDS = Span.SpanKind


@dataclass(frozen=True, slots=True)
class Seen:
    """One span as it arrived; ids in hex, "" for no parent."""

    service: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    failed: bool
    attributes: dict[str, Any]


@dataclass
class Collector:
    """A running one."""

    url: str = ""
    spans: list[Seen] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def handle(self, request: Request) -> Response:
        if request.path != b"/v1/traces":
            return Response(404)
        self.bodies.append(request.body)
        for resource in ExportTraceServiceRequest.FromString(request.body).resource_spans:
            service = _attributes(resource.resource)["service.name"]
            for scope in resource.scope_spans:
                self.spans += [_see(service, each) for each in scope.spans]
        return Response(200, b"", (), b"application/x-protobuf")

    def named(self, name: str) -> Seen:
        """The one span of a name."""
        (found,) = [each for each in self.spans if each.name == name]
        return found


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A collector on a free port."""
    collector = Collector()
    server = await serve(collector.handle)
    collector.url = f"http://127.0.0.1:{server.port}"
    try:
        yield collector
    finally:
        await server.close(1)


def _see(service: str, span: Span) -> Seen:
    return Seen(
        service=service,
        name=span.name,
        kind=KINDS.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        failed=span.status.code == 2,
        attributes=_attributes(span),
    )


def _attributes(holder: Any) -> dict[str, Any]:
    return {
        each.key: getattr(each.value, str(each.value.WhichOneof("value")))
        for each in holder.attributes
    }
