"""A supplier's data plane over real sockets, with a market that says what a test wants."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from node.http import ClientPool, ClientResponse, Request, Response, serve
from node.traces import NO_TRACES, Traces
from relay_mining import (
    DrawnMember,
    Receipt,
    ReceiptBatch,
    ReceiptDelivery,
    RelayRequest,
    SessionKey,
    SignedRequest,
    SignedResponse,
    Signer,
    build_batch,
    compute_terms,
    decode_response_header,
    encode_receipts,
    encode_request_header,
    keccak,
    request_body_hash,
)
from supplier.engines.capacity import Capacity
from supplier.errors import NotMemberError
from supplier.metrics import Metrics
from supplier.mining.alone import ALONE, Sharding
from supplier.mining.books import Books
from supplier.mining.directory import DirectoryRules, SessionDirectory
from supplier.mining.facts import SessionFacts
from supplier.mining.receipt_log import Log, ReceiptLog
from supplier.mining.receipts import ReceiptDesk
from supplier.mining.recovery import restore_books
from supplier.server.accounts import CreditPolicy
from supplier.server.admission import AdmissionRules, Demand
from supplier.server.endpoints import Desk, Endpoints, ServiceFace
from supplier.server.gate import Gate, Post
from supplier.server.relays import RelayServer
from supplier.server.scheduling import OutputPredictor
from supplier.server.serving import SignOff
from supplier.server.stations import Station, Stations
from supplier.server.usage import RelayBody
from supplier.settings import AdmissionSettings
from tests.factories import (
    DOMAIN,
    GATEWAY_SIGNER,
    OPERATOR_SIGNER,
    SERVICE,
    SUPPLIER,
    WEIGHTS,
    a_hash,
    a_session,
)

if TYPE_CHECKING:
    from tests.supplier.sharing import Server

CHAT = b"/v1/chat/completions"
CREDIT = CreditPolicy(1_000_000, Fraction(1, 2), 10_000_000, receipt_due_s=30.0)
PROMPT_TOKENS = 5
UNKNOWN = Capacity(None, is_bound=False, preempts=False, takes_priorities=False)


def a_body(*, max_tokens: int = 8, stream: bool = False, **more: Any) -> bytes:
    return orjson.dumps(
        {
            "model": "m",
            "messages": [{"role": "user", "content": "hi"}],
            "max_tokens": max_tokens,
            "stream": stream,
            **more,
        }
    )


def facts_of(
    key: SessionKey, *, cap: int = 3_000_000_000, target_leaves: int = 4096, fee_bps: int = 100
) -> SessionFacts:
    return SessionFacts(
        terms=compute_terms(key, cap, 3, 1_000_000, target_leaves),
        gateway_signer=GATEWAY_SIGNER.address,
        weights=WEIGHTS,
        spec_hash=a_hash("spec"),
        fee_bps=fee_bps,
        source_bps=500,
        protocol_bps=100,
        seat=DrawnMember(0, 0),
        margin_bps=11_000,
        bond_ratio_max=10,
        members=3,
        delegation_fee=10**12,
    )


@dataclass
class FakeMarket:
    """Session 7 runs; its members include us, unless a test says otherwise."""

    current: int = 7
    is_new: bool = False
    """Whether it has just begun."""
    asked: int = 0
    cap: int = 3_000_000_000
    target_leaves: int = 4096
    fee_bps: int = 100
    strangers: set[bytes] = field(default_factory=set)

    async def session_facts(self, key: SessionKey) -> SessionFacts:
        self.asked += 1
        if key.application in self.strangers:
            raise NotMemberError("not drawn")
        return facts_of(key, cap=self.cap, target_leaves=self.target_leaves, fee_bps=self.fee_bps)

    async def is_current(self, number: int) -> bool:
        return number == self.current

    def has_just_ended(self, number: int) -> bool:
        return self.is_new and number == self.current - 1


@dataclass
class FakeEngine:
    """An OpenAI upstream whose latency and faults a test controls."""

    tokens: int = 4
    gate: asyncio.Event | None = None
    """Where set, a stream waits here after `gate_at` events."""
    gate_at: int = 2
    silent: int = 0
    """Tokens of a stream that are held back at first."""
    cached: int = 0
    fault: str = ""
    bodies: list[bytes] = field(default_factory=list)
    traceparents: list[bytes | None] = field(default_factory=list)
    left: int = 0

    async def handle(self, request: Request) -> Any:
        if request.path == b"/health":
            return Response(200, b"{}")
        self.bodies.append(request.body)
        self.traceparents.append(request.headers.get(b"traceparent"))
        body = orjson.loads(request.body)
        if self.fault == "500":
            return Response(500, b'{"error":"boom"}')
        if self.fault == "400":
            return Response(400, b'{"error":{"message":"too long"}}')
        if self.fault == "garbage":
            return Response(200, b"<html>")
        if self.gate is not None and not body.get("stream"):
            await asyncio.wait(
                {asyncio.ensure_future(self.gate.wait()), request.disconnected},
                return_when="FIRST_COMPLETED",
            )
        if body.get("stream"):
            return await self._stream(request)
        usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": self.tokens}
        choice = {"index": 0, "message": {"content": "x" * self.tokens}, "finish_reason": "stop"}
        return Response(200, orjson.dumps({"choices": [choice], "usage": usage}))

    async def _stream(self, request: Request) -> Any:
        writer = request.respond_stream(200, (), content_type=b"text/event-stream")
        for index in range(self.tokens):
            delta = {"content": "x"} if index >= self.silent else {}
            finish = "stop" if index == self.tokens - 1 else None
            choice = {"delta": delta, "token_ids": [index], "finish_reason": finish}
            chunk: dict[str, Any] = {"choices": [choice]}
            if index == 0:
                chunk["prompt_token_ids"] = list(range(PROMPT_TOKENS))
            await writer.write(b"data: " + orjson.dumps(chunk) + b"\n\n")
            if index == self.gate_at - 1 and self.gate is not None:
                gate = asyncio.ensure_future(self.gate.wait())
                await asyncio.wait({gate, request.disconnected}, return_when="FIRST_COMPLETED")
                gate.cancel()
                if request.disconnected.done():
                    self.left += 1
                    return writer
            if index == self.gate_at - 1 and self.fault == "dies":
                raise RuntimeError("the engine dies")
        usage = {
            "prompt_tokens": PROMPT_TOKENS,
            "completion_tokens": self.tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached},
        }
        last = orjson.dumps({"choices": [], "usage": usage})
        await writer.write(b"data: " + last + b"\n\ndata: [DONE]\n\n")
        await writer.close()
        return writer


@dataclass
class RelayWorld:
    """A running relay server, and a gateway's hands to use it with."""

    url: str
    pool: ClientPool
    books: Books
    log: Log
    desk: ReceiptDesk
    relays: RelayServer
    market: FakeMarket
    engine: FakeEngine
    shared: "Server | None" = None
    """What it shares with other relay servers."""

    @property
    def station(self) -> Station:
        """The only engine's."""
        (found,) = self.relays.stations
        return found

    def sign(
        self,
        body: bytes,
        *,
        path: bytes = CHAT,
        session: SessionKey | None = None,
        signer: Signer = GATEWAY_SIGNER,
        **fields: Any,
    ) -> SignedRequest:
        key = session or a_session()
        values: dict[str, Any] = {
            "session_id": key.id,
            "supplier": SUPPLIER,
            "body_hash": request_body_hash(b"POST", path, body),
            "max_units": 10_000,
            "expiry": int(time.time()) + 60,
            "nonce": secrets.token_bytes(32),
            **fields,
        }
        request = RelayRequest(**values)
        return SignedRequest(key, request, signer.sign(DOMAIN.digest(request)))

    async def post(
        self,
        body: bytes,
        signed: SignedRequest | None,
        path: bytes = CHAT,
        *more: tuple[bytes, bytes],
    ) -> ClientResponse:
        headers = [(b"content-type", b"application/json"), *more]
        if signed is not None:
            headers.append((b"lode-request", encode_request_header(signed).encode()))
        return await self.pool.request(b"POST", self.url + path.decode(), headers, body)

    async def relay(
        self, body: bytes | None = None, **fields: Any
    ) -> tuple[SignedRequest, SignedResponse]:
        """One good plain relay and its checked response."""
        body = a_body() if body is None else body
        signed = self.sign(body, **fields)
        answer = await self.post(body, signed)
        assert answer.status == 200, answer.body
        return signed, read_response(signed, answer.headers.get(b"lode-response"), answer.body)

    def receipt(
        self, signed: SignedRequest, response: SignedResponse, **changes: Any
    ) -> tuple[SessionKey, Receipt]:
        request_hash, response_hash = (
            DOMAIN.digest(signed.request),
            DOMAIN.digest(response.response),
        )
        receipt = Receipt(
            session_id=signed.session.id,
            supplier=SUPPLIER,
            request_hash=request_hash,
            response_hash=response_hash,
            salt_hash=response.response.salt_hash,
            units=response.response.units,
            secret=GATEWAY_SIGNER.receipt_secret(request_hash, response_hash),
        )
        return signed.session, replace(receipt, **changes)

    async def deliver(
        self, *receipts: tuple[SessionKey, Receipt], signer: Signer = GATEWAY_SIGNER
    ) -> ClientResponse:
        return await self.pool.request(
            b"POST", self.url + "/lode/v1/receipts", (), batch(receipts, signer)
        )


def batch(receipts: tuple[tuple[SessionKey, Receipt], ...], signer: Signer) -> bytes:
    tree = build_batch([DOMAIN.digest(receipt) for _, receipt in receipts])
    return encode_receipts(
        ReceiptDelivery(receipts, signer.sign(DOMAIN.digest(ReceiptBatch(tree.root))))
    )


def read_response(signed: SignedRequest, header: bytes | None, body: bytes) -> SignedResponse:
    from hashlib import sha256

    assert header is not None
    request_hash = DOMAIN.digest(signed.request)
    response = decode_response_header(header.decode(), request_hash, sha256(body).digest())
    from relay_mining import recover

    assert recover(DOMAIN.digest(response.response), response.signature) == OPERATOR_SIGNER.address
    return response


@asynccontextmanager
async def relay_world(
    folder: Path,
    *,
    market: FakeMarket | None = None,
    engine: FakeEngine | None = None,
    credit: CreditPolicy = CREDIT,
    engine_timeout_s: float = 5.0,
    prompt_tokens: int | None = None,
    clock: Callable[[], float] = time.time,
    signer: Signer = OPERATOR_SIGNER,
    relay_server: type[RelayServer] = RelayServer,
    admission: AdmissionSettings | None = None,
    relays_open_max: int = 8,
    gateway_relays_max: int = 256,
    shared: "Server | None" = None,
    capacity: Capacity = UNKNOWN,
    more_engines: Mapping[str, int] | None = None,
    stations: Stations | None = None,
    traces: Traces = NO_TRACES,
) -> AsyncIterator[RelayWorld]:
    """`more_engines`: the ports of others beside `engine`, by name; `stations` instead of both."""
    market, engine = market or FakeMarket(), engine or FakeEngine()
    upstream = await serve(engine.handle)
    metrics, disk = Metrics(), ReceiptLog(folder / "receipts")
    sharding: Sharding = ALONE
    books: Books = Books(SUPPLIER, credit)
    log: Log = disk
    restore_books(books, disk, DOMAIN, clock())
    if shared is not None:
        books, log, sharding = shared.books, shared.log, shared.shards
    await log.enter(market.current)
    receipts = ReceiptDesk(books, log, DOMAIN, lambda number: signer, metrics, sharding)
    async with ClientPool() as pool:
        if stations is None:
            stations = Stations()
            for name, port in {"engine": upstream.port, **(more_engines or {})}.items():
                post = Post(name, capacity, relays_open_max)
                gate = Gate(admission or AdmissionSettings(), post, metrics, OutputPredictor())
                station = Station(
                    name, gate, engine_timeout_s, capacity.takes_priorities, frozenset({SERVICE})
                )
                station.move(f"http://127.0.0.1:{port}")
                stations.add(station)
        sign_off = SignOff(books, DOMAIN, lambda number: signer, log)
        relays = relay_server(pool, stations, sign_off, books, metrics, clock, traces)
        directory = SessionDirectory(
            market,
            books,
            log,
            lambda number: signer,
            frozenset({SERVICE}),
            DirectoryRules(2, 1_000),
            sharding,
        )

        class Counter:
            def demand(self, path: str, body: RelayBody) -> Demand:
                return body.demand(prompt_tokens or 0, 64)

        async def health() -> dict[str, Any]:
            return {"status": "ok"}

        face = ServiceFace(b'{"name":"m"}', {"tokenizer.json": b"{}"}, Counter())
        desk = Desk(
            books,
            directory,
            relays,
            receipts,
            DOMAIN,
            AdmissionRules(300),
            {SERVICE: face},
            metrics,
            relays_open_max,
            gateway_relays_max,
            health,
            clock,
        )
        server = await serve(Endpoints(desk).handle)
        try:
            yield RelayWorld(
                f"http://127.0.0.1:{server.port}",
                pool,
                books,
                log,
                receipts,
                relays,
                market,
                engine,
                shared,
            )
        finally:
            await server.close(1)
            await upstream.close(1)
            await disk.close()


async def until(predicate: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not predicate():
            await asyncio.sleep(0)


def salt_hash_of(key: SessionKey) -> bytes:
    return keccak(OPERATOR_SIGNER.session_salt(key.id))
