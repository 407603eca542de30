"""The relays that are being served: one exchange with an engine each, and what was signed.

Whoever leaves stops the engine at once, and what had been sent by then is signed.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

from node.http import ClientPool, Request, Response, StreamWriter
from node.traces import NO_TRACES, Traces
from relay_mining import Hash32
from supplier.metrics import Metrics
from supplier.mining.books import Books
from supplier.server.exchange import Exchange
from supplier.server.serving import OpenRelay, Outcome, Signed, SignOff
from supplier.server.stations import Stations
from supplier.server.tracing import RelaySpans
from supplier.server.usage import Usage

FINISHED_KEPT_MAX = 4096


class RelayServer:
    """Runs admitted relays against the engines."""

    def __init__(
        self, pool: ClientPool, stations: Stations, sign_off: SignOff, books: Books,
        metrics: Metrics, clock: Callable[[], float] = time.monotonic, traces: Traces = NO_TRACES,
    ) -> None:  # fmt: skip
        self.pool = pool
        self.stations = stations
        self.sign_off = sign_off
        self.books = books
        self.metrics = metrics
        self.traces = traces
        self.clock = clock
        """Seconds that only ever go forward: receipts are due by it."""
        self.open: dict[Hash32, OpenRelay] = {}
        self.finished: OrderedDict[Hash32, tuple[OpenRelay, Signed]] = OrderedDict()
        """The last signed responses, for a gateway that lost its connection before it had one."""

    async def serve(
        self, request: Request, open_relay: OpenRelay, is_stream: bool
    ) -> Response | StreamWriter:
        """The answer to an admitted relay; whatever happens, its reservation is resolved."""
        request_hash = open_relay.relay.request_hash
        self.open[request_hash] = open_relay
        self.metrics.open_relays.inc()
        spans = RelaySpans(self.traces, request)
        run = Exchange(self, request, open_relay, spans)
        open_relay.task = asyncio.create_task(run.stream() if is_stream else run.plain())
        request.disconnected.add_done_callback(lambda _: open_relay.stop())
        try:
            await asyncio.wait({open_relay.task})
            return await run.finish()
        finally:
            open_relay.let_go()
            del self.open[request_hash]
            self.sign_off.abandon(open_relay)
            self.metrics.open_relays.dec()
            spans.end()
            open_relay.ended.set()

    def sign(self, open_relay: OpenRelay, outcome: Outcome, body_hash: Hash32) -> Signed:
        """Sign a relay off and remember what was signed."""
        signed = self.sign_off.sign(open_relay, outcome, body_hash)
        self.finished[open_relay.relay.request_hash] = (open_relay, signed)
        if len(self.finished) > FINISHED_KEPT_MAX:
            self.finished.popitem(last=False)
        self.metrics.relays.labels(outcome.status.name.lower()).inc()
        self.metrics.count("served", signed.added, open_relay.book.facts.terms.price)
        return signed

    def sign_part(self, open_relay: OpenRelay, tokens: Usage, body_hash: Hash32) -> Signed:
        """Sign a stream as far as it has come."""
        signed = self.sign_off.sign_part(open_relay, tokens, body_hash)
        self.metrics.count("served", signed.added, open_relay.book.facts.terms.price)
        return signed

    def delivered(self, open_relay: OpenRelay, signed: Signed) -> None:
        """The gateway has a signed response: its receipt is due from now on."""
        self.books.delivered(open_relay.book, open_relay.relay, signed.digest, self.clock())
