"""One request, from the choice of a member to a verified answer in the client's hands.

Every try ends in exactly one `Observation`. A try that fails before the client has a byte is
followed by another member; one that fails later ends the stream with an error event.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from gateway.api.clients import Client, EventStream, Writer
from gateway.errors import (
    ClosingError,
    GatewayError,
    NoSupplierError,
    RejectedBySupplierError,
    SessionOverError,
    UpstreamBrokenError,
    UpstreamError,
    UpstreamRefusedError,
    UpstreamTimeoutError,
)
from gateway.routing.costs import cost_of, splice_cost, write_error_event, write_verdict
from gateway.routing.observation import Observation, Observe, Result
from gateway.routing.relay import Relay, Served
from gateway.routing.retry_budget import RetryBudget
from gateway.routing.router import Choice, Router
from gateway.routing.sessions import Member
from gateway.routing.sse import DONE, Frame, StreamReader, is_finished
from gateway.routing.standing import Standing
from gateway.routing.tracing import begin_try, end_try
from gateway.routing.trying import (
    Try,
    fail,
    reading,
    require_end,
    require_finish,
    require_served,
    write,
)
from gateway.routing.upstream import CONTEXT_EXCEEDED, Upstream
from node.http import Response
from relay_mining import Status

logger = logging.getLogger("gateway.routing.dispatch")

Answer = Response | Writer | None
REJECTIONS_MAX = 2
"""Suppliers that must reject a request before the client is told that it is at fault."""


@dataclass(slots=True)
class Dispatcher:
    """Sends a request to one member after another until one answers well."""

    upstream: Upstream
    router: Router
    retries: RetryBudget
    observe: Observe
    owe: Callable[[Served], None]
    """Takes every accepted answer whose units are to be receipted."""
    renew: Callable[[Relay], Awaitable[Relay]]
    """Gives the relay for the session that runs a little later."""
    tries_max: int = 3
    beat_s: float = 10.0
    """Seconds of silence after which the client of a stream is sent a comment."""
    _cancels: set[asyncio.Task[None]] = field(default_factory=set)
    _open: set[Try] = field(default_factory=set)
    _is_closing: bool = False

    @property
    def standing(self) -> Standing:
        """How far each supplier is trusted."""
        return self.router.standing

    def answer(self, relay: Relay, client: Client) -> Awaitable[Answer]:
        """Answer the client; raises GatewayError while nothing has been sent to it.

        None where the client left first.
        """
        if relay.request.is_stream:
            return self._ask_stream(relay, client)
        return self._ask(relay, client, None)

    def close(self) -> None:
        """End every try, and begin no more: clients are told so, with what of it is charged."""
        self._is_closing = True
        for attempt in self._open:
            if not attempt.is_stopped:
                attempt.result = Result.INTERRUPTED
                self._stop(attempt)

    async def _ask_stream(self, relay: Relay, client: Client) -> Answer:
        stream = EventStream(client, relay.headers, self.beat_s)
        try:
            return await self._ask(relay, client, stream)
        except GatewayError as error:
            if stream.writer is None:
                raise
            await stream.end(write_error_event(error, None, 0))
            return stream.writer
        finally:
            stream.stop_beating()

    async def _ask(
        self, relay: Relay, client: Client, stream: EventStream | None, *, is_renewed: bool = False
    ) -> Answer:
        if client.disconnected.done():  # while it waited for its turn, or for a session
            return None
        left = [each for each in relay.session.members if self._may_ask(each, relay)]
        failures: list[GatewayError] = []
        self.retries.earn()
        for number in range(min(self.tries_max, len(left))):
            if self._is_closing:
                raise ClosingError
            if number and not self.retries.take():
                break
            choice = self.router.choose(left, relay)
            left.remove(choice.member)
            try:
                return await self._try(relay, choice, client, stream)
            except (UpstreamError, RejectedBySupplierError) as error:
                failures.append(error)
            if client.disconnected.done():
                return None
            if _is_rejected(failures):
                break
        failure = _conclude(failures, is_all=not left)
        if isinstance(failure, SessionOverError) and not is_renewed:
            return await self._ask(await self.renew(relay), client, stream, is_renewed=True)
        raise failure

    def _may_ask(self, member: Member, relay: Relay) -> bool:
        if member.terms.price > relay.price_max or self.standing.is_out(member.supplier):
            return False
        return self.upstream.is_reachable(member)

    async def _try(
        self, relay: Relay, choice: Choice, client: Client, stream: EventStream | None
    ) -> Answer:
        """One supplier's turn: signed, cancelled when the client leaves, its end observed."""
        attempt = self._begin(relay, choice)

        def leave(_: object) -> None:
            attempt.has_left = True
            if not attempt.is_stopped:
                self._stop(attempt)

        client.disconnected.add_done_callback(leave)
        try:
            async with attempt.deadline:
                if stream is not None:
                    return await self._stream(attempt, stream)
                return await self._plain(attempt, client)
        except TimeoutError:
            late = UpstreamTimeoutError("the supplier did not settle a cancelled relay")
            return await fail(attempt, late, stream)
        except GatewayError as error:
            return await fail(attempt, error, stream)
        finally:
            client.disconnected.remove_done_callback(leave)
            self._finish(attempt)

    def _begin(self, relay: Relay, choice: Choice) -> Try:
        """Sign a try and count it in flight."""
        member, most = choice.member, relay.max_units
        header, request_hash = self.upstream.signer.sign(relay, member)
        state = self.standing.of(member.supplier)
        state.in_flight += 1
        state.reserved += most
        span, now = begin_try(relay), asyncio.get_running_loop().time()
        attempt = Try(
            relay, choice, member, state, span, header, request_hash, state.in_flight, now, most,
            asyncio.timeout(None),
        )  # fmt: skip
        self._open.add(attempt)
        return attempt

    def _finish(self, attempt: Try) -> None:
        """Count a try in flight no more, and observe what came of it."""
        self._open.discard(attempt)
        state = attempt.state
        state.in_flight -= 1
        state.reserved -= attempt.reserved
        now, served = asyncio.get_running_loop().time(), attempt.served
        response = served.response if served is not None else None
        silent = Result.CLIENT_ABORT if attempt.has_left else Result.INTERRUPTED
        observation = Observation(
            supplier=attempt.member.supplier,
            session=attempt.relay.session.key,
            model=attempt.relay.request.model,
            key_id=attempt.relay.key_id,
            result=attempt.result or silent,
            is_stream=attempt.relay.request.is_stream,
            is_answer=attempt.is_answer,
            latency_s=now - attempt.started,
            first_byte_s=attempt.first_byte and attempt.first_byte - attempt.started,
            units=response.units if response else 0,
            input_tokens=response.input_tokens if response else 0,
            output_tokens=response.output_tokens if response else 0,
            detail=attempt.detail,
            price=attempt.member.terms.price,
            request=attempt.relay.id,
            request_hash=attempt.request_hash,
            considered=attempt.choice.considered,
            owed=attempt.owed,
            premium=attempt.relay.premium if attempt.is_answer else 0,
            in_flight=attempt.in_flight,
            body_bytes=len(attempt.relay.body),
            chosen_by=attempt.choice.by,
        )
        self.observe(observation)
        end_try(attempt.span, observation)

    def _take(self, attempt: Try, served: Served) -> None:
        """Accept a response; what it adds is owed, and reserved no more.

        One whose debt cannot be kept (GatewayError) was not accepted. Raises ClosingError where it
        is the end of an answer whose client still waits.
        """
        if served.added > 0:
            try:
                self.owe(served)
            except OSError as error:
                logger.exception("what is owed cannot be written")
                raise GatewayError("the gateway cannot write what it owes; try again") from error
            attempt.owed += 1
            attempt.reserved -= served.added
            attempt.state.reserved -= served.added
        attempt.served = served
        if served.response.status is Status.CLIENT_ABORT and not attempt.has_left:
            raise ClosingError

    def _stop(self, attempt: Try) -> None:
        """Have the supplier stop, and sign in good time for what it has sent."""
        attempt.is_stopped = True
        with suppress(RuntimeError):  # the try may have ended in this very turn
            now = asyncio.get_running_loop().time()
            attempt.deadline.reschedule(now + self.upstream.timeouts.cancel)
        task = asyncio.ensure_future(self._cancel(attempt))
        self._cancels.add(task)
        task.add_done_callback(self._cancels.discard)

    async def _cancel(self, attempt: Try) -> None:
        with suppress(UpstreamError):  # the try itself ends by its own deadline
            await self.upstream.cancel(attempt.relay, attempt.member, attempt.request_hash)

    async def _plain(self, attempt: Try, client: Client) -> Response:
        with reading(attempt):
            served = await self.upstream.send_plain(
                attempt.relay, attempt.member, attempt.header, attempt.request_hash,
                attempt.span.headers,
            )  # fmt: skip
            require_served(attempt, served)
            if not attempt.has_left and served.response.status is not Status.CLIENT_ABORT:
                require_finish(attempt, is_finished(served.answer))
        self._take(attempt, served)
        attempt.is_answer = not attempt.has_left
        if attempt.is_answer:
            attempt.result = Result.OK
        cost = cost_of(served.response.units, attempt.member.terms.price) + attempt.relay.premium
        answer = Response(200, splice_cost(served.answer, cost), attempt.relay.headers)
        client.respond(answer)
        return answer

    async def _stream(self, attempt: Try, client: EventStream) -> Writer | None:
        reader = StreamReader(attempt.relay.request.wants_usage, attempt.relay.answer_bytes_max)
        with reading(attempt):
            await self._forward(attempt, reader, client)
            require_end(attempt, reader)
        if attempt.has_left or attempt.served is None:
            return client.writer
        attempt.is_answer = True
        attempt.result = Result.OK
        price = attempt.member.terms.price
        await client.end(_write_end(attempt.relay.id, attempt.served, reader.usage, price))
        return client.writer

    async def _forward(self, attempt: Try, reader: StreamReader, client: EventStream) -> None:
        """Send events on as they come, and accept what is signed of them."""
        async with self.upstream.open_stream(
            attempt.relay, attempt.member, attempt.header, attempt.span.headers
        ) as stream:
            async for chunk in stream.chunks():
                for piece in reader.read(chunk):
                    if isinstance(piece, Frame):
                        self._accept_frame(attempt, reader, piece)
                    elif not attempt.has_left:
                        await write(client, piece, attempt)

    def _accept_frame(self, attempt: Try, reader: StreamReader, frame: Frame) -> None:
        served = self.upstream.accept_frame(
            attempt.relay, attempt.member, attempt.request_hash, frame, reader.body, attempt.served
        )
        status = served.response.status
        if status is not Status.PARTIAL:
            reader.end()
        require_served(attempt, served)
        self._take(attempt, served)
        if status is Status.REFUSED:
            if attempt.state.owed > served.added:
                raise UpstreamRefusedError("the supplier does not go on: it waits for receipts")
            raise UpstreamBrokenError("the supplier does not go on, and has all its receipts")


def _rejections(failures: Sequence[GatewayError]) -> list[RejectedBySupplierError]:
    return [each for each in failures if isinstance(each, RejectedBySupplierError)]


def _is_rejected(failures: Sequence[GatewayError]) -> bool:
    """Whether the request itself is at fault, by what suppliers have said of it."""
    found = _rejections(failures)
    return len(found) == REJECTIONS_MAX or any(each.code == CONTEXT_EXCEEDED for each in found)


def _conclude(failures: Sequence[GatewayError], *, is_all: bool) -> GatewayError:
    """What the client is told: a rejection before other failures, and the last of them.

    Where all that could be asked have failed, it may come back when the first of them says.
    """
    if not failures:
        return NoSupplierError("no supplier serves this model in this session")
    failure = (_rejections(failures) or failures)[-1]
    failure.retry_after_s = min(each.retry_after_s or 1 for each in failures) if is_all else 1
    return failure


def _write_end(request: bytes, served: Served, usage: bytes, price: int) -> bytes:
    """What a stream that holds ends with: its usage with the cost, the verdict, the end."""
    if usage:
        usage = splice_cost(usage, cost_of(served.response.units, price))
    return usage + write_verdict(request, served, price) + DONE
