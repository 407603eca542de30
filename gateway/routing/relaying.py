"""From a client's request to a relay: its key, its limits, the most it may take, and its end.

Every request that comes here ends in exactly one `Ended`, whatever happens to it.
"""

import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from gateway.access.accounts import Account
from gateway.access.admission import Admission, verify_scope
from gateway.api.body import RequestLimits
from gateway.api.clients import Client
from gateway.api.openai import Endpoint, OpenAIRequest, read_request
from gateway.books.lines import show_request
from gateway.errors import (
    GatewayError,
    InsufficientFundsError,
    InvalidParameterError,
    NoSupplierError,
    PriceTooHighError,
)
from gateway.routing.dispatch import Answer, Dispatcher
from gateway.routing.observation import Began, Ended, Record
from gateway.routing.relay import Relay
from gateway.routing.renewing import bring_up_to_date
from gateway.routing.sessions import Session, SessionTable
from gateway.routing.tracing import begin_request
from gateway.routing.waiting_room import WaitingRoom
from node.http import HeaderList, Headers
from node.traces import NO_TRACES, Span, Traces
from relay_mining import UNITS_MAX, UnitsOverflowError, value_class

PRICE_HEADER = b"lode-price-max"
CLIENT_LEFT = 499
"""The status of a request whose client left before it was answered."""


@dataclass(slots=True)
class Call:
    """One request of a client, and what is known of it so far."""

    client: Client
    headers: Headers
    body: bytes
    extra: HeaderList = ()
    """What every answer to this client carries."""
    query: bytes = b""
    """What follows the question mark of its URL."""
    method: bytes = b"POST"
    is_waited_for: bool = True
    """Whether somebody waits for the answer now; batches have time."""
    id: bytes = field(default_factory=lambda: os.urandom(16))
    started: float = field(default_factory=time.monotonic)
    account: Account | None = None
    model: str = ""

    @property
    def key_id(self) -> str:
        """Whose request it is, empty while that is not known."""
        return self.account.key_id if self.account is not None else ""

    @property
    def answer_headers(self) -> HeaderList:
        """What names the request in its answer, and what its client needs."""
        return ((b"x-request-id", show_request(self.id).encode()), *self.extra)


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """What a relay may ask for; lengths in tokens."""

    of_request: RequestLimits = field(default_factory=RequestLimits)
    output_tokens_default: int = 512
    owed_max: int = 8192
    """Answers waiting for their recount, beyond which no more are taken."""


@value_class
class WorstCase:
    """The most a request may take."""

    output_tokens: int
    """Of each answer."""
    tokens: int
    units: int
    answer_bytes: int


@dataclass(slots=True)
class Relays:
    """Answers what is relayed to suppliers."""

    admission: Admission
    table: SessionTable
    dispatcher: Dispatcher
    limits: RelayLimits
    count_owed: Callable[[], int]
    record: Record
    waiting: WaitingRoom = field(default_factory=WaitingRoom)
    traces: Traces = NO_TRACES
    in_flight: int = 0
    """Requests that somebody waits for."""

    def answer(self, call: Call, endpoint: Endpoint) -> Awaitable[Answer]:
        """Relay a request; raises GatewayError while nothing has been sent to the client."""
        return self.end(call, self.relay(call, endpoint))

    async def end(self, call: Call, work: Awaitable[Answer]) -> Answer:
        """What came of a request's work, its end recorded whatever it was."""
        status, code = 500, "internal_error"
        self.in_flight += call.is_waited_for
        try:
            answer = await work
            status, code = (CLIENT_LEFT if answer is None else 200), ""
        except GatewayError as error:
            status, code = error.status, error.code
            raise
        finally:
            self.in_flight -= call.is_waited_for
            elapsed = time.monotonic() - call.started
            self.record(Ended(call.id, call.key_id, call.model, status, code, elapsed))
        return answer

    async def relay(self, call: Call, endpoint: Endpoint) -> Answer:
        """As `answer`, for whoever records the end of the request."""
        account = call.account = call.account or self.admission.authorize(call.headers)
        asked = read_request(endpoint, call.body, self.limits.of_request)
        call.model = asked.model
        verify_scope(account, asked.model)
        session = self.table.find(account.application, asked.model)
        session.service.spec.verify_serves(endpoint)
        self.verify_room()
        worst = self.worst_case(session, asked)
        price_max = read_price_max(call.headers, session)
        grant = await self.admission.let_in(account, worst.tokens, worst.units * price_max)
        try:
            self.record(Began(call.id, account.key_id, asked.model))
            headers = (*call.answer_headers, *self.admission.headers(account))
            with begin_request(self.traces, call.id, call.headers, asked) as span:
                relay = plan_relay(
                    call.id, session, asked, account, worst, price_max, headers, span
                )  # fmt: skip
                return await self._take_turn(call, relay, worst.tokens)
        finally:
            self.admission.leave(account, grant)

    async def _take_turn(self, call: Call, relay: Relay, cost: int) -> Answer:
        """Answer when there is room; None where the client left before."""
        gate = self.waiting.gate(relay.session)
        is_batch = relay.request.can_wait or not call.is_waited_for
        if not await self.waiting.enter(gate, call.client, relay.key_id, cost, is_batch):
            return None
        began = time.monotonic()
        try:
            return await self.dispatcher.answer(bring_up_to_date(self.table, relay), call.client)
        finally:
            gate.leave(time.monotonic() - began)

    def verify_room(self) -> None:
        """Raise NoSupplierError while too many answers wait for their recount."""
        if self.count_owed() >= self.limits.owed_max:
            raise NoSupplierError("the gateway is busy counting; try again shortly")

    def worst_case(self, session: Session, asked: OpenAIRequest) -> WorstCase:
        """The most a request may take; raises InsufficientFundsError where no slice covers it."""
        context, overhead = session.service.spec.context_length, session.service.overhead
        allowed = asked.output_tokens_max or asked.output_default(
            context, self.limits.output_tokens_default, overhead
        )
        inputs, outputs = asked.worst_case_tokens(context, allowed, overhead)
        try:
            max_units = session.service.weights.worst_case(inputs, outputs)
        except (UnitsOverflowError, ValueError):
            max_units = UNITS_MAX
        if all(max_units > each.terms.slice_units for each in session.members):
            raise InsufficientFundsError(
                f"the request may take {max_units} units, more than a session's slice; "
                "lower max_tokens or delegate a higher cap"
            )
        return WorstCase(
            output_tokens=allowed,
            tokens=inputs + outputs,
            units=max(max_units, 1),
            answer_bytes=asked.answer_bytes_max(inputs, outputs),
        )


def read_price_cap(headers: Headers) -> int | None:
    """The most that a client says it pays for a million units (else InvalidParameterError)."""
    said = headers.get(PRICE_HEADER)
    if said is None:
        return None
    if not said.isdigit() or len(said) > 20:
        raise InvalidParameterError(
            "lode-price-max is the most you pay for a million compute units, in token base units",
            param="lode-price-max",
        )
    return int(said)


def read_price_max(headers: Headers, session: Session) -> int:
    """The most that a client pays for a million units: its own cap, or the dearest member's price.

    Raises PriceTooHighError where nobody serves for that.
    """
    cap = read_price_cap(headers)
    if cap is None:
        return session.price_max
    cheapest = min(each.terms.price for each in session.members)
    if cap < cheapest:
        raise PriceTooHighError(
            f"the lowest price of this model is {cheapest} token base units for a million compute "
            f"units now, above your cap of {cap}",
            param="lode-price-max",
        )
    return min(cap, session.price_max)


def plan_relay(
    request: bytes, session: Session, asked: OpenAIRequest, account: Account, worst: WorstCase,
    price_max: int, headers: HeaderList, span: Span,
) -> Relay:  # fmt: skip
    """What every supplier that is asked is sent."""
    return Relay(
        id=request,
        session=session,
        request=asked,
        key_id=account.key_id,
        body=asked.forwarded_body(worst.output_tokens),
        max_units=worst.units,
        answer_bytes_max=worst.answer_bytes,
        price_max=price_max,
        headers=headers,
        output_tokens=worst.output_tokens,
        span=span,
    )
