"""The client-facing surface: routes and headers; every error in OpenAI's shape."""

import logging
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

import orjson

from gateway.access.accounts import Account
from gateway.api.catalogue import list_models, show_model
from gateway.api.cors import Cors
from gateway.api.document import write_document
from gateway.api.once import KEY_HEADER, Once, Run
from gateway.api.openai import Endpoint
from gateway.api.refusals import write_refusal
from gateway.api.responses import ResponsesPlane
from gateway.books.bills import write_bill
from gateway.books.history import History
from gateway.books.lines import read_request_id, show_request
from gateway.edge.plane import EdgePlane
from gateway.errors import (
    GatewayError,
    MethodNotAllowedError,
    RequestNotFoundError,
    RouteNotFoundError,
)
from gateway.routing.dispatch import Answer
from gateway.routing.relaying import Call, Relays
from gateway.routing.supplier_view import SupplierView, read_supplier
from node.http import ClientDisconnected, HeaderList, Request, Response, StreamWriter, Upgrade

logger = logging.getLogger("gateway.api.data_plane")

Route = Callable[[Call, bytes], Awaitable[Answer | Upgrade]]
"""Answers a call to a path."""

RETRY_WAIT_MAX_S = 60
"""Official clients wait so long at most; what takes longer they are told not to retry."""


class DataPlane:
    """Answers OpenAI requests; `handle` and `refuse` are what the chassis' server answers by."""

    def __init__(
        self, relays: Relays, edge: EdgePlane, history: History, suppliers: SupplierView,
        once: Once, cors: Cors,
    ) -> None:  # fmt: skip
        self.relays = relays
        self._suppliers = suppliers
        self._once = once
        self._cors = cors
        self.history = history
        self._admission = relays.admission
        self._document = write_document(relays.limits.of_request)
        self._table = relays.table
        self._routes: dict[bytes, tuple[bytes, Route]] = {
            **{each.value: (b"POST", self._relay(each)) for each in Endpoint},
            Endpoint.EDGE.value: (b"POST", edge.infer),
            b"/v1/responses": (b"POST", self._run_once(ResponsesPlane(relays).answer)),
            b"/v1/edge/plan": (b"POST", edge.plan),
            b"/v1/models": (b"GET", self._list_models),
            b"/healthz": (b"GET", self._health),
            b"/readyz": (b"GET", self._ready),
            b"/openapi.json": (b"GET", self._describe),
        }
        self._folders: dict[bytes, tuple[bytes, Route]] = {
            b"/v1/models/": (b"GET", self._show_model),
            b"/v1/requests/": (b"GET", self._show_request),
            b"/v1/suppliers/": (b"GET", self._show_supplier),
        }

    def mount(self, folder: bytes, answer: Route) -> None:
        """Have a part of the gateway that starts later answer GETs below a folder."""
        self._folders[folder] = (b"GET", answer)

    def mount_page(self, path: bytes, answer: Route) -> None:
        """Have a part of the gateway answer GETs at a path."""
        self._routes[path] = (b"GET", answer)

    def mount_all(self, path: bytes, answer: Route) -> None:
        """Have a part of the gateway answer every method at a path and below it."""
        self._routes[path] = self._folders[path + b"/"] = (b"", answer)

    async def handle(self, request: Request) -> Response | StreamWriter | Upgrade | None:
        """Answer one request; a failure before the first byte becomes an OpenAI error body."""
        extra, query = self._cors.headers(request.headers), request.target.partition(b"?")[2]
        call = Call(request, request.headers, request.body, extra, query, request.method)
        if request.method == b"OPTIONS" and call.extra:
            return Response(204, b"", self._cors.preflight(request.headers), None)
        try:
            found = await self._find(call, request.path)
            return found if isinstance(found, Response | Upgrade) else request.writer
        except GatewayError as error:
            more = (*retry_headers(error), *allow_headers(error), *self._limit_headers(call))
            return Response(error.status, error.body(), (*call.answer_headers, *more))
        except ClientDisconnected:
            raise
        except Exception:
            # The boundary to the client, who is told in the shape of every other error.
            logger.exception("a request failed", extra={"request": show_request(call.id)})
            failure = GatewayError("the gateway failed; its log has the request's id")
            return Response(failure.status, failure.body(), call.answer_headers)

    def refuse(self, status: int) -> Response:
        """What the chassis answers to what it does not hand on."""
        return write_refusal(status, self.relays.limits.of_request)

    def _find(self, call: Call, path: bytes) -> Awaitable[Answer | Upgrade]:
        method, answer = self._route(path)
        if method and call.method != method:
            raise MethodNotAllowedError(f"use {method.decode()}", allow=method.decode())
        return answer(call, path)

    def _route(self, path: bytes) -> tuple[bytes, Route]:
        route = self._routes.get(path)
        if route is None:
            found = (each for folder, each in self._folders.items() if path.startswith(folder))
            route = next(found, None)
        if route is None:
            raise RouteNotFoundError(f"unknown path {path[:128].decode('latin-1')}")
        return route

    def _limit_headers(self, call: Call) -> HeaderList:
        return self._admission.headers(call.account) if call.account is not None else ()

    def _authorize(self, call: Call) -> Account:
        account = call.account = self._admission.authorize(call.headers)
        return account

    def _answer(self, call: Call, body: bytes) -> Response:
        return Response(200, body, (*call.answer_headers, *self._limit_headers(call)))

    def _relay(self, endpoint: Endpoint) -> Route:
        def run(call: Call) -> Awaitable[Answer]:
            return self.relays.answer(call, endpoint)

        return self._run_once(run)

    def _run_once(self, run: Run) -> Route:
        """Where a request has an idempotency key, run it once."""

        def answer(call: Call, path: bytes) -> Awaitable[Answer]:
            if call.headers.get(KEY_HEADER) is None:
                return run(call)
            return self._once.answer(call, path, run)

        return answer

    async def _list_models(self, call: Call, path: bytes) -> Answer:
        return self._answer(call, list_models(self._table, self._authorize(call)))

    async def _show_model(self, call: Call, path: bytes) -> Answer:
        name = unquote(path.removeprefix(b"/v1/models/"))  # official clients escape its slash
        return self._answer(call, show_model(self._table, self._authorize(call), name))

    async def _show_request(self, call: Call, path: bytes) -> Answer:
        """What became of a request of the key's own, with its bill."""
        account = self._authorize(call)
        name = path.removeprefix(b"/v1/requests/").decode("utf-8", "replace")
        try:
            request = read_request_id(name)
        except ValueError as error:
            raise RequestNotFoundError(str(error), param="id") from error
        story = self.history.find(request, account.key_id)
        if story is None:
            raise RequestNotFoundError("this key has made no such request lately", param="id")
        signer = self.relays.dispatcher.upstream.signer
        bill = write_bill(self.history.receipts(request), signer)
        return self._answer(call, orjson.dumps({**story, "bill": bill}))

    async def _show_supplier(self, call: Call, path: bytes) -> Answer:
        """Where a supplier stands with this gateway; for everybody to see."""
        supplier = read_supplier(path.removeprefix(b"/v1/suppliers/"))
        return self._answer(call, orjson.dumps(self._suppliers.describe(supplier)))

    async def _health(self, call: Call, path: bytes) -> Answer:
        return Response(200, b'{"status":"ok"}')

    async def _describe(self, call: Call, path: bytes) -> Answer:
        return Response(200, self._document)

    async def _ready(self, call: Call, path: bytes) -> Answer:
        is_ready = self._table.is_ready
        body = {"ready": is_ready, "session": self._table.number, "models": [*self._table.models]}
        return Response(200 if is_ready else 503, orjson.dumps(body))


def allow_headers(error: GatewayError) -> HeaderList:
    """The methods that a path takes, where it was asked by another."""
    if not isinstance(error, MethodNotAllowedError) or not error.allow:
        return ()
    return ((b"allow", error.allow.encode()),)


def retry_headers(error: GatewayError) -> HeaderList:
    """When to send a refused request again, and whether a client should by itself."""
    if error.status not in (429, 503):
        return ()
    after = error.retry_after_s
    headers = () if after is None else ((b"retry-after", b"%d" % after),)
    if after is None or after > RETRY_WAIT_MAX_S:
        return (*headers, (b"x-should-retry", b"false"))
    return headers
