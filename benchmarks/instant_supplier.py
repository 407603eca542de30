"""The upstream of the gateway benchmarks: answers at once, signs for real where a relay asks."""

import asyncio
import hashlib
from multiprocessing.connection import Connection

import orjson

from benchmarks.measuring import pin
from node.http import Limits, Request, Response, StreamWriter, run, serve
from node.tls import ClientTls, load_client_tls
from relay_mining import (
    Ack,
    Hash32,
    RelayResponse,
    SignedAck,
    SignedRequest,
    SignedResponse,
    Status,
    build_batch,
    decode_receipts,
    decode_request_header,
    encode_ack,
    encode_response_header,
    encode_stream_frame,
    request_body_hash,
)
from supplier.dialling import Caller, Trunk, TrunkRules
from supplier.metrics import Metrics
from tests.factories import DOMAIN, GATEWAY, GATEWAY_SIGNER, WEIGHTS
from tests.gateway.fakes import DONE, SPEC_HASH, FakeSupplier, encode
from tests.gateway.harness import MODEL
from tests.gateway.porch import NUMBER

TEXT = "The capital of Japan is Tokyo."
CHUNKS = 100
PACED = "Take your time. "
"""Begins a prompt whose answer is streamed at a hundred tokens a second."""
PACE_S = 0.01
PROMPT_TOKENS = 35
LINES = 32
"""Kept ready to a gateway that is dialled."""


def write_answer() -> bytes:
    """A plain answer as an engine gives it."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": TEXT},
        "finish_reason": "stop",
        "token_ids": encode(TEXT),
    }
    usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": 30, "total_tokens": 65}
    members = {"id": "a", "object": "chat.completion", "created": 1, "model": MODEL}
    return orjson.dumps({**members, "choices": [choice], "usage": usage})


def write_event(content: str, token_ids: list[int], finish_reason: str | None) -> bytes:
    """One event of a streamed answer."""
    delta = {"role": "assistant", "content": content}
    choice = {
        "index": 0, "delta": delta, "finish_reason": finish_reason, "token_ids": token_ids
    }  # fmt: skip
    members = {"id": "a", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    return b"data: " + orjson.dumps({**members, "choices": [choice]}) + b"\n\n"


ANSWER = write_answer()
ANSWER_HASH = hashlib.sha256(ANSWER).digest()
EVENTS = [write_event("t", encode("t"), None)] * (CHUNKS - 1) + [write_event("", [], "stop")]
EVENTS_HASH = hashlib.sha256(b"".join(EVENTS)).digest()


class InstantSupplier(FakeSupplier):
    """Signs prepared answers; keeps nothing."""

    trunk: asyncio.Task[None] | None = None

    async def handle(self, request: Request) -> Response | StreamWriter:
        """Answer relays and receipts; what is no relay is answered alike, unsigned."""
        if request.path == b"/dial":
            self.trunk = asyncio.create_task(self.open_trunk(request.body.decode()).run())
            return Response(204)
        if request.path == b"/lode/v1/receipts":
            return self.acknowledge(request.body)
        if request.method == b"GET":  # routers ask for health and for models in their own ways
            return Response(200, orjson.dumps({"data": [{"id": MODEL}], "model_path": MODEL}))
        header = request.headers.get(b"lode-request")
        relay = None
        if header is not None:
            body_hash = request_body_hash(b"POST", request.path, request.body)
            relay = decode_request_header(header.decode(), body_hash)
        if b'"stream":true' in request.body:
            return await self.answer_stream(request, relay)
        if relay is None:
            return Response(200, ANSWER)
        signed = self.sign_answer(relay, ANSWER_HASH, len(encode(TEXT)))
        return Response(200, ANSWER, ((b"lode-response", encode_response_header(signed).encode()),))

    def open_trunk(self, url: str) -> Trunk:
        """What dials the gateway at a URL, and answers there."""

        async def gateway_key(gateway: bytes, number: int) -> bytes:
            return GATEWAY_SIGNER.address

        caller = Caller(
            self.supplier, DOMAIN, lambda: NUMBER, lambda number: self.signer, gateway_key, 5.0,
            load_client_tls(ClientTls(), "dial.tls"),
        )  # fmt: skip
        rules = TrunkRules(spare=LINES)
        return Trunk(GATEWAY, url, caller, self.handle, Limits(), rules, Metrics())

    async def answer_stream(self, request: Request, relay: SignedRequest | None) -> StreamWriter:
        """Send the events, each by a system call of its own, as an engine does."""
        pause_s = PACE_S if PACED.encode() in request.body else 0
        async with request.respond_stream(200, (), b"text/event-stream") as writer:
            for event in EVENTS:
                await writer.write(event)
                await asyncio.sleep(pause_s)
            frame = b""
            if relay is not None:
                frame = encode_stream_frame(self.sign_answer(relay, EVENTS_HASH, CHUNKS - 1))
            await writer.write(frame + DONE)
        return writer

    def sign_answer(self, relay: SignedRequest, body_hash: Hash32, outputs: int) -> SignedResponse:
        """The signed response of a relay."""
        response = RelayResponse(
            DOMAIN.digest(relay.request), body_hash, hashlib.sha256(b"salt").digest(),
            PROMPT_TOKENS, 0, outputs, WEIGHTS.units(PROMPT_TOKENS, 0, outputs), Status.OK,
            SPEC_HASH,
        )  # fmt: skip
        return SignedResponse(response, self.signer.sign(DOMAIN.digest(response)))

    def acknowledge(self, body: bytes) -> Response:
        """Take receipts."""
        delivery = decode_receipts(body)
        ack = Ack(build_batch([DOMAIN.digest(each) for _, each in delivery.receipts]).root)
        return Response(200, encode_ack(SignedAck(ack, self.signer.sign(DOMAIN.digest(ack)))))


def serve_supplier(pipe: Connection, cores: set[int]) -> None:
    """Serve until killed, reporting the port through `pipe`."""
    pin(cores)

    async def main() -> None:
        server = await serve(InstantSupplier("bench").handle, "127.0.0.1", 0)
        pipe.send(server.port)
        await asyncio.Event().wait()

    run(main())
