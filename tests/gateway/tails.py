"""A supplier of tails, honest or lying in one way, and a gateway whose one service it is."""

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import orjson

from edge import (
    count_tail,
    load_network,
    make_request,
    parse_answer,
    read_request,
    run_tail,
    write_answer,
)
from gateway.edge.counting import TailFiles
from gateway.edge.plane import EdgeRules
from gateway.edge.terms import EdgeTerms
from gateway.routing.sessions import ServiceSpec, ServiceView, Session
from node.http import Request, Response, StreamWriter
from relay_mining import (
    SessionKey,
    Status,
    compute_terms,
    decode_request_header,
    encode_response_header,
    request_body_hash,
)
from tests.factories import WEIGHTS, a_hash
from tests.gateway.fakes import SPEC_HASH, FakeSupplier
from tests.gateway.harness import Gateway, a_gateway

MODEL_FILE = Path(__file__).parents[2] / "models" / "edge" / "network.npz"
NETWORK = load_network(MODEL_FILE)
PROFILE = NETWORK.profile()
RATE = 100
MODEL = "tail"
EDGE_SERVICE = a_hash("a service of tails")
PIXELS = bytes(range(64))
SENSOR = {
    "model": MODEL,
    "accuracy_ppm": 980_000,
    "deadline_us": 60_000,
    "device_rate": 1,
    "uplink_bytes_s": 1_000_000,
    "round_trip_us": 1_000,
    "bid": 10_000,
}
"""A task that its device takes 74 ms for and a supplier's rate less than one."""
PRICE = 1_000_000


class TailSupplier(FakeSupplier):
    """`lie` names how it misbehaves; the rest is that of any supplier."""

    async def relay(self, request: Request) -> Response | StreamWriter:
        self.served += 1
        self.bodies.append(request.body)
        body_hash = request_body_hash(b"POST", request.path, request.body)
        header = request.headers.get(b"lode-request") or b""
        signed = decode_request_header(header.decode(), body_hash)
        if self.lie == "500":
            return Response(500, b"{}")
        if self.lie == "hang":
            await request.disconnected
            return Response(500)
        asked = read_request(orjson.loads(request.body))
        logits = parse_answer(NETWORK, asked.way_out, run_tail(NETWORK, asked.message))
        use = count_tail(PROFILE, asked.way_out, asked.cut)
        answer = orjson.dumps(self.misstate(write_answer(asked, logits, use)))
        outputs = use.work_kflop + (self.lie == "more work")
        inputs = use.input_bytes + (self.lie == "more bytes")
        sent = self.sign(signed, hashlib.sha256(answer).digest(), inputs, outputs, Status.OK)
        return Response(200, answer, ((b"lode-response", encode_response_header(sent).encode()),))

    def misstate(self, answer: dict[str, Any]) -> Any:
        logits = answer["logits"]
        lies: dict[str, Callable[[], Any]] = {
            "wrong class": lambda: {**answer, "label": (answer["label"] + 1) % len(logits)},
            "made up": lambda: {
                **answer, "logits": [*logits[1:], logits[0]], "label": (answer["label"] - 1) % 10,
            },
            "not finite": lambda: {**answer, "logits": [1e999, *logits[1:]]},
            "fewer numbers": lambda: {**answer, "logits": [1.0], "label": 0},
            "no object": list,
        }  # fmt: skip
        return lies.get(self.lie, lambda: answer)()


def make_tails(session: Session) -> Session:
    """The same session, of a service of tails at a price that shows."""
    key = SessionKey(session.key.application, session.key.gateway, EDGE_SERVICE, session.key.number)
    terms = compute_terms(key, session.cap, len(session.members), PRICE, 4096)
    edge = EdgeTerms(PROFILE, RATE, hashlib.sha256(MODEL_FILE.read_bytes()).hexdigest())
    spec = ServiceSpec(MODEL, 1024, "", "", {}, "edge", edge=edge)
    return replace(
        session,
        key=key,
        service=ServiceView(EDGE_SERVICE, MODEL, bytes(20), SPEC_HASH, WEIGHTS, spec),
        members=tuple(replace(each, terms=terms) for each in session.members),
    )


@asynccontextmanager
async def a_gateway_of_tails(
    folder: Path, *suppliers: FakeSupplier, audit_ppm: int = 10**6,
    rules: EdgeRules | None = None, **more: Any,
) -> AsyncIterator[tuple[Gateway, httpx.AsyncClient]]:  # fmt: skip
    """A gateway and a client with its key."""
    async with a_gateway(folder, *suppliers, edge=rules, **more) as gateway:
        (session,) = gateway.table.sessions.values()
        tails = make_tails(session)
        gateway.table.replace(7, [tails], {MODEL: tails.service})
        files = TailFiles(EDGE_SERVICE, MODEL_FILE.read_bytes(), PROFILE, audit_ppm)
        await gateway.settler.worker.load(files)
        headers = {"authorization": f"Bearer {gateway.key}"}
        async with httpx.AsyncClient(
            base_url=gateway.url + "/v1", headers=headers, timeout=30
        ) as client:
            yield gateway, client


def tail_of(plan: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The request of a device that has run the head of a plan."""
    place = (plan["exit"], plan["cut"])
    return make_request(NETWORK, MODEL, plan["id"], place, PIXELS) | more
