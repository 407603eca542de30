"""Recounting answers in a process of its own, off the latency path and away from the keys.

Tokenizer and template come from strangers. They are identified by digest, run under the limits of
`Recounter`, and in a worker that has a deadline and nothing worth stealing; one that overruns it
is killed and started afresh.
"""

import asyncio
import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from gateway.api.openai import PromptOverhead
from gateway.edge.counting import TailCounter, TailFiles
from gateway.settlement.counting import UNKNOWN, Count, CountFiles, CountJob, ServiceCounter
from relay_mining import Hash32, RecountError

DEADLINE_S = 60.0
NICE = 10
"""The worker yields to whoever serves clients on the same cores."""
T = TypeVar("T")
R = TypeVar("R")

Files = CountFiles | TailFiles

_counters: dict[Hash32, ServiceCounter | TailCounter] = {}
"""In the worker process: one counter a service."""


def load_files(files: Files) -> PromptOverhead:
    """Prepare to count for a service, and say what its template adds (runs in the worker)."""
    counter = TailCounter(files) if isinstance(files, TailFiles) else ServiceCounter(files)
    _counters[files.service] = counter
    return counter.measure_overhead()


def count_jobs(jobs: Sequence[CountJob]) -> list[Count]:
    """Count several answers (runs in the worker)."""
    return [_counters[job.service].count(job) for job in jobs]


def begin() -> None:
    """Yield to others, and end with the gateway however that ends (runs in the worker)."""
    os.nice(NICE)
    threading.Thread(target=_end_with_gateway, daemon=True).start()


def _end_with_gateway() -> None:
    gateway = multiprocessing.parent_process()
    if gateway is not None:
        gateway.join()
        os._exit(1)


class RecountWorker:
    """The worker process; `count` answers UNKNOWN for what it cannot count in time."""

    def __init__(self, deadline_s: float = DEADLINE_S) -> None:
        self._deadline_s = deadline_s
        self._files: dict[Hash32, tuple[Files, PromptOverhead]] = {}
        self._loaded: set[Hash32] = set()
        """The services whose files the worker that runs now has."""
        self._executor = self._start()
        self._lock = asyncio.Lock()

    async def load(self, files: Files) -> PromptOverhead:
        """Prepare to count for a service; returns what its template adds to a prompt.

        Raises RecountError for files that do not load.
        """
        async with self._lock:
            known = self._files.get(files.service)
            if known is not None:
                return known[1]
            try:
                overhead = await self._run(load_files, files)
            except (TimeoutError, BrokenProcessPool) as error:
                self._restart()
                raise RecountError("the service's tokenizer does not load") from error
            self._files[files.service] = (files, overhead)
            self._loaded.add(files.service)
            return overhead

    async def count(self, jobs: Sequence[CountJob]) -> list[Count]:
        """Counts in the order of the jobs."""
        async with self._lock:
            try:
                return await self._count(jobs)
            except (TimeoutError, BrokenProcessPool):
                self._restart()
            return [await self._count_alone(job) for job in jobs]

    async def _count_alone(self, job: CountJob) -> Count:
        """One answer by itself, after a batch that held something uncountable."""
        try:
            return (await self._count([job]))[0]
        except (TimeoutError, BrokenProcessPool):
            self._restart()
            return UNKNOWN

    async def _count(self, jobs: Sequence[CountJob]) -> list[Count]:
        for service in {job.service for job in jobs} - self._loaded:
            await self._run(load_files, self._files[service][0])
            self._loaded.add(service)
        return await self._run(count_jobs, list(jobs))

    async def _run(self, function: Callable[[T], R], argument: T) -> R:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._deadline_s):
            return await loop.run_in_executor(self._executor, function, argument)

    def _restart(self) -> None:
        """Start afresh; files are loaded again where they are wanted."""
        self.close()
        self._executor = self._start()
        self._loaded.clear()

    def _start(self) -> ProcessPoolExecutor:
        spawn = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, spawn, initializer=begin)

    def close(self) -> None:
        """Kill the worker, whatever it is doing."""
        for process in (self._executor._processes or {}).values():
            process.kill()
        self._executor.shutdown(wait=False, cancel_futures=True)
