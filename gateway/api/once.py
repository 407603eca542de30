"""`Idempotency-Key`: one charge and one answer for a request, however often it is sent.

An answer that is charged is kept before its last byte goes out. A request that is under way is
marked before any work, so that a kill in the middle is never followed by a second charge.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, field, replace

import orjson

from gateway.access.accounts import Account
from gateway.access.admission import Admission, verify_scope
from gateway.api.file_store import FileStore
from gateway.api.room import Room
from gateway.api.tape import Tape
from gateway.books.lines import read_request_id, show_request
from gateway.errors import IdempotencyError, InvalidParameterError
from gateway.routing.dispatch import Answer
from gateway.routing.relay import Served
from gateway.routing.relaying import Call
from node.http import Headers, Response

logger = logging.getLogger("gateway.api.once")

KEY_HEADER = b"idempotency-key"
KEY_BYTES_MAX = 255
PRUNE_S = 3600.0
OWNER_BYTES_MAX, BYTES_MAX = 64 << 20, 1 << 30
"""What the answers of one API key, and of all, take on the disk."""
BEGUN, ANSWER = ".begun", ".answer"
ELSEWHERE_S, ELSEWHERE_POLL_S = 30.0, 0.2
"""How long an answer is waited for that another gateway makes, and how often it is looked for."""
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
    """Runs what carries a key once; answers are kept for `kept_s` seconds, where there is room."""

    admission: Admission
    store: FileStore
    kept_s: float = 86_400.0
    now: Callable[[], float] = time.time
    replica: str = ""
    """Who marks what is under way here."""
    room: Room = field(default_factory=lambda: Room(OWNER_BYTES_MAX, BYTES_MAX))
    _charged: dict[bytes, bool] = field(default_factory=dict)
    """Of each request that is run now, whether something of it is owed."""
    _running: dict[str, tuple[str, asyncio.Task[Kept]]] = field(default_factory=dict)

    async def answer(self, call: Call, path: bytes, run: Run) -> Answer:
        """The answer of `run`, or the one it gave before.

        Raises IdempotencyError where the key was used for another request, or for one that a kill
        cut off after something of it was owed; ModelForbiddenError where the API key may no longer
        use the model it asked then; KeyBusyError where too many wait; and what `run` raises.
        """
        account = call.account = self.admission.authorize(call.headers)
        key = read_key(call.headers) or b""
        with self.admission.hold(account):
            return await self._answer(call, account, key, path, run)

    async def _answer(
        self, call: Call, account: Account, key: bytes, path: bytes, run: Run
    ) -> Answer:
        name = _name(account.key_id, key)
        fingerprint = hashlib.sha256(path + b"\0" + call.body).hexdigest()
        known = self._running.get(name)
        tape = Tape(call.client if known is None else None)
        if known is None:
            task = asyncio.ensure_future(self._run(name, fingerprint, replace(call), tape, run))
            known = self._running[name] = fingerprint, task
            task.add_done_callback(lambda _: self._running.pop(name, None))
        else:
            _require_same(known[0], fingerprint)
            left = call.client.disconnected
            await asyncio.wait((known[1], left), return_when=asyncio.FIRST_COMPLETED)
            if not known[1].done():
                return None
        kept = await asyncio.shield(known[1])
        if tape.writer is not None:
            return tape.writer
        headers = [(b"x-request-id", kept.request.encode()), *call.extra]
        if kept.request != show_request(call.id):
            verify_scope(account, orjson.loads(call.body)["model"])  # read by who ran it, not here
            headers.append((b"idempotent-replayed", b"true"))
        return Response(kept.status, kept.body, tuple(headers), kept.content_type)

    def note(self, served: Served) -> None:
        """Hear of a response that is owed for."""
        if served.relay.id in self._charged:
            self._charged[served.relay.id] = True

    def recover(self, charged: Collection[bytes]) -> None:
        """After a start: forget what was under way here and nothing of which is owed."""
        for name in sorted(self.store.names(ANSWER), key=self.store.written_at):
            self._delete(self.room.add(_owner(name), name, self.store.size(name)))
        for name in self.store.names(BEGUN):
            begun = orjson.loads(self.store.get(name) or b"{}")
            if begun.get("replica", self.replica) != self.replica:
                continue
            if not begun or read_request_id(begun["request"]) not in charged:
                self.store.delete(name)

    async def run(self) -> None:
        """Forget old answers, until cancelled."""
        while True:
            try:
                old = await asyncio.to_thread(self.prune)
            except OSError as error:
                logger.warning("old answers stay", extra={"error": str(error)})
            else:
                for name in old:
                    self.room.remove(_owner(name), name)
            await asyncio.sleep(PRUNE_S)

    def prune(self) -> list[str]:
        """Forget what is older than `kept_s`; returns the names."""
        limit = self.now() - self.kept_s
        old = [each for each in self.store.names() if self.store.written_at(each) < limit]
        self._delete(old)
        return old

    def _delete(self, names: Iterable[str]) -> None:
        for name in names:
            self.store.delete(name)

    async def _run(self, name: str, fingerprint: str, call: Call, tape: Tape, run: Run) -> Kept:
        request = show_request(call.id)
        mark = {"fingerprint": fingerprint, "request": request, "replica": self.replica}
        found = await self._find_or_mark(name, orjson.dumps(mark))
        if found is not None:
            _require_same(found.fingerprint, fingerprint)
            return found
        call.client = tape
        self._charged[call.id] = False
        try:
            kept = _keep(fingerprint, request, await run(call), tape)
            if self._charged[call.id]:
                await self._put(name, kept)
        finally:
            if not self._charged.pop(call.id):
                await asyncio.to_thread(self.store.delete, name + BEGUN)
        if tape.writer is not None:
            await tape.writer.release()
        return kept

    async def _find_or_mark(self, name: str, mark: bytes) -> Kept | None:
        """The answer that is kept, waited for while another gateway makes it; None once marked.

        Raises IdempotencyError where whoever was to make it was cut off, or is too long about it.
        """
        deadline = time.monotonic() + ELSEWHERE_S
        while True:
            stored = await asyncio.to_thread(self.store.get, name + ANSWER)
            if stored is None and await asyncio.to_thread(self.store.create, name + BEGUN, mark):
                stored = await asyncio.to_thread(self.store.get, name + ANSWER)
                if stored is None:
                    return None
                await asyncio.to_thread(self.store.delete, name + BEGUN)  # it was made meanwhile
            if stored is not None:
                return Kept.decode(stored)
            known = await asyncio.to_thread(self.store.get, name + BEGUN)
            begun = orjson.loads(known or b"{}")
            is_here = begun.get("replica", "") == self.replica
            if begun and (is_here or time.monotonic() > deadline):
                raise self._interrupted(begun)
            await asyncio.sleep(ELSEWHERE_POLL_S)

    async def _put(self, name: str, kept: Kept) -> None:
        """Keep an answer in place of its mark, which stays where the disk does not take it."""
        data = kept.encode()
        try:
            await asyncio.to_thread(self.store.put, name + ANSWER, data)
            gone = self.room.add(_owner(name), name + ANSWER, len(data))
            await asyncio.to_thread(self._delete, [name + BEGUN, *gone])
        except OSError as error:
            logger.warning("an answer is not kept", extra={"error": str(error)})

    @staticmethod
    def _interrupted(begun: dict[str, str]) -> IdempotencyError:
        return IdempotencyError(
            f"a request with this key was cut off after it was charged: {begun.get('request')}; "
            "use another key to have it answered, and charged, again",
            param="Idempotency-Key",
        )


def read_key(headers: Headers) -> bytes | None:
    """The idempotency key of a request, where it has one (else InvalidParameterError)."""
    key = headers.get(KEY_HEADER)
    if key is not None and not 0 < len(key) <= KEY_BYTES_MAX:
        raise InvalidParameterError(
            f"Idempotency-Key must have 1 to {KEY_BYTES_MAX} characters", param="Idempotency-Key"
        )
    return key


def _name(key_id: str, key: bytes) -> str:
    """What a request's files are called: by who owns them, then by the key."""
    owner, own = (hashlib.sha256(each).hexdigest() for each in (key_id.encode(), key))
    return f"{owner[:32]}-{own}"


def _owner(name: str) -> str:
    return name.partition("-")[0]


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
