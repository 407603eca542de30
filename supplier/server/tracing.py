"""The spans of one relay, with OpenTelemetry's names for generative AI; never what was said.

`relay` is the whole, a part of the gateway's span; `queue` the wait for a place at an engine, and
`chat MODEL` the call to it, one for each engine that was asked.
"""

from node.http import HeaderList, Request
from node.traces import NO_SPAN, TRACEPARENT, Kind, Span, Traces
from relay_mining import Status
from supplier.server.serving import OpenRelay, Outcome, Signed
from supplier.server.usage import CHAT_PATH, COMPLETIONS_PATH, EDGE_PATH, EMBEDDINGS_PATH

OPERATIONS = {
    CHAT_PATH: "chat",
    COMPLETIONS_PATH: "text_completion",
    EMBEDDINGS_PATH: "embeddings",
    EDGE_PATH: "edge",
}
WELL = frozenset({Status.OK, Status.LENGTH, Status.PARTIAL, Status.CLIENT_ABORT})


class RelaySpans:
    """Begins and ends them; where nothing is recorded it does nothing."""

    __slots__ = ("_call", "_operation", "_relay")

    def __init__(self, traces: Traces, request: Request) -> None:
        self._relay = traces.begin("relay", Kind.SERVER, request.headers.get(TRACEPARENT))
        self._operation = OPERATIONS[request.path.decode("latin-1")]
        self._call = NO_SPAN

    def wait(self) -> Span:
        """Begin to wait for a place."""
        return self._relay.child("queue")

    def call(self, model: str, engine: str) -> HeaderList:
        """Begin to ask an engine; returns what its request carries for spans of its own."""
        self._call.end()
        self._call = self._relay.child(f"{self._operation} {model}", Kind.CLIENT)
        if self._call.is_recorded:
            named = {"gen_ai.operation.name": self._operation, "gen_ai.request.model": model}
            self._call.set({**named, "lode.engine": engine})
            self._relay.set(named)
        return self._call.headers

    def broken(self, error: Exception) -> None:
        """Note that the engine failed."""
        self._call.fail(type(error).__name__)
        self._call.end()

    def signed(self, open_relay: OpenRelay, outcome: Outcome, signed: Signed) -> None:
        """Note what came of the relay."""
        if not self._relay.is_recorded:
            return
        usage = {
            "gen_ai.usage.input_tokens": outcome.tokens.input,
            "gen_ai.usage.cache_read.input_tokens": outcome.tokens.cached,
            "gen_ai.usage.output_tokens": outcome.tokens.output,
        }
        self._call.set(usage)
        self._relay.set(usage)
        self._relay.set(
            {
                "lode.session": open_relay.book.key.number,
                "lode.service": "0x" + open_relay.book.key.service.hex(),
                "lode.priority": open_relay.priority.name.lower(),
                "lode.status": outcome.status.name.lower(),
                "lode.units": signed.message.response.units,
            }
        )
        if outcome.status not in WELL:
            self._relay.fail(outcome.status.name.lower())

    def end(self) -> None:
        """End what is open."""
        self._call.end()
        self._relay.end()
