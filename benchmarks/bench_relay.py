"""Where the gateway's processor time of a plain relay goes, stage by stage, without sockets.

The stages run one by one in this process on the gateway's own objects, with a supplier's signed
answer prepared; what a request takes beyond them is the kernel's and the event loop's. Figures
are microseconds of processor time, the best of many short rounds, so they hold on a busy machine.

Run: python -m benchmarks.bench_relay
"""

import asyncio
import hashlib
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson

from benchmarks.instant_supplier import ANSWER, ANSWER_HASH, InstantSupplier
from benchmarks.measuring import time_us
from gateway.access.accounts import Account
from gateway.access.budgets import Spending
from gateway.access.limits import Limiter
from gateway.access.limits import Limits as KeyLimits
from gateway.api.data_plane import DataPlane
from gateway.api.openai import Endpoint, read_request
from gateway.routing.observation import Began, Ended, Observation, Recount, Result
from gateway.routing.relay import Relay, Served
from gateway.routing.relaying import plan_relay
from gateway.settlement.counting import Count
from gateway.settlement.outbox import encode_owed, encode_settled
from gateway.settlement.settling import _job, _owed, judge
from node.http import ClientResponse, Headers, Limits, Request, Response, run
from node.http.client import _prepare
from node.http.client_connection import ClientConnection
from node.http.limits import ClientLimits, Timeout
from node.http.messages import encode_response
from node.http.request_reader import ParsedRequest, RequestReader
from node.traces import NO_SPAN
from relay_mining import Hash32, decode_request_header, encode_response_header
from tests.factories import APPLICATION, DOMAIN
from tests.gateway.harness import MODEL, Gateway, a_gateway

URL = "http://127.0.0.1:9/v1/chat/completions"
HANDLED = (
    "key and session: look up", "key: admit, without limits", "body: parse, check",
    "body: splice, hash, bound",
    "request: encode, sign", "answer: hash, decode, verify",
)  # fmt: skip
"""Stages that the data plane's handler goes through."""
LOT = 32
"""Answers that are settled together."""


class Nowhere:
    """A transport that takes everything and sends nothing."""

    def write(self, data: bytes) -> None:
        """Take it."""

    def get_extra_info(self, name: str) -> None:
        """There is no socket."""

    def is_closing(self) -> bool:
        """Never."""
        return False

    def get_write_buffer_size(self) -> int:
        """Always empty."""
        return 0


@dataclass(frozen=True, slots=True)
class Stage:
    """A name and what is done once a relay."""

    name: str
    work: Callable[[], object]
    divisor: int = 1
    """Relays that one call works for."""


def write_request(key: str) -> bytes:
    """A client's request as it comes from the wire."""
    content = "What is the capital of Japan?"
    message = {"role": "user", "content": content}
    body = orjson.dumps({"model": MODEL, "messages": [message], "max_tokens": 64})
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer %b\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"
    )
    return head % (key.encode(), len(body)) + body


def read_whole(raw: bytes, reader: RequestReader) -> ParsedRequest:
    """The one request that `raw` holds."""
    reader.feed(raw)
    parsed = reader.ready.popleft()
    if not isinstance(parsed, ParsedRequest):
        raise TypeError(f"refused with {parsed.status}")
    return parsed


def sign_answer(header: bytes, body_hash: Hash32) -> str:
    """What the supplier signs for its prepared answer to a relay."""
    signed = decode_request_header(header.decode(), body_hash)
    return encode_response_header(InstantSupplier("bench").sign_answer(signed, ANSWER_HASH, 30))


def admit(gateway: Gateway, account: Account) -> None:
    """Let a request in, describe its key's limits, and let it leave."""
    admission = gateway.server.handler.__self__.relays.admission  # type: ignore[attr-defined]
    grant = admission.enter(account, 1_000, 1_000_000)
    admission.headers(account)
    admission.leave(account, grant)


def a_limited_account() -> Account:
    """A key with every limit, none of which is reached."""
    limiter = Limiter(Spending())
    limiter.set(KeyLimits(10**9, 10**9, 10**9, 10**9), 0)
    return Account("limited", in_flight_max=1, limiter=limiter, limiters=(limiter,))


def stages(gateway: Gateway) -> list[Stage]:
    """The stages of one relay, in order."""
    plane: Any = gateway.server.handler.__self__  # type: ignore[attr-defined]
    assert isinstance(plane, DataPlane)
    relays = plane.relays
    signer = relays.dispatcher.upstream.signer
    limits = relays.limits.of_request
    raw = write_request(gateway.key)
    reader = RequestReader(Limits())
    request = Request(None, read_whole(raw, reader))  # type: ignore[arg-type]
    account = relays.admission.authorize(request.headers)
    asked = read_request(Endpoint.CHAT, request.body, limits)
    session = relays.table.find(account.application, asked.model)
    member = session.members[0]

    def plan() -> Relay:
        worst = relays.worst_case(session, asked)
        return plan_relay(bytes(16), session, asked, account, worst, session.price_max, (), NO_SPAN)

    limited, relay = a_limited_account(), plan()
    header, request_hash = signer.sign(relay, member)
    answer_header = sign_answer(header, relay.body_hash)

    def accept() -> Served:
        body_hash = hashlib.sha256(ANSWER).digest()
        return signer.accept(relay, member, request_hash, answer_header, ANSWER, body_hash)

    served = accept()
    response = served.response
    observation = Observation(
        member.supplier, session.key, MODEL, account.key_id, Result.OK, False, True,
        0.001, None, response.units, 35, 30, "", 1_000, owed=1,
    )  # fmt: skip
    recount = Recount(
        member.supplier, session.key, MODEL, account.key_id, request_hash, response.units,
        response.units, 35, 30, False, 1_000,
    )  # fmt: skip
    events = [
        (
            Began(request, account.key_id, MODEL),
            replace(observation, request=request),
            Ended(request, account.key_id, MODEL),
            replace(recount, request=request),
        )
        for request in (number.to_bytes(16, "big") for number in range(LOT))
    ]
    owed = _owed(served)
    key = signer.key_of(owed.signer)
    jobs, count = [_job(served) for _ in range(LOT)], Count(35, 51, 30, 30)
    wire = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nlode-response: %b\r\n\r\n" % (
        len(ANSWER), answer_header.encode(),
    )  # fmt: skip
    connection = ClientConnection(ClientLimits(), asyncio.get_running_loop())
    connection.connection_made(Nowhere())  # type: ignore[arg-type]
    headers = ((b"content-type", b"application/json"), (b"lode-request", header))

    def exchange() -> None:
        prepared = _prepare(b"POST", URL, headers, relay.body, replay_safe=False)
        connection.send(prepared.head, prepared.body, False, 1 << 20, Timeout(), None)
        connection.data_received(wire + ANSWER)
        connection.finish()

    def observe() -> None:
        for began, tried, ended, counted in events:
            gateway.ledger.record(began)
            gateway.ledger.observe(tried)
            gateway.ledger.record(ended)
            gateway.ledger.observe(counted)
        if gateway.ledger.requests.open:
            raise RuntimeError("a request that is over is still open")
        gateway.ledger._pending.clear()

    return [
        Stage("client's request: parse", lambda: read_whole(raw, reader)),
        Stage("key and session: look up", lambda: relays.admission.authorize(request.headers)),
        Stage("key: admit, without limits", lambda: admit(gateway, account)),
        Stage("key: admit, with every limit", lambda: admit(gateway, limited)),
        Stage("body: parse, check", lambda: read_request(Endpoint.CHAT, request.body, limits)),
        Stage("body: splice, hash, bound", plan),
        Stage("request: encode, sign", lambda: signer.sign(relay, member)),
        Stage("supplier: write request, parse answer", exchange),
        Stage("answer: hash, decode, verify", accept),
        Stage("client's answer: write", lambda: encode_response(Response(200, ANSWER), True)),
        Stage("ledger: a request, its try and its recount", observe, LOT),
        Stage("debt: record", lambda: encode_owed(_owed(served))),
        Stage("recount: hand over", lambda: pickle.loads(pickle.dumps(jobs)), LOT),
        Stage("recount: judge", lambda: judge(served, count)),
        Stage("receipt: secret, digest", lambda: DOMAIN.digest(owed.receipt(key))),
        Stage("receipt: settled", lambda: encode_settled(owed.response_hash)),
    ]


class PreparedPool:
    """A pool that has the supplier's answer already."""

    def __init__(self, answer: ClientResponse) -> None:
        self._answer = answer

    async def request(self, *_: object) -> ClientResponse:
        """The answer."""
        return self._answer


def time_handler(gateway: Gateway) -> float:
    """Microseconds of the whole handler of a request, its supplier's answer at hand."""
    plane: Any = gateway.server.handler.__self__  # type: ignore[attr-defined]
    relays = plane.relays
    upstream = relays.dispatcher.upstream
    signer = replace(upstream.signer, now=lambda: 1.9e9, draw_nonce=bytes)
    parsed = read_whole(write_request(gateway.key), RequestReader(Limits()))
    asked = read_request(Endpoint.CHAT, parsed.body, relays.limits.of_request)
    session = gateway.table.find(APPLICATION, MODEL)
    account = gateway.accounts.find(gateway.key.encode())
    assert account is not None
    worst = relays.worst_case(session, asked)
    relay = plan_relay(bytes(16), session, asked, account, worst, session.price_max, (), NO_SPAN)
    header, _ = signer.sign(relay, session.members[0])
    signed = sign_answer(header, relay.body_hash).encode()
    pool = PreparedPool(ClientResponse(200, Headers([(b"lode-response", signed)]), ANSWER))
    upstream = replace(upstream, signer=signer, pool=pool)
    relays.dispatcher = replace(
        relays.dispatcher, upstream=upstream, observe=lambda _: None, owe=lambda _: None
    )
    relays.record = lambda _: None
    connection = SimpleNamespace(loop=asyncio.get_running_loop(), lost=False, send=lambda *_: None)

    def handle() -> Response:
        try:
            plane.handle(Request(connection, parsed)).send(None)  # type: ignore[arg-type]
        except StopIteration as end:
            answer: Response = end.value
            return answer
        raise RuntimeError("the handler waits")

    if handle().status != 200:
        raise RuntimeError(handle().body)
    return time_us(handle, seconds=2.0)


async def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        supplier = InstantSupplier("bench")
        async with a_gateway(Path(folder), supplier, url="http://127.0.0.1:9") as gateway:
            costs = {each.name: time_us(each.work) / each.divisor for each in stages(gateway)}
            whole = time_handler(gateway)
    costs["choice, watch and end of the try"] = whole - sum(costs[name] for name in HANDLED)
    for name, cost in costs.items():
        print(f"{name:40} {cost:8.1f} us")
    del costs["key: admit, with every limit"]
    print(f"{'together':40} {sum(costs.values()):8.1f} us")


if __name__ == "__main__":
    run(main())
