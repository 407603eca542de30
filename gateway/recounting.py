"""Recounting answers in a process of its own, off the latency path and away from the keys.

Tokenizer and template come from strangers. They are identified by digest, run under the limits of
`Recounter`, and in a worker that has a deadline and nothing worth stealing; one that overruns it
is killed and started afresh.
"""

import asyncio
import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import orjson

from gateway.answers import read_choices
from relay_mining import Hash32, Recounter, RecountError, TemplateError

DEADLINE_S = 60.0
NICE = 10
"""The worker yields to whoever serves clients on the same cores."""
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class CountFiles:
    """What a service counts with, as verified bytes."""

    service: Hash32
    tokenizer: bytes
    chat_template: str | None


class CountJob(NamedTuple):
    """One answer to count; a tuple, since every one goes through a pipe."""

    service: Hash32
    body: bytes
    answer: bytes
    is_chat: bool
    is_stream: bool


class Count(NamedTuple):
    """Tokens as the gateway counts them; None where it cannot say."""

    input_tokens: int | None
    output_tokens: int | None
    output_tokens_max: int | None
    """The most an honest supplier can have counted."""


UNKNOWN = Count(None, None, None)
_recounters: dict[Hash32, Recounter] = {}
"""In the worker process: one recounter a service."""


def load_files(files: CountFiles) -> None:
    """Prepare to count for a service (runs in the worker)."""
    _recounters[files.service] = Recounter(files.tokenizer, files.chat_template)


def count_jobs(jobs: Sequence[CountJob]) -> list[Count]:
    """Count several answers (runs in the worker)."""
    return [count_job(_recounters[job.service], job) for job in jobs]


def count_job(recounter: Recounter, job: CountJob) -> Count:
    """Count one answer: the prompt by the service's template, each choice by ids or text."""
    members = orjson.loads(job.body)
    stop = members.get("stop") or ()
    inputs = _count_input(recounter, members, job.is_chat)
    try:
        outputs = [
            recounter.recount_output(
                each.text, each.token_ids, (stop,) if isinstance(stop, str) else stop
            )
            for each in read_choices(job.answer, job.is_stream)
        ]
    except RecountError:
        return Count(inputs, None, None)
    return Count(
        inputs, sum(each.tokens for each in outputs), sum(each.tokens_max for each in outputs)
    )


def _count_input(recounter: Recounter, members: Mapping[str, Any], is_chat: bool) -> int | None:
    try:
        if is_chat:
            return recounter.count_prompt(members["messages"])
        prompt = members["prompt"]
        prompts = [prompt] if isinstance(prompt, str) or isinstance(prompt[0], int) else prompt
        return sum(recounter.count_prompt(each) for each in prompts)
    except (RecountError, TemplateError):
        return None


class RecountWorker:
    """The worker process; `count` answers UNKNOWN for what it cannot count in time."""

    def __init__(self, deadline_s: float = DEADLINE_S) -> None:
        self._deadline_s = deadline_s
        self._files: dict[Hash32, CountFiles] = {}
        self._executor = self._start()
        self._lock = asyncio.Lock()

    async def load(self, files: CountFiles) -> None:
        """Prepare to count for a service; raises RecountError for files that do not load."""
        async with self._lock:
            if files.service in self._files:
                return
            try:
                await self._run(load_files, files)
            except (TimeoutError, BrokenProcessPool) as error:
                await self._restart()
                raise RecountError("the service's tokenizer does not load") from error
            self._files[files.service] = files

    async def count(self, jobs: Sequence[CountJob]) -> list[Count]:
        """Counts in the order of the jobs."""
        async with self._lock:
            try:
                return await self._run(count_jobs, list(jobs))
            except (TimeoutError, BrokenProcessPool):
                await self._restart()
            return [await self._count_alone(job) for job in jobs]

    async def _count_alone(self, job: CountJob) -> Count:
        """One answer by itself, after a batch that held something uncountable."""
        try:
            return (await self._run(count_jobs, [job]))[0]
        except (TimeoutError, BrokenProcessPool):
            await self._restart()
            return UNKNOWN

    async def _run(self, function: Callable[[T], R], argument: T) -> R:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._deadline_s):
            return await loop.run_in_executor(self._executor, function, argument)

    async def _restart(self) -> None:
        self.close()
        self._executor = self._start()
        for files in self._files.values():
            await self._run(load_files, files)

    def _start(self) -> ProcessPoolExecutor:
        spawn = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, spawn, initializer=os.nice, initargs=(NICE,))

    def close(self) -> None:
        """Kill the worker, whatever it is doing."""
        for process in (self._executor._processes or {}).values():
            process.kill()
        self._executor.shutdown(wait=False, cancel_futures=True)
