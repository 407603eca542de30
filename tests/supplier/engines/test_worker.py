"""The thread's bounds and its end: what is refused, what is freed, what a defect does."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from supplier.engines.embedded.errors import EngineError, OverloadedError
from supplier.engines.embedded.sampler import SamplingParams
from supplier.engines.embedded.scheduler import Scheduler
from supplier.engines.embedded.sequence import Job
from supplier.engines.embedded.worker import Generation, Worker
from tests.supplier.engines.parts import demo_model, demo_tokenizer, encode

GREEDY = SamplingParams(temperature=0.0)
SHORT = Job(encode("Hello"), 3, GREEDY)
LONG = Job(encode("Hello"), 1000, GREEDY)
BROKEN = Job((demo_model().config.vocabulary,), 1, GREEDY)  # no such token: the step raises


def run(act: Callable[[Worker], Awaitable[None]], slots: int = 2, places: int = 3) -> None:
    async def main() -> None:
        scheduler = Scheduler(demo_model(), slots)
        async with Worker(scheduler, demo_tokenizer(), places) as worker, asyncio.timeout(30):
            await act(worker)

    asyncio.run(main())


async def count(generation: Generation) -> int:
    return len([event async for event in generation])


def test_all_places_can_be_taken_and_not_one_more() -> None:
    async def act(worker: Worker) -> None:
        first = worker.submit([SHORT, replace(SHORT, choice=1)])
        with pytest.raises(OverloadedError):
            worker.submit([SHORT, SHORT])
        second = worker.submit([SHORT])
        with pytest.raises(OverloadedError):
            worker.submit([SHORT])
        assert await asyncio.gather(count(first), count(second)) == [6, 3]
        assert worker.in_flight == 0
        assert await count(worker.submit([SHORT] * 3)) == 9

    run(act)


def test_an_aborted_request_gives_its_slot_to_the_next() -> None:
    async def act(worker: Worker) -> None:
        endless = worker.submit([LONG])
        waiting = worker.submit([SHORT])
        async for _ in endless:
            break
        worker.abort(endless)
        worker.abort(endless)
        assert worker.in_flight == 1
        assert await count(waiting) == 3
        assert await count(worker.submit([SHORT])) == 3

    run(act, slots=1)


def test_aborting_before_the_first_step_leaves_nothing() -> None:
    async def act(worker: Worker) -> None:
        generation = worker.submit([LONG])
        worker.abort(generation)
        with pytest.raises(EngineError):
            await count(generation)
        assert worker.in_flight == 0
        assert await count(worker.submit([SHORT])) == 3

    run(act, slots=1, places=1)


def test_a_defect_ends_every_request_and_the_engine() -> None:
    async def act(worker: Worker) -> None:
        bystander, broken = worker.submit([LONG]), worker.submit([BROKEN])
        for generation in (bystander, broken):
            with pytest.raises(EngineError):
                await count(generation)
        with pytest.raises(IndexError):
            await worker.wait_broken()
        assert not worker.is_running
        with pytest.raises(EngineError):
            worker.submit([SHORT])

    run(act)


def test_the_event_loop_stays_free_while_tokens_are_computed() -> None:
    async def act(worker: Worker) -> None:
        generation, turns = asyncio.ensure_future(count(worker.submit([LONG]))), 0
        while not generation.done():
            await asyncio.sleep(0)
            turns += 1
        assert generation.result() == 1000
        assert turns > 1000

    run(act)
