"""Answering the lines of batches: few at a time, after whoever waits, kept part by part.

What is answered is in a part before it counts as answered. A kill loses no line and doubles none:
lines that were under way, or answered and in no part yet, are asked again.
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.access.accounts import Accounts
from gateway.api.batch_documents import Document
from gateway.api.batch_lines import (
    ENDPOINTS,
    UNASKED,
    BatchLine,
    BatchResult,
    join_results,
    read_results,
    write_answer,
    write_failure,
    write_unasked,
)
from gateway.api.file_store import FileStore
from gateway.api.files import Files
from gateway.api.openai import Endpoint
from gateway.api.tape import Tape
from gateway.books.lines import show_request
from gateway.errors import GatewayError
from gateway.routing.relaying import PRICE_HEADER, Call, Relays
from node.http import Headers, Response

logger = logging.getLogger("gateway.api.batch_run")

PART = ".part"
PART_S = 0.5
PART_LINES = 200
"""Results are kept together at most this long, and at most so many."""
WAIT_S_MAX = 30.0
"""The longest pause after a line that could not be asked, whatever its `Retry-After`."""
PAUSES = 8
"""Pauses double at most so often."""
YIELD_S = 0.02
NOT_NOW = (429, 503)
"""Statuses of what is asked again until its batch ends."""
FAILED, TRIES_MAX = (502, 504), 8
"""Statuses of what is asked again as well, but only so often."""


@dataclass(frozen=True, slots=True)
class BatchTerms:
    """How the lines of a batch are asked, and until when in Unix seconds."""

    batch: str
    endpoint: Endpoint
    key_id: str
    until: int
    headers: Headers


def read_terms(document: Document) -> BatchTerms:
    """The terms of a batch; one from before caps of prices has none."""
    cap = document.get(PRICE_HEADER.decode())
    return BatchTerms(
        document["id"], ENDPOINTS[document["endpoint"]], document["key"], document["expires_at"],
        Headers(() if cap is None else ((PRICE_HEADER, cap.encode()),)),
    )  # fmt: skip


@dataclass(slots=True)
class BatchRunner:
    """Answers lines through the gateway's relays; at most `width` at a time over all batches."""

    relays: Relays
    accounts: Accounts
    store: FileStore
    yield_above: int = 32
    """Requests of waiting clients from which on no line is begun."""
    width: int = 8
    _cancelled: set[str] = field(default_factory=set)
    _room: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._room = asyncio.Semaphore(self.width)

    def cancel(self, batch: str) -> None:
        """Begin no more lines of a batch."""
        self._cancelled.add(batch)

    def is_cancelled(self, batch: str) -> bool:
        """Whether no more lines are to be begun."""
        return batch in self._cancelled

    async def answer_all(self, terms: BatchTerms, lines: Sequence[BatchLine]) -> bool:
        """Answer what no part has yet; whether all is answered, not cancelled and not too late."""
        batch = terms.batch
        known = {each.number for each in await asyncio.to_thread(self.read_parts, batch)}
        left = deque(each for each in lines if each.number not in known)
        waiting: list[BatchResult] = []
        tries: Counter[int] = Counter()

        async def work() -> None:
            pauses = 0
            while left and self._goes_on(terms):
                line = left.popleft()
                found = await self._answer(line, terms, tries)
                if isinstance(found, BatchResult):
                    waiting.append(found)
                    pauses = 0
                    continue
                left.append(line)
                await self._pause(terms, max(found, 0.5 * 2**pauses))
                pauses = min(pauses + 1, PAUSES)

        try:
            async with asyncio.TaskGroup() as tasks:
                workers = [tasks.create_task(work()) for _ in range(self.width)]
                while not all(each.done() for each in workers):
                    await asyncio.wait(workers, timeout=PART_S)
                    await self._keep(batch, waiting)
        finally:
            await self._keep(batch, waiting)
        return not left

    def read_parts(self, batch: str) -> list[BatchResult]:
        """The results of a batch so far, one of each line: its answer, where it was answered."""
        parts = [self.store.get(each) or b"" for each in self.store.names(PART)
                 if each.startswith(batch + ".")]  # fmt: skip
        results = [result for part in parts for result in read_results(part)]
        results.sort(key=lambda each: not each.is_error)
        return list({each.number: each for each in results}.values())

    def with_parts(self) -> set[str]:
        """The batches that there are parts of."""
        return {each.partition(".")[0] for each in self.store.names(PART)}

    def write_files(
        self, files: Files, document: Document, lines: Sequence[BatchLine], status: str
    ) -> dict[str, Any]:
        """Put a batch together that ends as `status`; what its document is to say of it.

        Written again, as after a kill, its files are the same ones.
        """
        batch, own = document["id"], document["id"].removeprefix("batch_")
        results = self.read_parts(batch)
        if status in UNASKED:
            known = {each.number for each in results}
            left = (each for each in lines if each.number not in known)
            results += [write_unasked(each, batch, status) for each in left]
        failed = sum(each.is_error for each in results)
        said: dict[str, Any] = {"request_counts": {
            **document["request_counts"], "completed": len(results) - failed, "failed": failed,
        }}  # fmt: skip
        for kind, is_error in (("output", False), ("error", True)):
            data = join_results(results, is_error=is_error)
            if data:
                file_id = f"file-{own}-{kind}"
                files.write(file_id, document["key"], f"{batch}_{kind}.jsonl", "batch_output", data)
                said[f"{kind}_file_id"] = file_id
        return said

    def forget(self, batch: str) -> None:
        """Remove the parts of a batch whose files are written."""
        for name in self.store.names(PART):
            if name.startswith(batch + "."):
                self.store.delete(name)
        self._cancelled.discard(batch)

    async def _keep(self, batch: str, waiting: list[BatchResult]) -> None:
        while waiting:
            part = waiting[:PART_LINES]
            name = f"{batch}.{time.time_ns():020d}{PART}"
            await asyncio.to_thread(self.store.put, name, b"".join(each.encode() for each in part))
            del waiting[: len(part)]

    async def _answer(
        self, line: BatchLine, terms: BatchTerms, tries: Counter[int]
    ) -> BatchResult | int:
        """What a line came to, or in how many seconds at the soonest it is to be asked again."""
        call = Call(Tape(None), terms.headers, line.body, is_waited_for=False)
        try:
            async with self._room:
                if not await self._yield(terms):
                    return 0
                return await self._ask(call, line, terms)
        except GatewayError as error:
            failure = error
        except Exception:
            # A line's end, like the boundary to a client: the others of its batch go on.
            request = show_request(call.id)
            logger.exception("a line failed", extra={"batch": terms.batch, "request": request})
            failure = GatewayError("the gateway failed; its log has the request's id")
        tries[line.number] += failure.status in FAILED
        again = (*NOT_NOW, *FAILED) if tries[line.number] < TRIES_MAX else NOT_NOW
        if failure.status in again and failure.retry_after_s is not None:
            return failure.retry_after_s
        return write_failure(line, call.id, failure)

    def _goes_on(self, terms: BatchTerms) -> bool:
        return not self.is_cancelled(terms.batch) and time.time() < terms.until

    async def _pause(self, terms: BatchTerms, seconds: float) -> None:
        if self._goes_on(terms):
            await asyncio.sleep(min(WAIT_S_MAX, seconds, terms.until - time.time()))

    async def _yield(self, terms: BatchTerms) -> bool:
        """Let whoever waits go first, and wait for an open session; False where it is too late."""
        while self.relays.in_flight >= self.yield_above or not self.relays.table.is_ready:
            if not self._goes_on(terms):
                return False
            await asyncio.sleep(YIELD_S)
        return True

    async def _ask(self, call: Call, line: BatchLine, terms: BatchTerms) -> BatchResult:
        call.account = self.accounts.get(terms.key_id)
        if line.error is not None:
            raise line.error
        self.relays.admission.verify_open(call.account)
        answer = await self.relays.answer(call, terms.endpoint)
        assert isinstance(answer, Response)
        return write_answer(line, call.id, answer.body)
