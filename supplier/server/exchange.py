"""One exchange with the engine: the body goes there unchanged, the answer comes back signed.

A plain answer is parsed once and signed in a header. A stream is forwarded event by event as it
comes, hashed and counted on the way, and signed in a frame before its `[DONE]`; a long one in parts
(`supplier.server.parts`).
"""

import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from node.errors import encode_error
from node.http import (
    ClientDisconnected,
    ClientPool,
    ClientStream,
    HeaderList,
    HttpClientError,
    Request,
    Response,
    StreamWriter,
    TimedOut,
)
from relay_mining import BodyHasher, Hash32, Status, encode_response_header, encode_stream_frame
from supplier.errors import BusyError, EngineTimeoutError, EngineUnavailableError
from supplier.metrics import Metrics
from supplier.mining.books import Books
from supplier.server.parts import Parts
from supplier.server.serving import NOTHING, OpenRelay, Outcome, Signed
from supplier.server.stations import Station, Stations
from supplier.server.tracing import RelaySpans
from supplier.server.usage import (
    EngineAnswerError,
    StreamMeter,
    Usage,
    read_answer,
    set_priority,
    split_events,
)

RESPONSE_HEADER = b"lode-response"
DONE = b"data: [DONE]\n\n"
JSON = (b"content-type", b"application/json")
ABORTED_STATUS = 499


class Host(Protocol):
    """What an exchange needs of the server that runs it."""

    pool: ClientPool
    stations: Stations
    books: Books
    metrics: Metrics
    clock: Callable[[], float]

    def sign(self, open_relay: OpenRelay, outcome: Outcome, body_hash: Hash32) -> Signed:
        """Sign a relay off."""
        ...

    def sign_part(self, open_relay: OpenRelay, tokens: Usage, body_hash: Hash32) -> Signed:
        """Sign a stream as far as it has come."""
        ...

    def delivered(self, open_relay: OpenRelay, signed: Signed) -> None:
        """Take note that the gateway has a signed response."""
        ...


class Exchange:
    """One relay at the engine, and what came of it."""

    def __init__(
        self, server: Host, request: Request, open_relay: OpenRelay, spans: RelaySpans
    ) -> None:
        self._server = server
        self._spans = spans
        self._request = request
        self._relay = open_relay
        self._weights = open_relay.book.facts.weights
        self._meter = StreamMeter(self._weights, open_relay.prompt_tokens)
        self._hasher = BodyHasher()
        self._parts = Parts(open_relay, server.books, server.clock)
        self._writer: StreamWriter | None = None
        self._answer: tuple[int, bytes] | None = None
        self._failure: Exception | None = None
        self._is_cut = False
        self._is_refused = False
        """Whether a receipt was overdue, so that there is no credit to go on."""
        self._sent = NOTHING
        self._headers: HeaderList = (JSON,)
        self._tried: list[Station] = []
        """The engines that it was at, the last one last."""
        self._engine_s = 0.0
        """How long the engine took, its turn not waited for."""
        self._began = time.perf_counter()

    async def plain(self) -> None:
        """Fetch a whole answer, in its turn."""
        await self._in_turn(self._fetch)

    async def stream(self) -> None:
        """Forward a stream, in its turn, until it ends, its budget does, or its client leaves."""
        await self._in_turn(self._pump)

    async def _in_turn(self, work: Callable[[Station], Awaitable[None]]) -> None:
        """Work at one engine, and at the next where the first fails and nothing was sent."""
        while not self._tried or self._may_go_elsewhere():
            waiting = self._spans.wait()
            try:
                async with self._server.stations.turn(self._relay, self._tried) as station:
                    waiting.end()
                    self._begin_at(station)
                    began = time.perf_counter()
                    await work(station)
                    self._engine_s = time.perf_counter() - began
            except BusyError as error:
                if not self._tried:
                    self._failure = error
                return
            finally:
                waiting.end()
            if self._failure is not None:
                self._spans.broken(self._failure)

    def _begin_at(self, station: Station) -> None:
        """Begin anew; what came of the engine before was sent to nobody."""
        self._tried.append(station)
        self._relay.relay.engine = station.name
        self._failure = self._answer = None
        self._meter = StreamMeter(self._weights, self._relay.prompt_tokens)
        self._headers = (JSON, *self._spans.call(station.model, station.name))

    def _may_go_elsewhere(self) -> bool:
        """Whether an engine failed of itself, and the client has nothing of its answer."""
        if self._answer is not None:
            return self._answer[0] >= 500
        is_broken = isinstance(self._failure, HttpClientError | EngineAnswerError)
        return is_broken and not isinstance(self._failure, TimedOut) and self._writer is None

    async def _fetch(self, station: Station) -> None:
        try:
            answer = await self._server.pool.request(
                b"POST", f"{station.url}{self._request.path.decode()}", self._headers,
                self._body_for(station), station.timeout,
            )  # fmt: skip
        except HttpClientError as error:
            self._failure = error
        else:
            self._answer = (answer.status, answer.body)

    async def _pump(self, station: Station) -> None:
        try:
            async with self._server.pool.stream(
                b"POST", f"{station.url}{self._request.path.decode()}", self._headers,
                self._body_for(station), station.timeout,
            ) as upstream:  # fmt: skip
                kind = upstream.headers.get(b"content-type", b"") or b""
                if upstream.status != 200 or not kind.startswith(b"text/event-stream"):
                    body = await upstream.read(self._server.pool.limits.body_bytes_max)
                    self._answer = (upstream.status, body)
                    return
                await self._forward(upstream)
        except (HttpClientError, EngineAnswerError) as error:
            self._failure = error
        except ClientDisconnected:
            self._relay.is_stopped = True

    def _body_for(self, station: Station) -> bytes:
        """The body as it came, and to an engine that takes priorities with ours in it."""
        body = self._request.body
        return set_priority(body, self._relay.priority) if station.takes_priorities else body

    async def _forward(self, upstream: ClientStream) -> None:
        rest = b""
        async for chunk in upstream.chunks():
            events, rest = split_events(rest + chunk if rest else chunk)
            await self._pass_on(events)
            if self._meter.is_done or self._is_cut or self._is_refused:
                return
        if not self._meter.is_done:
            raise EngineAnswerError("the stream ended before [DONE]")

    async def _pass_on(self, events: list[bytes]) -> None:
        """Send the events that may still be sent: all, until units or credit are spent."""
        passed: list[bytes] = []
        for event in events:
            output, is_shown = self._meter.output, self._meter.is_shown
            if not self._meter.read(event):
                break
            if self._meter.counted_units > self._relay.relay.max_units:
                self._is_cut = True
                break
            if is_shown and self._meter.output > output and self._parts.is_due(self._sent):
                await self._send(b"".join(passed))
                passed.clear()
                if not await self._end_part():
                    self._is_refused = True
                    break
            self._sent = self._meter.tokens
            passed.append(event)
        await self._send(b"".join(passed))

    async def _end_part(self) -> bool:
        """Sign what was sent, once the part before is receipted; False where it never is."""
        if not await self._parts.may_go_on():
            return False
        signed = self._server.sign_part(self._relay, self._sent, self._hasher.digest())
        assert self._writer is not None
        await self._writer.write(encode_stream_frame(signed.message))
        self._server.delivered(self._relay, signed)
        return True

    async def _send(self, data: bytes) -> None:
        if not data:
            return
        if self._writer is None:
            self._observe_first_byte()
            self._writer = self._request.respond_stream(
                200, ((b"cache-control", b"no-cache"),), content_type=b"text/event-stream"
            )
        self._hasher.update(data)
        await self._writer.write(data)

    async def finish(self) -> Response | StreamWriter:
        """Sign what came of it, and end the answer."""
        if self._writer is not None:
            return await self._finish_stream(self._writer)
        if self._relay.is_stopped:
            return self._refuse(ABORTED_STATUS, _error("the client left"), Status.CLIENT_ABORT)
        if self._failure is not None:
            return self._fail(self._failure)
        if self._answer is None:  # a stream of no events, or cut before its first
            self._writer = self._request.respond_stream(200, (), content_type=b"text/event-stream")
            return await self._finish_stream(self._writer)
        return self._finish_plain(*self._answer)

    def _finish_plain(self, status: int, body: bytes) -> Response:
        if status >= 500 or status < 200:
            failure = EngineUnavailableError(f"the engine answered {status}")
            return self._refuse(failure.status, failure.body(), Status.UPSTREAM_ERROR)
        if status != 200:
            return self._refuse(status, body, Status.REFUSED)
        try:
            tokens, is_length = read_answer(body)
        except EngineAnswerError as error:
            return self._fail(error)
        self._tried[-1].gate.observe(self._relay, tokens.output, self._engine_s)
        outcome = Outcome(Status.LENGTH if is_length else Status.OK, tokens)
        return self._respond(200, body, outcome)

    async def _finish_stream(self, writer: StreamWriter) -> StreamWriter:
        tail = b""
        if self._relay.is_stopped:
            outcome = Outcome(Status.CLIENT_ABORT, self._sent)
        elif self._is_refused:
            outcome = Outcome(Status.REFUSED, self._sent)
        elif self._failure is not None:
            status = _status_of(self._failure)
            outcome = Outcome(status, NOTHING)
            tail = b"data: " + _error("the engine failed", "server_error") + b"\n\n"
        else:
            is_length = self._is_cut or self._meter.is_length
            self._tried[-1].gate.observe(self._relay, self._sent.output, self._engine_s)
            outcome = Outcome(Status.LENGTH if is_length else Status.OK, self._sent)
        self._hasher.update(tail)
        signed = self._sign(outcome)
        try:
            await writer.write(tail + encode_stream_frame(signed.message) + DONE)
            await writer.close()
        except ClientDisconnected:
            return writer  # the gateway may ask for the response again with a Cancel
        self._server.delivered(self._relay, signed)
        return writer

    def _fail(self, failure: Exception) -> Response:
        if isinstance(failure, BusyError):
            return self._refuse(failure.status, failure.body(), Status.REFUSED)
        status = _status_of(failure)
        error: EngineTimeoutError | EngineUnavailableError
        if status is Status.TIMEOUT:
            error = EngineTimeoutError("the engine did not answer in time")
        else:
            error = EngineUnavailableError("the engine failed")
        return self._refuse(error.status, error.body(), status)

    def _refuse(self, http_status: int, body: bytes, status: Status) -> Response:
        return self._respond(http_status, body, Outcome(status, NOTHING))

    def _respond(self, http_status: int, body: bytes, outcome: Outcome) -> Response:
        self._observe_first_byte()
        self._hasher.update(body)
        signed = self._sign(outcome)
        if not self._relay.is_stopped:
            self._server.delivered(self._relay, signed)
        header = (RESPONSE_HEADER, encode_response_header(signed.message).encode())
        return Response(http_status, body, (header,))

    def _sign(self, outcome: Outcome) -> Signed:
        signed = self._server.sign(self._relay, outcome, self._hasher.digest())
        self._spans.signed(self._relay, outcome, signed)
        return signed

    def _observe_first_byte(self) -> None:
        self._server.metrics.first_byte_s.observe(time.perf_counter() - self._began)


def _status_of(failure: Exception) -> Status:
    return Status.TIMEOUT if isinstance(failure, TimedOut) else Status.UPSTREAM_ERROR


def _error(message: str, kind: str = "invalid_request_error") -> bytes:
    return encode_error(message, kind, "relay_ended")
