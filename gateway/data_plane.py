"""The client-facing surface: routes, keys, limits; every error in OpenAI's shape."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import orjson

from gateway.accounts import Account
from gateway.admission import Admission, may_use, verify_scope
from gateway.body import RequestLimits
from gateway.dispatch import Dispatcher
from gateway.errors import (
    GatewayError,
    InsufficientFundsError,
    InvalidKeyError,
    MethodNotAllowedError,
    NoSupplierError,
    RouteNotFoundError,
)
from gateway.openai import Endpoint, OpenAIRequest, read_request
from gateway.relay import Relay
from gateway.sessions import ServiceView, Session, SessionTable
from node.http import HeaderList, Request, Response, StreamWriter
from relay_mining import UNITS_MAX, UnitsOverflowError

Answer = Response | StreamWriter | None
Route = Callable[[Request], Awaitable[Answer]]

RETRY_WAIT_MAX_S = 60
"""Official clients wait so long at most; what takes longer they are told not to retry."""


@dataclass(frozen=True, slots=True)
class DataPlaneSettings:
    """What the surface allows; sizes in bytes, lengths in tokens."""

    limits: RequestLimits = field(default_factory=RequestLimits)
    output_tokens_default: int = 512
    owed_max: int = 8192
    """Answers waiting for their recount, beyond which no more are taken."""


@dataclass(frozen=True, slots=True)
class WorstCase:
    """The most a request may take."""

    output_tokens: int
    """Of each answer."""
    tokens: int
    units: int
    answer_bytes: int


class DataPlane:
    """Answers OpenAI requests; `handle` is the handler of the chassis' server."""

    def __init__(
        self,
        admission: Admission,
        table: SessionTable,
        dispatcher: Dispatcher,
        settings: DataPlaneSettings,
        count_owed: Callable[[], int],
    ) -> None:
        self._admission = admission
        self._table = table
        self._dispatcher = dispatcher
        self._settings = settings
        self._count_owed = count_owed
        self._routes: Mapping[bytes, tuple[bytes, Route]] = {
            Endpoint.CHAT.value: (b"POST", self._chat),
            Endpoint.COMPLETIONS.value: (b"POST", self._complete),
            Endpoint.EMBEDDINGS.value: (b"POST", self._embed),
            b"/v1/models": (b"GET", self._list_models),
            b"/healthz": (b"GET", self._health),
            b"/readyz": (b"GET", self._ready),
        }

    async def handle(self, request: Request) -> Answer:
        """Answer one request; a failure before the first byte becomes an OpenAI error body."""
        try:
            route = self._routes.get(request.path)
            if route is not None:
                method, answer = route
                if request.method != method:
                    raise MethodNotAllowedError(f"use {method.decode()}")
                return await answer(request)
            if request.path.startswith(b"/v1/models/"):
                return self._show_model(request)
            raise RouteNotFoundError(f"unknown path {request.path[:128].decode('latin-1')}")
        except GatewayError as error:
            headers = (*retry_headers(error), *self._limit_headers(request))
            return Response(error.status, error.body(), headers)

    def _limit_headers(self, request: Request) -> HeaderList:
        try:
            return self._admission.headers(self._admission.authorize(request.headers))
        except InvalidKeyError:
            return ()

    async def _chat(self, request: Request) -> Answer:
        return await self._relay(Endpoint.CHAT, request)

    async def _complete(self, request: Request) -> Answer:
        return await self._relay(Endpoint.COMPLETIONS, request)

    async def _embed(self, request: Request) -> Answer:
        return await self._relay(Endpoint.EMBEDDINGS, request)

    async def _relay(self, endpoint: Endpoint, request: Request) -> Answer:
        account = self._admission.authorize(request.headers)
        asked = read_request(endpoint, request.body, self._settings.limits)
        verify_scope(account, asked.model)
        session = self._table.find(account.application, asked.model)
        session.service.spec.verify_serves(endpoint)
        if self._count_owed() >= self._settings.owed_max:
            raise NoSupplierError("the gateway is busy counting; try again shortly")
        worst = self._worst_case(session, asked)
        grant = self._admission.enter(account, worst.tokens, worst.units * session.price_max)
        try:
            relay = self._plan(session, asked, account, worst)
            return await self._dispatcher.answer(relay, request)
        finally:
            self._admission.leave(account, grant)

    def _plan(
        self, session: Session, asked: OpenAIRequest, account: Account, worst: WorstCase
    ) -> Relay:
        return Relay(
            session=session,
            request=asked,
            key_id=account.key_id,
            body=asked.forwarded_body(worst.output_tokens),
            max_units=worst.units,
            answer_bytes_max=worst.answer_bytes,
            headers=self._admission.headers(account),
        )

    def _worst_case(self, session: Session, asked: OpenAIRequest) -> WorstCase:
        """The most a request may take; raises InsufficientFundsError where no slice covers it."""
        context, overhead = session.service.spec.context_length, session.service.overhead
        allowed = asked.output_tokens_max or asked.output_default(
            context, self._settings.output_tokens_default, overhead
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

    async def _list_models(self, request: Request) -> Answer:
        account = self._admission.authorize(request.headers)
        models = [
            describe_model(name, session)
            for (application, name), session in sorted(
                self._table.sessions.items(), key=lambda item: item[0]
            )
            if application == account.application and may_use(account, name)
        ]
        body = orjson.dumps({"object": "list", "data": models})
        return Response(200, body, self._admission.headers(account))

    def _show_model(self, request: Request) -> Answer:
        account = self._admission.authorize(request.headers)
        name = request.path.removeprefix(b"/v1/models/").decode("utf-8", "replace")
        verify_scope(account, name)
        session = self._table.find(account.application, name)
        body = orjson.dumps(describe_model(name, session))
        return Response(200, body, self._admission.headers(account))

    async def _health(self, request: Request) -> Answer:
        return Response(200, b'{"status":"ok"}')

    async def _ready(self, request: Request) -> Answer:
        is_ready = self._table.is_ready
        body = {"ready": is_ready, "session": self._table.number, "models": [*self._table.models]}
        return Response(200 if is_ready else 503, orjson.dumps(body))


def retry_headers(error: GatewayError) -> HeaderList:
    """When to send a refused request again, and whether a client should by itself."""
    if error.status not in (429, 503):
        return ()
    after = error.retry_after_s
    headers = () if after is None else ((b"retry-after", b"%d" % after),)
    if after is None or after > RETRY_WAIT_MAX_S:
        return (*headers, (b"x-should-retry", b"false"))
    return headers


def describe_model(name: str, session: Session) -> dict[str, object]:
    """A model as `/v1/models` lists it: OpenAI's fields, then prices, weights and limits."""
    service: ServiceView = session.service
    prices = sorted(each.terms.price for each in session.members)
    weights = service.weights
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "0x" + service.source.hex(),
        "context_length": service.spec.context_length,
        "service": "0x" + service.id.hex(),
        "price_per_million_cu": {"min": prices[0], "max": prices[-1]},
        "unit_weights": {
            "request": weights.request,
            "input": weights.input,
            "cached": weights.cached,
            "output": weights.output,
        },
        "capabilities": list(service.spec.capabilities),
        "suppliers": len(session.members),
    }
