"""Spans over OTLP/HTTP, by OpenTelemetry's own SDK; imported only where a collector is named."""

import threading
from importlib.metadata import version
from types import TracebackType

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from node.http import HeaderList
from node.traces import TRACEPARENT, Attributes, Kind, Span, TelemetrySettings

QUEUE_MAX = 4096
BATCH_MAX = 512
SEND_EVERY_MS = 1_000
SEND_S_MAX = 3.0
KINDS = {
    Kind.SERVER: trace.SpanKind.SERVER,
    Kind.CLIENT: trace.SpanKind.CLIENT,
    Kind.INTERNAL: trace.SpanKind.INTERNAL,
}
PROPAGATOR = TraceContextTextMapPropagator()


class OtlpTraces:
    """Records spans and sends them in batches, off the request path."""

    def __init__(self, settings: TelemetrySettings, service: str) -> None:
        resource = Resource({"service.name": service, "service.version": version("lode")})
        self._provider = TracerProvider(
            sampler=TraceIdRatioBased(settings.sampled_share),
            resource=resource,
            shutdown_on_exit=False,
        )
        url = settings.otlp_endpoint.rstrip("/") + "/v1/traces"
        self._exporter = OTLPSpanExporter(url, timeout=SEND_S_MAX)
        self._provider.add_span_processor(
            BatchSpanProcessor(
                self._exporter,
                max_queue_size=QUEUE_MAX,
                max_export_batch_size=BATCH_MAX,
                schedule_delay_millis=SEND_EVERY_MS,
            )
        )
        self._tracer = self._provider.get_tracer("lode")

    def begin(self, name: str, kind: Kind, traceparent: bytes | None = None) -> Span:
        """A span of its own, or a part of the caller's; a header that does not parse is none."""
        carrier = {"traceparent": traceparent.decode("latin-1")} if traceparent else {}
        parent = PROPAGATOR.extract(carrier, Context())
        return _OtlpSpan(self._tracer, self._tracer.start_span(name, parent, KINDS[kind]))

    def close(self) -> None:
        """Send what is queued, waiting a few seconds at most; blocks.

        A collector that does not answer is given up on; the SDK by itself would wait half a minute.
        """
        give_up = threading.Timer(SEND_S_MAX, self._exporter.shutdown)
        give_up.start()
        self._provider.shutdown()
        give_up.cancel()


class _OtlpSpan:
    """One span of the SDK."""

    __slots__ = ("_span", "_tracer")

    def __init__(self, tracer: trace.Tracer, span: trace.Span) -> None:
        self._tracer = tracer
        self._span = span

    @property
    def headers(self) -> HeaderList:
        carrier: dict[str, str] = {}
        PROPAGATOR.inject(carrier, trace.set_span_in_context(self._span, Context()))
        return ((TRACEPARENT, carrier["traceparent"].encode("latin-1")),)

    @property
    def is_recorded(self) -> bool:
        return self._span.is_recording()

    def child(self, name: str, kind: Kind = Kind.INTERNAL) -> Span:
        parent = trace.set_span_in_context(self._span, Context())
        return _OtlpSpan(self._tracer, self._tracer.start_span(name, parent, KINDS[kind]))

    def set(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    def fail(self, error_type: str) -> None:
        self._span.set_attribute("error.type", error_type)
        self._span.set_status(trace.StatusCode.ERROR)

    def end(self) -> None:
        if self._span.is_recording():
            self._span.end()

    def __enter__(self) -> Span:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.fail(kind.__name__)
        self.end()
