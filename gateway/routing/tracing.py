"""The spans of a request and of its tries, in OpenTelemetry's words for generative models.

A request is a server's span, a part of the client's trace where it sends a `traceparent`; each try
is a client's span below it, and the supplier's are below that. Nothing of a prompt or an answer is
in them.
"""

from gateway.api.openai import Endpoint, OpenAIRequest
from gateway.books.lines import show_request
from gateway.routing.observation import Observation
from gateway.routing.relay import Relay
from node.http import Headers
from node.traces import NO_SPAN, NO_TRACES, TRACEPARENT, Attribute, Kind, Span, Traces

OPERATIONS = {
    Endpoint.CHAT: "chat",
    Endpoint.COMPLETIONS: "text_completion",
    Endpoint.EMBEDDINGS: "embeddings",
    Endpoint.EDGE: "edge",
}
PROVIDER = "lode"


def begin_request(traces: Traces, request: bytes, headers: Headers, asked: OpenAIRequest) -> Span:
    """The span of a client's request; costs a comparison where nothing is traced."""
    if traces is NO_TRACES:
        return NO_SPAN
    operation = OPERATIONS[asked.endpoint]
    name = f"{operation} {asked.model}"
    span = traces.begin(name, Kind.SERVER, headers.get(TRACEPARENT))
    attributes: dict[str, Attribute] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": asked.model,
        "gen_ai.request.choice.count": asked.choices,
        "lode.request.id": show_request(request),
        "lode.request.stream": asked.is_stream,
    }
    if asked.output_tokens_max is not None:
        attributes["gen_ai.request.max_tokens"] = asked.output_tokens_max
    span.set(attributes)
    return span


def begin_try(relay: Relay) -> Span:
    """The span of one supplier's turn."""
    if relay.span is NO_SPAN:
        return NO_SPAN
    operation = OPERATIONS[relay.request.endpoint]
    return relay.span.child(f"{operation} {relay.request.model}", Kind.CLIENT)


def end_try(span: Span, seen: Observation) -> None:
    """End a try's span with what was observed of it."""
    if span is NO_SPAN:
        return
    if span.is_recorded:
        span.set(
            {
                "gen_ai.provider.name": PROVIDER,
                "gen_ai.request.model": seen.model,
                "gen_ai.response.model": seen.model,
                "gen_ai.usage.input_tokens": seen.input_tokens,
                "gen_ai.usage.output_tokens": seen.output_tokens,
                "lode.supplier": "0x" + seen.supplier.hex(),
                "lode.session": seen.session.number,
                "lode.units": seen.units,
                "lode.price": seen.price,
                "lode.result": seen.result.value,
                "lode.chosen_by": seen.chosen_by,
            }
        )
        if seen.first_byte_s is not None:
            span.set({"gen_ai.response.time_to_first_chunk": seen.first_byte_s})
    if seen.result.is_fault or not seen.is_answer:
        span.fail(seen.result.value)
    span.end()
