"""Answering the lines of batches: few at a time, after whoever waits, kept part by part.

What is answered is in a part before it counts as answered. A kill loses no line and doubles none:
lines that were under way, or answered and in no part yet, are asked again.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.access.accounts import Accounts
from gateway.api.batch_lines import (
    BatchLine,
    BatchResult,
    join_results,
    read_results,
    write_answer,
    write_failure,
)
from gateway.api.file_store import FileStore
from gateway.api.files import Files
from gateway.api.openai import Endpoint
from gateway.api.tape import Tape
from gateway.books.lines import show_request
from gateway.errors import GatewayError
from gateway.routing.relaying import Call, Relays
from node.http import Headers, Response

logger = logging.getLogger("gateway.api.batch_run")

PART = ".part"
PART_S = 0.5
PART_LINES = 200
"""Results are kept together at most this long, and at most so many."""
TRIES_MAX = 8
WAIT_S_MAX = 30.0
YIELD_S = 0.02
RETRIED = (429, 502, 503, 504)


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

    async def answer_all(
        self, batch: str, endpoint: Endpoint, lines: Sequence[BatchLine], key_id: str, until: int
    ) -> bool:
        """Answer what no part has yet; whether all is answered, not cancelled and not too late."""
        known = {each.number for each in await asyncio.to_thread(self.read_parts, batch)}
        left = [each for each in reversed(lines) if each.number not in known]
        waiting: list[BatchResult] = []

        async def work() -> None:
            while left and not self.is_cancelled(batch) and time.time() < until:
                line = left.pop()
                found = await self._answer(line, endpoint, key_id, batch, until)
                if found is None:
                    left.append(line)
                    return
                waiting.append(found)

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

    def write_files(self, files: Files, key_id: str, batch: str, total: int) -> dict[str, Any]:
        """Put the parts of a batch of `total` lines together; what it is to say of its files."""
        results = self.read_parts(batch)
        failed = sum(each.is_error for each in results)
        said: dict[str, Any] = {"request_counts": {
            "total": total, "completed": len(results) - failed, "failed": failed,
        }}  # fmt: skip
        for name, is_error in (("output_file_id", False), ("error_file_id", True)):
            data = join_results(results, is_error=is_error)
            if data:
                filename = f"{batch}_{'errors' if is_error else 'output'}.jsonl"
                said[name] = files.write(key_id, filename, "batch_output", data)["id"]
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
        self, line: BatchLine, endpoint: Endpoint, key_id: str, batch: str, until: int
    ) -> BatchResult | None:
        """What a line came to; None where it was not asked before its batch was over."""
        for attempt in range(TRIES_MAX):
            call = Call(Tape(None), Headers(()), line.body, is_waited_for=False)
            try:
                async with self._room:
                    if not await self._yield(batch, until):
                        return None
                    return await self._ask(call, line, endpoint, key_id)
            except GatewayError as error:
                failure = error
            except Exception:
                # A line's end, like the boundary to a client: the others of its batch go on.
                request = show_request(call.id)
                logger.exception("a line failed", extra={"batch": batch, "request": request})
                failure = GatewayError("the gateway failed; its log has the request's id")
            if failure.status not in RETRIED or failure.retry_after_s is None:
                break
            if self.is_cancelled(batch):
                return None
            await asyncio.sleep(min(WAIT_S_MAX, max(failure.retry_after_s, 0.5 * 2**attempt)))
        return write_failure(line, call.id, failure)

    async def _yield(self, batch: str, until: int) -> bool:
        """Let whoever waits go first, and wait for an open session; False where it is too late."""
        while self.relays.in_flight >= self.yield_above or not self.relays.table.is_ready:
            if self.is_cancelled(batch) or time.time() >= until:
                return False
            await asyncio.sleep(YIELD_S)
        return True

    async def _ask(
        self, call: Call, line: BatchLine, endpoint: Endpoint, key_id: str
    ) -> BatchResult:
        call.account = self.accounts.get(key_id)
        if line.error is not None:
            raise line.error
        self.relays.admission.verify_open(call.account)
        answer = await self.relays.answer(call, endpoint)
        assert isinstance(answer, Response)
        return write_answer(line, call.id, answer.body)
