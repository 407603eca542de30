"""The relay server's face: which path does what, and every error as one OpenAI error body."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from node.append_log import LogFailed
from node.http import HeaderList, Request, Response, StreamWriter
from relay_mining import (
    Address,
    Domain,
    Hash32,
    MalformedError,
    SignatureMismatchError,
    SignedRequest,
    decode_cancel,
    decode_request_header,
    encode_response_header,
    request_body_hash,
)
from supplier.errors import (
    BusyError,
    MalformedRelayError,
    MisdirectedError,
    PathNotServedError,
    SupplierError,
    UnknownRelayError,
    WrongSignerError,
)
from supplier.metrics import Metrics
from supplier.mining.books import Books
from supplier.mining.directory import SessionDirectory
from supplier.mining.receipts import PartlyRefusedError, ReceiptDesk
from supplier.mining.session_book import SessionBook
from supplier.server.admission import AdmissionRules, Demand, admit, authenticate, check_request
from supplier.server.exchange import RESPONSE_HEADER
from supplier.server.relays import RelayServer
from supplier.server.scheduling import Priority
from supplier.server.serving import OpenRelay, Signed
from supplier.server.usage import (
    CHAT_PATH,
    COMPLETIONS_PATH,
    EDGE_PATH,
    EMBEDDINGS_PATH,
    RelayBody,
    parse_body,
)

REQUEST_HEADER = b"lode-request"
SERVER_HEADER = b"lode-server"
"""Of a misdirected request: the relay server to send it to."""
RELAY_PATHS = frozenset({CHAT_PATH, COMPLETIONS_PATH, EMBEDDINGS_PATH, EDGE_PATH})
SPEC_PATH = b"/lode/v1/spec"
OCTETS = b"application/octet-stream"
LONG_PROMPT_BYTES = 64 << 10

Answer = Response | StreamWriter


class DemandCounter(Protocol):
    """Counts what a request can take at most, by the service's own rules."""

    def demand(self, path: str, body: RelayBody) -> Demand:
        """The most input and output; raises MalformedRelayError for what no engine takes."""
        ...


@dataclass(frozen=True, slots=True)
class ServiceFace:
    """One served service as the server shows and counts it."""

    spec: bytes
    """Canonical JSON, as hashed on chain."""
    files: dict[str, bytes]
    """What a recount needs: tokenizer, template, configuration."""
    counter: DemandCounter


@dataclass(frozen=True, slots=True)
class Desk:
    """What the endpoints put together."""

    books: Books
    directory: SessionDirectory
    relays: RelayServer
    receipts: ReceiptDesk
    domain: Domain
    rules: AdmissionRules
    services: dict[Hash32, ServiceFace]
    metrics: Metrics
    relays_open_max: int
    gateway_relays_max: int
    health: Callable[[], Awaitable[dict[str, Any]]]
    clock: Callable[[], float] = time.time
    """Unix seconds: requests expire by it."""


class Endpoints:
    """The handler of the relay server."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def handle(self, request: Request) -> Answer:
        """Answer one request; raises nothing that is the peer's fault."""
        try:
            return await self._route(request)
        except SupplierError as error:
            self._desk.metrics.refused.labels(error.code).inc()
            return Response(error.status, error.body(), _way_on(error))
        except LogFailed as error:
            return Response(503, BusyError(str(error)).body())

    async def _route(self, request: Request) -> Answer:
        path = request.path
        if request.method == b"POST":
            if path.decode("latin-1") in RELAY_PATHS:
                return await self._relay(request)
            if path == b"/lode/v1/receipts":
                return await self._receipts(request)
            if path == b"/lode/v1/cancel":
                return await self._cancel(request)
        if request.method == b"GET":
            return await self._show(path)
        raise PathNotServedError(
            "this supplier serves chat completions, completions, embeddings and tails"
        )

    async def _relay(self, request: Request) -> Answer:
        desk = self._desk
        signed = self._decode(request)
        check_request(desk.books, signed, desk.clock(), desk.rules)
        body = parse_body(request.path.decode(), request.body)
        if signed.session.service in desk.services:
            desk.relays.stations.choose(signed.session.service)  # refused while none is up
        self._require_room(body.priority)
        book = await desk.directory.find(signed.session)
        request_hash = desk.domain.digest(signed.request)
        authenticate(desk.books, book, signed, request_hash, desk.clock(), desk.rules)
        demand = await self._count_demand(book, request, body)
        self._require_room(body.priority)  # others were admitted meanwhile
        self._require_share(signed.session.gateway)
        relay = admit(
            desk.books, book, signed, request_hash, demand, body.is_stream, desk.relays.clock()
        )
        if self._is_full:
            desk.relays.stations.make_room(body.priority)  # nobody goes for one that is refused
        return await desk.relays.serve(
            request,
            OpenRelay(
                book, relay, demand.input_tokens_max, body.priority, demand.output_tokens_max
            ),
            body.is_stream,
        )

    @property
    def _is_full(self) -> bool:
        return len(self._desk.relays.open) >= self._desk.relays_open_max

    def _require_room(self, priority: Priority) -> None:
        if self._is_full and not self._desk.relays.stations.can_make_room(priority):
            raise BusyError("this supplier serves as many relays as it can")

    def _require_share(self, gateway: Address) -> None:
        """One gateway leaves room for others, whatever its credit."""
        most, relays = self._desk.gateway_relays_max, self._desk.relays.open
        if len(relays) < most:
            return
        if sum(each.book.key.gateway == gateway for each in relays.values()) >= most:
            raise BusyError("this gateway has as many relays open here as one may have")

    def _decode(self, request: Request) -> SignedRequest:
        headers = request.headers.get_all(REQUEST_HEADER)
        if len(headers) != 1:
            raise MalformedRelayError(f"{len(headers)} lode-request headers instead of one")
        body_hash = request_body_hash(request.method, request.path, request.body)
        try:
            return decode_request_header(headers[0].decode("latin-1"), body_hash)
        except MalformedError as error:
            raise MalformedRelayError(f"the lode-request header does not parse: {error}") from error

    async def _count_demand(self, book: SessionBook, request: Request, body: RelayBody) -> Demand:
        counter = self._desk.services[book.key.service].counter
        path = request.path.decode()
        if len(request.body) <= LONG_PROMPT_BYTES:
            return counter.demand(path, body)
        return await asyncio.to_thread(counter.demand, path, body)

    async def _receipts(self, request: Request) -> Response:
        receipts = self._desk.metrics.receipts
        try:
            ack = await self._desk.receipts.deliver(request.body)
        except PartlyRefusedError as error:
            receipts.labels("refused").inc(len(error.refused))
            raise
        receipts.labels("batch_acknowledged").inc()
        return Response(200, ack, content_type=OCTETS)

    async def _cancel(self, request: Request) -> Response:
        try:
            signed = decode_cancel(request.body)
        except MalformedError as error:
            raise MalformedRelayError(f"the cancel does not parse: {error}") from error
        request_hash = signed.cancel.request_hash
        finished = self._desk.relays.finished.get(request_hash)
        open_relay = self._desk.relays.open.get(request_hash)
        book = self._book_of(open_relay, finished)
        try:
            book.verifier.verify(self._desk.domain.digest(signed.cancel), signed.signature)
        except SignatureMismatchError as error:
            raise WrongSignerError("only the gateway of a relay cancels it") from error
        if open_relay is not None:
            open_relay.stop()
            await open_relay.ended.wait()
        return self._finished(request_hash)

    @staticmethod
    def _book_of(
        open_relay: OpenRelay | None, finished: tuple[OpenRelay, Signed] | None
    ) -> SessionBook:
        if open_relay is not None:
            return open_relay.book
        if finished is not None:
            return finished[0].book
        raise UnknownRelayError("no such relay is being served")

    def _finished(self, request_hash: Hash32) -> Response:
        found = self._desk.relays.finished.get(request_hash)
        if found is None:
            raise UnknownRelayError("the relay ended without a response")
        open_relay, signed = found
        self._desk.relays.delivered(open_relay, signed)
        header = (RESPONSE_HEADER, encode_response_header(signed.message).encode())
        body_hash = (b"lode-body-hash", signed.message.response.body_hash.hex().encode())
        return Response(200, b"{}", (header, body_hash))

    async def _show(self, path: bytes) -> Response:
        if path == b"/lode/v1/health":
            state = await self._desk.health()
            return Response(200 if state["status"] == "ok" else 503, orjson.dumps(state))
        if path == b"/metrics":
            return Response(
                200, self._desk.metrics.render(), content_type=b"text/plain; version=0.0.4"
            )
        if path == SPEC_PATH:
            return self._specs()
        if path.startswith(SPEC_PATH + b"/"):
            return self._spec_file(path[len(SPEC_PATH) + 1 :].decode("latin-1"))
        raise PathNotServedError("there is nothing here")

    def _specs(self) -> Response:
        faces = [
            b'{"service":"0x%b","spec":%b}' % (service.hex().encode(), face.spec)
            for service, face in sorted(self._desk.services.items())
        ]
        return Response(200, b'{"services":[%b]}' % b",".join(faces))

    def _spec_file(self, name: str) -> Response:
        service, _, file = name.partition("/")
        for key, face in self._desk.services.items():
            if key.hex() != service.removeprefix("0x").lower():
                continue
            if file in ("", "spec.json"):
                return Response(200, face.spec)
            if file in face.files:
                return Response(200, face.files[file], content_type=OCTETS)
        raise PathNotServedError("no such service or file")


def _way_on(error: SupplierError) -> HeaderList:
    """Where to go instead, as a header."""
    return ((SERVER_HEADER, error.url.encode()),) if isinstance(error, MisdirectedError) else ()
