"""Settling works answers off in lots; none is lost when it is broken off."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.settlement.counting import Count, CountJob
from gateway.settlement.recounting import RecountWorker
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, Gateway, a_gateway

HI = [{"role": "user", "content": "hi"}]


class HeldWorker:
    """A recount worker that starts on a lot only when it is let; keeps the sizes it was given."""

    def __init__(self, worker: RecountWorker) -> None:
        self.worker = worker
        self.sizes: list[int] = []
        self.started = asyncio.Event()
        self.go = asyncio.Event()

    async def count(self, jobs: Sequence[CountJob]) -> list[Count]:
        self.sizes.append(len(jobs))
        self.started.set()
        await self.go.wait()
        return await self.worker.count(jobs)


async def ask(gateway: Gateway, count: int) -> None:
    async with gateway.client() as client:
        for _ in range(count):
            await client.chat.completions.create(model=MODEL, messages=HI)


@pytest.mark.anyio
async def test_what_comes_while_a_lot_is_counted_is_the_next_lot(tmp_path: Path) -> None:
    async with a_gateway(tmp_path, FakeSupplier("honest")) as gateway, asyncio.timeout(20):
        held = HeldWorker(gateway.settler.worker)
        gateway.settler.worker = held  # type: ignore[assignment]
        await ask(gateway, 1)
        await held.started.wait()
        await ask(gateway, 5)
        assert gateway.settler.waiting == 6
        held.go.set()
        await gateway.settled()
        assert held.sizes == [1, 5]
        assert len(gateway.recounts) == 6


@pytest.mark.anyio
async def test_a_lot_whose_work_is_broken_off_is_settled_at_the_end(tmp_path: Path) -> None:
    async with a_gateway(tmp_path, FakeSupplier("honest")) as gateway, asyncio.timeout(20):
        held = HeldWorker(gateway.settler.worker)
        gateway.settler.worker = held  # type: ignore[assignment]
        await ask(gateway, 2)
        await held.started.wait()
        half_way = asyncio.create_task(gateway.settler.drain())
        await asyncio.sleep(0)
        half_way.cancel()
        await asyncio.gather(half_way, return_exceptions=True)
        assert gateway.settler.waiting == 2
        held.go.set()
        await gateway.settled()
        assert len(gateway.recounts) == 2
