"""`/v1/batches`: files of requests, answered when there is room, whatever is killed meanwhile."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import orjson

from gateway.access.admission import Admission
from gateway.api.batch_documents import OPEN, BatchDocuments, Document
from gateway.api.batch_lines import BatchLine, read_lines
from gateway.api.batch_requests import begin_document, read_batch
from gateway.api.batch_run import BatchRunner, read_terms
from gateway.api.files import RETRY_S, Files
from gateway.api.leases import Leases
from gateway.api.names import name_once
from gateway.errors import (
    FileNotFoundHereError,
    IdempotencyError,
    MethodNotAllowedError,
    NoRoomError,
    RouteNotFoundError,
)
from gateway.routing.dispatch import Answer
from gateway.routing.relaying import Call
from node.http import Response

logger = logging.getLogger("gateway.api.batches")

LOOK_S = 3.0
"""How often a gateway looks for batches that nobody works on, and holds on to its own."""
OPEN_MAX, KEY_OPEN_MAX = 64, 16
"""Batches under way at once, of all keys and of one."""


@dataclass(slots=True)
class Batches:
    """The batches of a gateway, or of several on one store.

    `answer` takes everything at or below `/v1/batches`.
    """

    admission: Admission
    files: Files
    documents: BatchDocuments
    runner: BatchRunner
    leases: Leases
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _places: Counter[str] = field(default_factory=Counter)
    """How many batches of each key are made or worked on here."""
    _turns: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Whose turn it is to take up a batch."""

    async def answer(self, call: Call, path: bytes) -> Answer:
        """Create, list, show or cancel; raises RequestError."""
        account = call.account = self.admission.authorize(call.headers)
        _, _, *rest = path.decode("latin-1").strip("/").split("/")
        match (call.method, rest):
            case b"POST", []:
                found: object = await self._create(account.key_id, call)
            case b"GET", []:
                data = await asyncio.to_thread(self._list, account.key_id)
                found = {"object": "list", "data": data, "has_more": False}
            case b"GET", [batch_id]:
                found = _shown(await asyncio.to_thread(self._find, account.key_id, batch_id))
            case b"POST", [batch_id, "cancel"]:
                found = await self._cancel(account.key_id, batch_id)
            case _, [] | [_] | [_, "cancel"]:
                allow = ("GET, POST", "GET", "POST")[len(rest)]
                raise MethodNotAllowedError(f"use {allow}", allow=allow)
            case _:
                raise RouteNotFoundError(
                    "there is /v1/batches, /v1/batches/ID and /v1/batches/ID/cancel"
                )
        return Response(200, orjson.dumps(found), call.answer_headers)

    async def run(self) -> None:
        """Take up what an earlier process or another gateway left, and work until cancelled."""
        try:
            await self._try_to(self._tidy)
            while True:
                await self._try_to(self.look)
                await asyncio.sleep(LOOK_S)
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._try_to(self._release)

    async def _try_to(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something with the store, unless that is away."""
        try:
            await work()
        except OSError as error:
            logger.warning("batches cannot be read", extra={"why": str(error)})

    async def _release(self) -> None:
        await asyncio.to_thread(self.leases.release_all)

    async def _tidy(self) -> None:
        """Remove what an earlier process left of batches that are over."""
        left = await asyncio.to_thread(lambda: self.runner.with_parts() | self.documents.marked())
        for name in await asyncio.to_thread(self.documents.over, left):
            await asyncio.to_thread(self._forget, name)

    async def look(self) -> None:
        """Hold on to the batches that are worked on here, and take up those that nobody has."""
        for document in await asyncio.to_thread(self.documents.open):
            name = document["id"]
            task = self._tasks.get(name)
            if task is None:
                await self._take_up(name)
            elif not await asyncio.to_thread(self.leases.renew, name):
                task.cancel()  # another gateway has it
            elif await asyncio.to_thread(self.documents.is_cancelled, document):
                self.runner.cancel(name)

    async def _take_up(self, name: str) -> None:
        """Work on a batch, unless somebody does, or did until it was over."""
        async with self._turns:
            if name in self._tasks or not await asyncio.to_thread(self.leases.take, name):
                return
            document = await asyncio.to_thread(self.documents.get, name)
            if document.get("status") in OPEN:  # still, now that nobody else can end it
                self._start(document)
            else:
                await asyncio.to_thread(self.leases.release, name)

    async def _create(self, key_id: str, call: Call) -> Document:
        asked, name = read_batch(call), "batch_" + name_once(key_id, call.headers)
        known = await asyncio.to_thread(self.documents.get, name)
        if not known:
            with self._place(key_id):
                data = await asyncio.to_thread(self.files.read, key_id, asked["input_file_id"])
                lines = await asyncio.to_thread(read_lines, data, asked["endpoint"])
                document = begin_document(asked, name, key_id, len(lines), int(time.time()))
                if await asyncio.to_thread(self.documents.create, document):
                    await self._try_to(partial(self._take_up, name))
                    return _shown(document)
            known = await asyncio.to_thread(self.documents.get, name)
        if not asked.items() <= known.items():
            raise IdempotencyError("this key was used for another batch", param="Idempotency-Key")
        return _shown(await asyncio.to_thread(self._count, known))

    @contextmanager
    def _place(self, key_id: str) -> Iterator[None]:
        """Count a batch of a key while it is made (else NoRoomError)."""
        if self._places[key_id] >= KEY_OPEN_MAX:
            raise NoRoomError(f"this key may have {KEY_OPEN_MAX} batches under way", RETRY_S)
        if self._places.total() >= OPEN_MAX:
            raise NoRoomError(f"{OPEN_MAX} batches are under way here", RETRY_S)
        self._places[key_id] += 1
        try:
            yield
        finally:
            self._places[key_id] -= 1

    async def _cancel(self, key_id: str, batch_id: str) -> Document:
        document = await asyncio.to_thread(self._find, key_id, batch_id)
        if document["status"] == "in_progress":
            await asyncio.to_thread(self.documents.mark_cancelled, batch_id)
            self.runner.cancel(batch_id)
            document["status"] = "cancelling"
        return _shown(document)

    def _start(self, document: Document) -> None:
        name, key_id = document["id"], document["key"]
        task = asyncio.ensure_future(self._work(document))
        self._tasks[name] = task
        self._places[key_id] += 1
        task.add_done_callback(partial(self._end, name, key_id))

    def _end(self, name: str, key_id: str, task: asyncio.Task[None]) -> None:
        """Let a batch go that is over, or that somebody is to take up again."""
        del self._tasks[name]
        self._places[key_id] -= 1
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            logger.error("a batch was cut off", extra={"batch": name}, exc_info=failure)

    async def _work(self, document: Document) -> None:
        """Answer what is left of a batch, then put its files together."""
        name = document["id"]
        if await asyncio.to_thread(self.documents.is_cancelled, document):
            self.runner.cancel(name)
        lines = await asyncio.to_thread(self._read, document)
        status = await self._answer(document, lines) if lines else "failed"
        write = self.runner.write_files
        written = await asyncio.to_thread(write, self.files, document, lines, status)
        document |= {**written, "status": status, f"{status}_at": int(time.time())}
        await asyncio.to_thread(self.documents.put, document)
        await asyncio.to_thread(self._forget, name)
        await asyncio.to_thread(self.leases.release, name)

    def _read(self, document: Document) -> list[BatchLine]:
        """The lines of a batch; none where its file was deleted before it was taken up here."""
        try:
            data = self.files.read(document["key"], document["input_file_id"])
        except FileNotFoundHereError:
            return []
        return read_lines(data, document["endpoint"])

    async def _answer(self, document: Document, lines: Sequence[BatchLine]) -> str:
        """Answer what is left of a batch; the status that it ends with."""
        if await self.runner.answer_all(read_terms(document), lines):
            return "completed"
        return "cancelled" if self.runner.is_cancelled(document["id"]) else "expired"

    def _find(self, key_id: str, batch_id: str) -> Document:
        document = self.documents.get(batch_id)
        if document.get("key") != key_id:
            raise FileNotFoundHereError(f"this key has no batch {batch_id[:64]!r}", param="id")
        return self._count(document)

    def _list(self, key_id: str) -> list[Document]:
        mine = [each for each in self.documents.all() if each["key"] == key_id]
        mine.sort(key=lambda each: (each["created_at"], each["id"]), reverse=True)
        return [_shown(self._count(each)) for each in mine]

    def _count(self, document: Document) -> Document:
        """A batch under way with what is answered of it by now."""
        if document["status"] in OPEN:
            if self.documents.is_cancelled(document):
                document["status"] = "cancelling"
            results = self.runner.read_parts(document["id"])
            failed = sum(each.is_error for each in results)
            counts = {"completed": len(results) - failed, "failed": failed}
            document["request_counts"] |= counts
        return document

    def _forget(self, name: str) -> None:
        """Remove what was needed to answer a batch."""
        self.runner.forget(name)
        self.documents.unmark(name)


def _shown(document: Document) -> Document:
    return {name: value for name, value in document.items() if name != "key"}
