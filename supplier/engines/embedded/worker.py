"""Runs the scheduler in one thread, so that the event loop stays free; bounds what is accepted.

Between steps only, arrivals join and departures leave: nothing is shared while a step runs.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from supplier.engines.embedded.errors import EngineError, OverloadedError
from supplier.engines.embedded.scheduler import Scheduler
from supplier.engines.embedded.sequence import Finish, Job, TokenEvent
from supplier.engines.embedded.sequence import Sequence as Running
from supplier.engines.embedded.tokenizer import TextTokenizer

__all__ = ["Generation", "Worker"]


class Generation:
    """The tokens of the jobs of one request, in the order they come; iterate it once."""

    def __init__(self, jobs: int) -> None:
        self._events: asyncio.Queue[TokenEvent] = asyncio.Queue()  # at most max_tokens a job
        self._open = jobs

    def put(self, event: TokenEvent) -> None:
        """Hand in the next event of one of the jobs."""
        self._events.put_nowait(event)

    async def __aiter__(self) -> AsyncIterator[TokenEvent]:
        """Yield each token until every job has finished; EngineError where the engine broke."""
        while self._open:
            event = await self._events.get()
            self._open -= event.finish is not None
            if event.token is None:
                raise EngineError("the engine stopped before the answer was complete")
            yield event


class Worker:
    """The engine as the event loop sees it; an async context manager."""

    def __init__(self, scheduler: Scheduler, tokenizer: TextTokenizer, places: int) -> None:
        """`places`: how many sequences may run or wait at once, in all."""
        self._scheduler = scheduler
        self._tokenizer = tokenizer
        self._places = places
        self._owners: dict[Running, Generation] = {}
        self._arrivals: list[Running] = []
        self._departures: list[Running] = []
        self._wake = asyncio.Event()
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedded-engine")
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Worker":
        self._task = asyncio.create_task(self._run(), name="embedded-engine")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._executor.shutdown(wait=True)

    @property
    def in_flight(self) -> int:
        """How many sequences run or wait, those just aborted not counted."""
        return len(self._owners)

    @property
    def is_running(self) -> bool:
        """Whether requests can be computed."""
        return self._task is not None and not self._task.done()

    async def wait_broken(self) -> None:
        """Return never; raises what broke the engine, when it breaks."""
        if self._task is not None:
            await asyncio.shield(self._task)

    def submit(self, jobs: Sequence[Job]) -> Generation:
        """Start a request's jobs, all or none; OverloadedError where places are short."""
        if not self.is_running:
            raise EngineError("the engine is not running")
        if len(self._owners) + len(jobs) > self._places:
            raise OverloadedError("the engine is at capacity; try again later")
        generation = Generation(len(jobs))
        for job in jobs:
            sequence = Running(job, self._tokenizer)
            self._owners[sequence] = generation
            self._arrivals.append(sequence)
        self._wake.set()
        return generation

    def abort(self, generation: Generation) -> None:
        """End what is left of a request; its slots are free before the next step."""
        left = [sequence for sequence, owner in self._owners.items() if owner is generation]
        for sequence in left:
            del self._owners[sequence]
            self._departures.append(sequence)
            generation.put(TokenEvent(sequence.job.choice, None, finish=Finish("abort")))
        self._wake.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                await self._wake.wait()
                if not self._change():
                    self._wake.clear()
                    continue
                events = await loop.run_in_executor(self._executor, self._scheduler.step)
                self._deliver(events)
        finally:
            for sequence, generation in self._owners.items():
                generation.put(TokenEvent(sequence.job.choice, None, finish=Finish("abort")))
            self._owners.clear()

    def _change(self) -> bool:
        """Let arrivals in and departures out; return whether there is anything to compute."""
        for sequence in self._arrivals:
            self._scheduler.add(sequence)
        for sequence in self._departures:
            self._scheduler.remove(sequence)
        self._arrivals.clear()
        self._departures.clear()
        return self._scheduler.running + self._scheduler.waiting > 0

    def _deliver(self, events: list[tuple[Running, TokenEvent]]) -> None:
        for sequence, event in events:
            # a sequence aborted while its step ran has no owner any more
            generation = self._owners.get(sequence)
            if generation is None:
                continue
            generation.put(event)
            if event.finish is not None:
                del self._owners[sequence]
