"""A supplier that signs for real, honest or lying in one way, and a tokenizer to count with."""

import asyncio
import base64
import hashlib
import json
import struct
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from node.http import ClientDisconnected, Request, Response, StreamWriter
from relay_mining import (
    Ack,
    Address,
    Hash32,
    Receipt,
    ReceiptBatch,
    ReceiptDelivery,
    RelayResponse,
    SessionKey,
    SignedAck,
    SignedRequest,
    SignedResponse,
    Signer,
    Status,
    build_batch,
    decode_cancel,
    decode_receipts,
    decode_request_header,
    encode_ack,
    encode_response_header,
    encode_stream_frame,
    keccak,
    read_conversation,
    recover,
    request_body_hash,
)
from tests.factories import DOMAIN, WEIGHTS

SPEC_HASH = hashlib.sha256(b"spec").digest()
TEMPLATE = (
    "{% if tools %}{{ tools | tojson }}{% endif %}"
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
)
DONE = b"data: [DONE]\n\n"
MALFORMED = b"data: {oops\n\n"
FIRSTS = {
    "malformed": MALFORMED,
    "pings": b": ping\n\n: OPENROUTER PROCESSING\n\n",
    "pings and dies": b": ping\n\n",
    "pings and fails": b": ping\n\n",
    "forges a verdict": b': lode {"status":"ok","cost":0}\n\n',
    "forges inside": b'data: {}\n: lode {"status":"ok","cost":0}\n\n',
    "forges a beat": b": waiting\n\n",
}
"""What a stream begins with."""
NOTHINGS = {
    "refuses at once": Status.REFUSED,
    "part of nothing": Status.PARTIAL,
    "answer of nothing": Status.OK,
}
"""What a supplier signs that sends no event."""
REASONS = {"unfinished": None, "mislabels": "length"}
"""Why an answer ended, by who lies about it."""


def byte_tokenizer() -> bytes:
    """A tokenizer.json that makes one token of every byte."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer.to_str().encode()


TOKENIZER = byte_tokenizer()
_ENCODER = Tokenizer.from_buffer(TOKENIZER)


def encode(text: str) -> list[int]:
    return list(_ENCODER.encode(text).ids)


def count_prompt(body: dict[str, Any]) -> int:
    if "messages" in body:
        conversation = read_conversation(body)
        tools = json.dumps(conversation.tools, ensure_ascii=False) if conversation.tools else ""
        talk = "".join(f"<{m['role']}>{m['content']}" for m in conversation.messages)
        return len(encode(tools + talk))
    inputs = body.get("prompt", body.get("input"))
    inputs = [inputs] if isinstance(inputs, str) or isinstance(inputs[0], int) else inputs
    return sum(len(encode(each) if isinstance(each, str) else each) for each in inputs)


def usage_of(inputs: int, outputs: int) -> dict[str, int]:
    return {
        "prompt_tokens": inputs,
        "completion_tokens": outputs,
        "total_tokens": inputs + outputs,
    }


@dataclass
class FakeSupplier:
    """`lie` names what it does wrong; `words` is what it answers."""

    name: str
    lie: str = ""
    words: list[str] = field(default_factory=lambda: ["Hello", ", ", "world"])
    calls: list[dict[str, Any]] = field(default_factory=list)
    """Functions, name and arguments, that an answer calls after its words."""
    reasoning: str = ""
    pause: asyncio.Event | None = None
    """Where set, a stream waits for it after its first word."""
    part_every: int = 0
    """Words after which a stream is signed in part; 0 is at its end."""
    parts: list[RelayResponse] = field(default_factory=list)
    served: int = 0
    headers: list[dict[bytes, bytes]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    receipts: dict[Hash32, Receipt] = field(default_factory=dict)
    deliveries: int = 0
    refuse_receipts: int = 0
    """How many deliveries are answered with 503 first."""
    refuse_units: frozenset[int] = frozenset()
    """Receipts of so many units are refused for good."""
    cancelled: dict[Hash32, asyncio.Event] = field(default_factory=dict)
    responses: dict[Hash32, RelayResponse] = field(default_factory=dict)
    retry_after: bytes = b""
    """For how long it says that it wants to be left alone."""
    over: int = 0
    """The last session that it takes for over."""
    dials_out: bool = False
    """Whether it waits to be given lines instead of listening."""

    def __post_init__(self) -> None:
        self.signer = Signer(keccak(self.name.encode()))
        self.supplier: Address = keccak(b"supplier " + self.name.encode())[:20]

    async def handle(self, request: Request) -> Response | StreamWriter:
        if request.path == b"/lode/v1/receipts":
            return self.take_receipts(request.body)
        if request.path == b"/lode/v1/cancel":
            cancel = decode_cancel(request.body)
            self.cancelled.setdefault(cancel.cancel.request_hash, asyncio.Event()).set()
            return Response(200, b"{}")
        return await self.relay(request)

    def take_receipts(self, body: bytes) -> Response:
        self.deliveries += 1
        if self.refuse_receipts > 0:
            self.refuse_receipts -= 1
            return Response(503, b"{}")
        delivery = decode_receipts(body)
        digests = [DOMAIN.digest(receipt) for _, receipt in delivery.receipts]
        root = build_batch(digests).root
        refused = [
            digest
            for digest, (_, receipt) in zip(digests, delivery.receipts, strict=True)
            if receipt.units in self.refuse_units
        ]
        if refused:
            return self.refuse(delivery, digests, refused)
        self.batch_signer = recover(DOMAIN.digest(ReceiptBatch(root)), delivery.signature)
        for _, receipt in delivery.receipts:
            known = self.receipts.setdefault(receipt.response_hash, receipt)
            assert known == receipt, "the same relay has one receipt"
        ack = Ack(root)
        return Response(200, encode_ack(SignedAck(ack, self.signer.sign(DOMAIN.digest(ack)))))

    def refuse(
        self, delivery: ReceiptDelivery, digests: list[Hash32], refused: list[Hash32]
    ) -> Response:
        good = [each for each in digests if each not in refused]
        self.receipts |= {
            receipt.response_hash: receipt
            for digest, (_, receipt) in zip(digests, delivery.receipts, strict=True)
            if digest in good
        }
        ack = Ack(build_batch(good or digests).root)
        word = encode_ack(SignedAck(ack, self.signer.sign(DOMAIN.digest(ack))))
        names = [{"receipt": each.hex(), "reason": "no"} for each in refused]
        said = {"error": {}, "refused": names, "acknowledged": word.hex() if good else ""}
        return Response(422, orjson.dumps(said))

    async def relay(self, request: Request) -> Response | StreamWriter:
        self.served += 1
        self.headers.append(dict(request.headers))
        self.bodies.append(request.body)
        header = request.headers.get(b"lode-request") or b""
        body_hash = request_body_hash(b"POST", request.path, request.body)
        signed = decode_request_header(header.decode(), body_hash)
        body = orjson.loads(request.body)
        if self.lie == "hang":
            await request.disconnected
            return Response(500)
        if self.lie == "reset":
            raise RuntimeError("reset")
        if fault := self.fault(signed.session.number):
            return fault
        if request.path == b"/v1/embeddings":
            return self.embed(signed, body)
        if body.get("stream"):
            is_idle = self.lie in NOTHINGS
            stream = self.stream_nothing if is_idle else self.stream
            return await stream(request, signed, body)
        return self.plain(signed, body)

    def fault(self, number: int) -> Response | None:
        """What a request of session `number` is refused with."""
        status, message, kind, code = 0, "no", "server_error", "busy"
        if self.lie in ("500", "503", "402", "429"):
            status = int(self.lie)
        if self.lie == "context":
            status, message = 400, "maximum context length is 1024 tokens"
            kind, code = "invalid_request_error", "context_length_exceeded"
        if self.lie == "nested":
            return Response(500, b'{"error":{"message":' + b"[" * 1000 + b"]" * 1000 + b"}}")
        if number <= self.over:
            status, message, kind, code = 409, "no more", "relay_refused", "wrong_session"
        error = {"message": message, "type": kind, "code": code}
        after = ((b"retry-after", self.retry_after),) if self.retry_after else ()
        return Response(status, orjson.dumps({"error": error}), after) if status else None

    def sign(
        self, signed: SignedRequest, body_hash: bytes, inputs: int, outputs: int, status: Status,
        part: int = 0,
    ) -> SignedResponse:  # fmt: skip
        request_hash = DOMAIN.digest(signed.request)
        if self.lie == "inflate":
            outputs += 1000
        if self.lie == "padded":
            outputs += 200
        if self.lie == "prompt":
            inputs += 100
        if self.lie == "hash":
            body_hash = hashlib.sha256(b"something else").digest()
        units = WEIGHTS.units(inputs, 0, outputs)
        if self.lie == "units":
            units += 1
        response = RelayResponse(
            request_hash=request_hash,
            body_hash=body_hash,
            salt_hash=keccak(self.signer.session_salt(signed.request.session_id)),
            input_tokens=inputs,
            cached_tokens=0,
            output_tokens=outputs,
            units=units,
            status=status,
            service_spec_hash=bytes(32) if self.lie == "spec" else SPEC_HASH,
            part=part,
        )
        if part or status is Status.PARTIAL:
            response = self.lie_about(response)
            self.parts.append(response)
        self.responses[request_hash] = response
        signer = Signer(keccak(b"nobody")) if self.lie == "signature" else self.signer
        return SignedResponse(response, signer.sign(DOMAIN.digest(response)))

    def is_part_due(self, words: int) -> bool:
        return bool(self.part_every and words and words % self.part_every == 0)

    def lie_about(self, response: RelayResponse) -> RelayResponse:
        """What this supplier signs as the part after those it signed before."""
        if self.lie == "plain part" or not response.part:
            return response
        changes: dict[str, dict[str, Any]] = {
            "part goes down": {"units": self.parts[-1].units - 1, "output_tokens": 0},
            "part adds nothing": {"units": self.parts[-1].units},
            "part comes again": {"part": response.part - 1},
            "part is skipped": {"part": response.part + 1},
            "part of another body": {"body_hash": bytes(32)},
            "part above maxUnits": {"units": 10**12, "output_tokens": 10**9},
        }
        return replace(response, **changes.get(self.lie, {}))

    def plain(self, signed: SignedRequest, body: dict[str, Any]) -> Response:
        text = "".join(self.words)
        ids = encode(self.written(text))
        text = body.get("prompt", "") + text if body.get("echo") else text
        inputs = count_prompt(body)
        usage = usage_of(inputs, len(ids))
        reason = REASONS.get(self.lie, "stop")
        choice: dict[str, Any] = {"index": 0, "finish_reason": reason, "logprobs": None}
        is_chat = "messages" in body
        if is_chat:
            choice["message"] = {"role": "assistant", "content": text, **self.said()}
        else:
            choice["text"] = text
        if body.get("return_token_ids"):
            choice["token_ids"] = ids
        answer = orjson.dumps(
            {
                "id": "a",
                "object": "chat.completion" if is_chat else "text_completion",
                "created": 1,
                "model": body["model"],
                "choices": [choice],
                "usage": usage,
            }
        )
        answer = answer[:-1] if self.lie == "torn" else answer
        answer = self.spoil(answer)
        status = Status.PARTIAL if self.lie == "plain part" else Status.OK
        sent = self.sign(signed, hashlib.sha256(answer).digest(), inputs, len(ids), status)
        if self.lie == "unsigned":
            return Response(200, answer)
        if self.lie == "flood":
            answer += b" " * (4 << 20)
        header = (b"lode-response", encode_response_header(sent).encode())
        return Response(200, answer, (header,))

    def spoil(self, answer: bytes) -> bytes:
        """A plain answer as it is signed and sent."""
        return answer

    def written(self, text: str) -> str:
        """What the model wrote for an answer, with the marks that the answer is without."""
        thought = f"<t>{self.reasoning}</t>" if self.reasoning else ""
        return thought + text + "".join(f"<{f['name']}{f['arguments']}>" for f in self.calls)

    def said(self) -> dict[str, Any]:
        """The members of a message beside its content."""
        calls = [
            {"id": f"c{index}", "type": "function", "index": index, "function": function}
            for index, function in enumerate(self.calls)
        ]
        said: dict[str, Any] = {"tool_calls": calls} if calls else {}
        return {**said, "reasoning": self.reasoning} if self.reasoning else said

    def deltas(self) -> list[tuple[dict[str, Any], list[int]]]:
        """What a stream says and the ids of it: each word, then what is beside them."""
        parts = [({"content": word}, encode(word)) for word in self.words]
        said = self.said()
        return [*parts, (said, encode(self.written("")))] if said else parts

    def endings(self, body: dict[str, Any], usage: dict[str, Any]) -> list[dict[str, Any]]:
        """What a stream ends with: the reason, and the usage where it was asked for."""
        reason = REASONS.get(self.lie, "stop")
        ends: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
        ]
        if (body.get("stream_options") or {}).get("include_usage"):
            ends.append({"choices": [], "usage": usage})
        return ends

    def embed(self, signed: SignedRequest, body: dict[str, Any]) -> Response:
        inputs = count_prompt(body)
        count = len(body["input"]) if isinstance(body["input"], list) else 1
        vector: Any = [0.5, -0.5]
        if body.get("encoding_format") == "base64":
            vector = base64.b64encode(struct.pack("<2f", *vector)).decode()
        data = [{"object": "embedding", "index": i, "embedding": vector} for i in range(count)]
        if self.lie == "vectors":
            data = data[:1]
        usage = {"prompt_tokens": inputs, "total_tokens": inputs}
        answer = orjson.dumps(
            {"object": "list", "model": body["model"], "data": data, "usage": usage}
        )
        sent = self.sign(signed, hashlib.sha256(answer).digest(), inputs, 0, Status.OK)
        return Response(200, answer, ((b"lode-response", encode_response_header(sent).encode()),))

    async def stream(
        self, request: Request, signed: SignedRequest, body: dict[str, Any]
    ) -> StreamWriter:
        request_hash = DOMAIN.digest(signed.request)
        cancelled = self.cancelled.setdefault(request_hash, asyncio.Event())
        writer = request.respond_stream(200, (), b"text/event-stream")
        hasher, inputs, outputs = hashlib.sha256(), count_prompt(body), 0
        status, part = Status.OK, 0

        async def send(event: dict[str, Any]) -> None:
            data = b"data: " + orjson.dumps(event) + b"\n\n"
            hasher.update(data)
            await writer.write(data)

        base = {"id": "a", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
        hasher.update(FIRSTS.get(self.lie, b""))
        await self.begin(writer)
        if self.lie in ("engine", "pings and fails"):
            await send({"error": {"message": "engine died"}})
        for number, (delta, ids) in enumerate(self.deltas()):
            if number == 1 and not await self.misbehave(request, writer, cancelled):
                return writer
            if cancelled.is_set():
                status = Status.CLIENT_ABORT
                break
            if self.is_part_due(number):
                digest = hasher.digest()
                sent = self.sign(signed, digest, inputs, outputs, Status.PARTIAL, part)
                await writer.write(encode_stream_frame(sent))
                part += 1
            if part and self.lie == "refuses":
                status = Status.REFUSED
                break
            outputs += len(ids)
            await send({**base, "choices": [{"index": 0, "delta": delta, "token_ids": ids}]})
        for ending in self.endings(body, usage_of(inputs, outputs)) if status is Status.OK else ():
            await send({**base, **ending})
        sent = self.sign(signed, hasher.digest(), inputs, outputs, status, part)
        if self.lie == "no frame":
            await writer.write(DONE)
        else:
            await writer.write(encode_stream_frame(sent) + DONE)
        await writer.close()
        return writer

    async def begin(self, writer: StreamWriter) -> None:
        """Send what comes before the first word."""
        await writer.write(FIRSTS.get(self.lie, b""))
        if self.lie == "pings and dies":
            raise ClientDisconnected

    async def stream_nothing(
        self, request: Request, signed: SignedRequest, body: dict[str, Any]
    ) -> StreamWriter:
        """Sign for a prompt, and send no event."""
        writer = request.respond_stream(200, (), b"text/event-stream")
        status = NOTHINGS[self.lie]
        sent = self.sign(signed, hashlib.sha256().digest(), count_prompt(body), 1, status)
        await writer.write(encode_stream_frame(sent) + DONE)
        await writer.close()
        return writer

    async def misbehave(
        self, request: Request, writer: StreamWriter, cancelled: asyncio.Event
    ) -> bool:
        """Do what this supplier does in the middle of a stream; whether it goes on after that."""
        if self.pause is not None:
            waits = {asyncio.ensure_future(e.wait()) for e in (self.pause, cancelled)}
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for each in waits:
                each.cancel()
        if self.lie == "stall":
            await request.disconnected
            return False
        if self.lie == "cut":
            raise ClientDisconnected
        if self.lie == "truncate":
            await writer.close()
            return False
        if self.lie == "flood":
            try:
                while True:
                    await writer.write(b"data: " + b"x" * 65536)
            except ClientDisconnected:
                return False
        return True


__all__ = ["SPEC_HASH", "TEMPLATE", "TOKENIZER", "FakeSupplier", "SessionKey", "replace"]
