"""`Idempotency-Key`: one charge and one answer for a request, however often it is sent.

An answer is kept before its last byte goes out. A request that is under way is marked before any
work, so that a kill in the middle is never followed by a second charge.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field, replace

import orjson

from gateway.admission import Admission
from gateway.dispatch import Answer
from gateway.errors import GatewayError, IdempotencyError, InvalidParameterError
from gateway.file_store import FileStore
from gateway.lines import read_request_id, show_request
from gateway.relaying import Call
from gateway.tape import Tape
from node.http import Response

KEY_HEADER = b"idempotency-key"
KEY_BYTES_MAX = 255
PRUNE_S = 3600.0
BEGUN, ANSWER = ".begun", ".answer"
Run = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer as it is kept: to which body, and what it was."""

    fingerprint: str
    request: str
    status: int
    content_type: bytes
    body: bytes

    def encode(self) -> bytes:
        """A line of JSON, then the body."""
        head = [self.fingerprint, self.request, self.status, self.content_type.decode()]
        return orjson.dumps(head) + b"\n" + self.body

    @classmethod
    def decode(cls, data: bytes) -> "Kept":
        """The answer that `encode` wrote."""
        head, _, body = data.partition(b"\n")
        fingerprint, request, status, content_type = orjson.loads(head)
        return cls(fingerprint, request, status, content_type.encode(), body)


@dataclass(slots=True)
class Once:
    """Runs what carries a key once; answers are kept for `kept_s` seconds."""

    admission: Admission
    store: FileStore
    kept_s: float = 86_400.0
    now: Callable[[], float] = time.time
    _running: dict[str, tuple[str, asyncio.Task[Kept]]] = field(default_factory=dict)

    async def answer(self, call: Call, path: bytes, run: Run) -> Answer:
        """The answer of `run`, or the one it gave before.

        Raises IdempotencyError where the key was used for another request, or for one that a kill
        cut off after something of it was owed; and what `run` raises.
        """
        account = call.account = self.admission.authorize(call.headers)
        key = call.headers.get(KEY_HEADER) or b""
        if not 0 < len(key) <= KEY_BYTES_MAX:
            raise InvalidParameterError(
                f"Idempotency-Key must have 1 to {KEY_BYTES_MAX} characters",
                param="Idempotency-Key",
            )
        name = hashlib.sha256(account.key_id.encode() + b"\0" + key).hexdigest()
        fingerprint = hashlib.sha256(path + b"\0" + call.body).hexdigest()
        known = self._running.get(name)
        tape = Tape(call.client if known is None else None)
        if known is None:
            task = asyncio.ensure_future(self._run(name, fingerprint, replace(call), tape, run))
            known = self._running[name] = fingerprint, task
            task.add_done_callback(lambda _: self._running.pop(name, None))
        _require_same(known[0], fingerprint)
        kept = await asyncio.shield(known[1])
        if tape.writer is not None:
            return tape.writer
        headers = [(b"x-request-id", kept.request.encode()), *call.extra]
        if kept.request != show_request(call.id):
            headers.append((b"idempotent-replayed", b"true"))
        return Response(kept.status, kept.body, tuple(headers), kept.content_type)

    def recover(self, charged: Collection[bytes]) -> None:
        """After a start: forget what was under way and nothing of which is owed."""
        for name in self.store.names(BEGUN):
            begun = orjson.loads(self.store.get(name) or b"{}")
            if not begun or read_request_id(begun["request"]) not in charged:
                self.store.delete(name)

    async def run(self) -> None:
        """Forget old answers, until cancelled."""
        while True:
            await asyncio.to_thread(self.prune)
            await asyncio.sleep(PRUNE_S)

    def prune(self) -> None:
        """Forget what is older than `kept_s`."""
        for name in self.store.names():
            if self.store.written_at(name) < self.now() - self.kept_s:
                self.store.delete(name)

    async def _run(self, name: str, fingerprint: str, call: Call, tape: Tape, run: Run) -> Kept:
        stored = await asyncio.to_thread(self.store.get, name + ANSWER)
        if stored is not None:
            kept = Kept.decode(stored)
            _require_same(kept.fingerprint, fingerprint)
            return kept
        request = show_request(call.id)
        mark = orjson.dumps({"fingerprint": fingerprint, "request": request})
        if not await asyncio.to_thread(self.store.create, name + BEGUN, mark):
            raise await self._interrupted(name)
        call.client = tape
        try:
            answer = await run(call)
        except GatewayError:
            await asyncio.to_thread(self.store.delete, name + BEGUN)
            raise
        kept = _keep(fingerprint, request, answer, tape)
        await asyncio.to_thread(self.store.put, name + ANSWER, kept.encode())
        await asyncio.to_thread(self.store.delete, name + BEGUN)
        if tape.writer is not None:
            await tape.writer.release()
        return kept

    async def _interrupted(self, name: str) -> IdempotencyError:
        mark = await asyncio.to_thread(self.store.get, name + BEGUN)
        begun = orjson.loads(mark or b"{}")
        return IdempotencyError(
            f"a request with this key was cut off after it was charged: {begun.get('request')}; "
            "use another key to have it answered, and charged, again",
            param="Idempotency-Key",
        )


def _keep(fingerprint: str, request: str, answer: Answer, tape: Tape) -> Kept:
    if isinstance(answer, Response):
        kind = answer.content_type or b""
        return Kept(fingerprint, request, answer.status, kind, answer.body)
    body = tape.writer.body if tape.writer is not None else b""
    return Kept(fingerprint, request, tape.status, tape.content_type or b"", body)


def _require_same(known: str, fingerprint: str) -> None:
    if known != fingerprint:
        raise IdempotencyError(
            "this key was used for another request; a key is for one body and path",
            param="Idempotency-Key",
        )
