"""Two gateways that serve as one, before fake suppliers: budgets and answers that they share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest

from gateway.access.api_keys import KeyTerms
from gateway.access.redis_store import RedisStore
from gateway.access.shared_limits import SharedLimits
from gateway.api.file_store import DirectoryStore
from tests.databases import Redis, redis
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, Gateway, a_gateway

__all__ = ["redis"]

pytestmark = pytest.mark.anyio

HI = [{"role": "user", "content": "hi"}]
BUDGET = 14
"""Token base units a day: some twenty answers; one may take four at most."""


Pair = tuple[list[Gateway], list[openai.AsyncOpenAI]]


@asynccontextmanager
async def two(tmp_path: Path, **options: Any) -> AsyncIterator[Pair]:
    """Two gateways with the first one's key, and a client of each."""
    async with AsyncExitStack() as stack:
        pair = [
            await stack.enter_async_context(
                a_gateway(tmp_path / name, FakeSupplier(name), **options)
            )
            for name in ("one", "two")
        ]
        pair[1].accounts.load(pair[0].keys.list())
        yield (
            pair,
            [await stack.enter_async_context(each.client(pair[0].key)) for each in pair],
        )


@asynccontextmanager
async def sharing(pair: list[Gateway], redis: Redis) -> AsyncIterator[list[SharedLimits]]:
    """Have gateways keep limits together, and wait until they do."""
    found, tasks = list[SharedLimits](), list[asyncio.Task[None]]()
    for number, gateway in enumerate(pair):
        shared = SharedLimits(
            RedisStore(redis.url), f"replica{number}", len(pair), gateway.accounts.limiters
        )
        relays = gateway.plane.relays
        relays.admission = replace(relays.admission, shared=shared)
        found.append(shared)
        tasks.append(asyncio.create_task(shared.run()))
    try:
        await until_shared(found)
        yield found
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for each in found:
            await each.store.close()


async def until_shared(found: list[SharedLimits]) -> None:
    async with asyncio.timeout(20):
        while any(each.is_away for each in found):
            await asyncio.sleep(0.02)


async def ask(client: openai.AsyncOpenAI, **options: Any) -> Any:
    return await client.chat.completions.create(model=MODEL, messages=HI, max_tokens=50, **options)


async def try_one(client: openai.AsyncOpenAI) -> str:
    """When a request may be sent again; empty where it was answered."""
    try:
        await ask(client)
    except openai.RateLimitError as error:
        assert error.code == "insufficient_quota"
        return error.response.headers["retry-after"]
    return ""


def spent(pair: list[Gateway]) -> int:
    """What the key has spent at all gateways, in millionths."""
    return sum(each.ledger.spending[pair[0].key_id].today for each in pair)


async def test_gateways_at_once_never_overspend_a_budget_together(
    tmp_path: Path, redis: Redis
) -> None:
    terms = KeyTerms(daily_budget=BUDGET)
    async with two(tmp_path, terms=terms) as (pair, clients), sharing(pair, redis):
        waits = set[str]()
        while not waits or waits & {"", "1"}:  # until nothing is left, rather than reserved
            waits = set(await asyncio.gather(*(try_one(clients[n % 2]) for n in range(12))))
            assert spent(pair) <= BUDGET * 10**6
        for each in pair:
            await each.settled()
        assert (BUDGET - 4) * 10**6 < spent(pair) <= BUDGET * 10**6
        assert all(each.ledger.spending[pair[0].key_id].today for each in pair)


async def test_without_redis_requests_go_on_within_the_budget_and_nobody_is_told_401(
    tmp_path: Path, redis: Redis
) -> None:
    terms = KeyTerms(daily_budget=2 * BUDGET)
    async with (
        two(tmp_path, terms=terms) as (pair, clients),
        sharing(pair, redis) as shared,
    ):
        for each in clients * 2:
            assert await try_one(each) == ""
        await asyncio.to_thread(redis.kill)
        assert [await try_one(each) for each in clients] == ["", ""]
        assert all(each.is_away for each in shared)
        for each in clients:
            while await try_one(each) == "":
                assert spent(pair) <= 2 * BUDGET * 10**6
        before = spent(pair)
        await asyncio.to_thread(redis.start)
        await until_shared(shared)
        while await try_one(clients[0]) == "":
            pass
        assert before <= spent(pair) <= 2 * BUDGET * 10**6
        assert await try_one(clients[1]) != ""


async def test_an_idempotency_key_is_answered_once_by_all_gateways(tmp_path: Path) -> None:
    async with two(tmp_path) as (pair, clients):
        for name, each in zip(("one", "two"), pair, strict=True):
            each.once.store, each.once.replica = DirectoryStore(tmp_path / "shared"), name
        supplier, other = (each.suppliers[0] for each in pair)
        supplier.pause = asyncio.Event()

        async def stream(client: openai.AsyncOpenAI) -> list[str]:
            headers = {"idempotency-key": "same"}
            chunks = await ask(client, stream=True, extra_headers=headers)
            return [chunk.id async for chunk in chunks]

        first = asyncio.create_task(stream(clients[0]))
        async with asyncio.timeout(10):
            while not supplier.served:
                await asyncio.sleep(0.01)
        pair[1].once.recover(())  # a start leaves the marks of others
        second = asyncio.create_task(stream(clients[1]))
        await asyncio.sleep(0)
        supplier.pause.set()
        assert await second == await first
        assert (supplier.served, other.served) == (1, 0)
