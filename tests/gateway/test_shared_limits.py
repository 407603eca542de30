"""Limits that replicas keep together in a real Redis: the rule of one process, however many."""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis as Client

from gateway.access.budgets import MILLIONTHS, Spending
from gateway.access.limit_scripts import SETTLE_US, SILENT_US
from gateway.access.limits import Demand, Grant, Limiter, Limits, Refusal, admit_all
from gateway.access.redis_store import RedisStore
from gateway.access.shared_limits import SharedLimits
from gateway.access.sharing import Holdings, share_of
from tests.databases import Redis, redis

__all__ = ["redis"]

START_S = 1_799_990_000
"""Some ten thousand seconds before a UTC midnight."""
SECOND_US = 10**6
DAY_US = 86_400 * SECOND_US


@dataclass
class Time:
    """One clock for all, which stands still unless told."""

    us: int = 0

    def monotonic_ns(self) -> int:
        return self.us * 1000

    def now(self) -> float:
        return START_S + self.us // SECOND_US

    def clock_us(self) -> int:
        return START_S * SECOND_US + self.us


@dataclass
class Replica:
    """One gateway's end of it, with limiters of its own over spending of its own."""

    time: Time
    store: RedisStore
    name: str
    limits: Sequence[Limits]
    replicas: int
    limiters: list[Limiter] = field(init=False)
    shared: SharedLimits = field(init=False)

    def __post_init__(self) -> None:
        self.limiters = []
        for number, each in enumerate(self.limits):
            limiter = Limiter(Spending(), name=f"key_{number}")
            limiter.set(each, self.time.monotonic_ns())
            self.limiters.append(limiter)
        self.shared = SharedLimits(
            self.store, self.name, self.replicas, lambda: self.limiters, self.time.monotonic_ns,
            self.time.now, self.time.clock_us,
        )  # fmt: skip

    async def admit(self, demand: Demand) -> tuple[Grant, ...] | Refusal:
        asking = asyncio.ensure_future(self.shared.admit(self.limiters, demand))
        await asyncio.sleep(0)
        if not asking.done():
            await self.shared.turn()
        return await asking

    async def end(self, grants: Sequence[Grant], tokens: int, cost: int) -> None:
        for each in grants:
            each.limiter.spending.charge(cost, int(self.time.now()))
            each.limiter.release(each, tokens, self.time.monotonic_ns())
        self.shared.leave(grants, tokens)
        await self.shared.turn()


@asynccontextmanager
async def replicas(
    redis: Redis, count: int, *limits: Limits
) -> AsyncIterator[tuple[Time, list[Replica]]]:
    """Replicas on a Redis that holds nothing yet, heard of and trusted by all."""
    client = Client.from_url(redis.url)
    await client.flushall()
    await client.aclose()
    time = Time()
    found = [
        Replica(time, RedisStore(redis.url), f"replica{each}", limits, count)
        for each in range(count)
    ]
    for each in found:
        await each.shared.turn()
        assert each.shared.is_away
    time.us += SETTLE_US
    for each in found:
        await each.shared.turn()
        await each.shared.turn()
        assert not each.shared.is_away
    try:
        yield time, found
    finally:
        for each in found:
            await each.store.close()


Step = tuple[int, bool, int, int, float, int]
"""Which replica, whether a request ends, cost, tokens, the share used, microseconds passed."""
LIMITS = st.builds(
    Limits,
    st.none() | st.integers(1, 6),
    st.none() | st.integers(1, 60),
    st.none() | st.integers(0, 60),
    st.none() | st.integers(0, 90),
)
STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.booleans(),
        st.integers(0, 20 * MILLIONTHS),
        st.integers(0, 40),
        st.fractions(0, 1),
        st.sampled_from([0, 0, 1, SECOND_US // 3, 7 * SECOND_US, 40 * SECOND_US, 3600 * SECOND_US]),
    ),
    max_size=30,
)


def test_replicas_decide_as_one_process_would(redis: Redis) -> None:
    """Every decision, its reason and its Retry-After, of any number of replicas."""

    @settings(max_examples=60, suppress_health_check=list(HealthCheck))
    @given(LIMITS, LIMITS, STEPS)
    def hold(key: Limits, project: Limits, steps: list[Step]) -> None:
        asyncio.run(compare(redis, (key, project), steps))

    hold()


async def compare(redis: Redis, limits: Sequence[Limits], steps: list[Step]) -> None:
    async with replicas(redis, 3, *limits) as (time, found):
        alone = Replica(time, found[0].store, "", limits, 1).limiters
        running: list[tuple[Replica, tuple[Grant, ...], tuple[Grant, ...]]] = []
        for which, is_end, cost, tokens, share, passed in steps:
            time.us += passed
            at_ns, now = time.monotonic_ns(), int(time.now())
            if is_end and running:
                replica, theirs, ours = running.pop(cost % len(running))
                used = math.floor(ours[0].demand.tokens * share)
                charged = math.floor(ours[0].demand.cost * share)
                await replica.end(theirs, used, charged)
                for each in ours:
                    each.limiter.spending.charge(charged, now)
                    each.limiter.release(each, used, at_ns)
                continue
            demand = Demand(tokens, cost)
            decided = await found[which].admit(demand)
            expected = admit_all(alone, demand, at_ns, now)
            if isinstance(expected, Refusal):
                assert decided == expected
            else:
                assert not isinstance(decided, Refusal), decided
                running.append((found[which], decided, expected))


def total(found: Sequence[Replica]) -> int:
    """What all have spent and reserved, in millionths."""
    spending = [each.limiters[0].spending for each in found]
    return sum(each.today + each.reserved for each in spending)


@pytest.mark.anyio
async def test_large_money_is_counted_exactly(redis: Redis) -> None:
    budget = 9 * 10**18
    async with replicas(redis, 2, Limits(daily_budget=budget)) as (_, (one, other)):
        assert not isinstance(await one.admit(Demand(1, budget * MILLIONTHS - 2)), Refusal)
        assert isinstance(await other.admit(Demand(1, 3)), Refusal)
        assert not isinstance(await other.admit(Demand(1, 2)), Refusal)
        assert isinstance(await one.admit(Demand(1, 1)), Refusal)


@pytest.mark.anyio
async def test_without_redis_the_replicas_together_stay_within_what_was_left(
    redis: Redis,
) -> None:
    limits = Limits(daily_budget=100, requests_per_minute=30)
    async with replicas(redis, 3, limits) as (_, found):
        for each in found:
            grants = await each.admit(Demand(1, 10 * MILLIONTHS))
            assert not isinstance(grants, Refusal)
        for each in found:  # to hear of the others
            assert not isinstance(await each.admit(Demand(0, 0)), Refusal)
        redis.kill()
        try:
            for each in found:
                while not isinstance(await each.admit(Demand(1, 3 * MILLIONTHS)), Refusal):
                    assert each.shared.is_away
                assert each.limiters[0].spending.reserved > 10 * MILLIONTHS
            assert total(found) <= 100 * MILLIONTHS
        finally:
            redis.start()


@pytest.mark.anyio
async def test_a_redis_that_forgot_everything_is_told_again_before_it_is_asked(
    redis: Redis,
) -> None:
    async with replicas(redis, 2, Limits(daily_budget=100)) as (time, found):
        one, other = found
        for each in found:
            assert not isinstance(await each.admit(Demand(1, 40 * MILLIONTHS)), Refusal)
        assert not isinstance(await one.admit(Demand(0, 0)), Refusal)  # to hear of the other
        redis.restart()
        for each in found:
            await each.shared.turn()
            await each.shared.turn()
            assert each.shared.is_away
        share = await one.admit(Demand(1, 10 * MILLIONTHS))
        assert not isinstance(share, Refusal)
        assert isinstance(await one.admit(Demand(1, MILLIONTHS)), Refusal)
        time.us += SETTLE_US
        for each in found * 2:
            await each.shared.turn()
        assert isinstance(await other.admit(Demand(1, 11 * MILLIONTHS)), Refusal)
        assert not isinstance(await other.admit(Demand(1, 10 * MILLIONTHS)), Refusal)
        assert total(found) == 100 * MILLIONTHS


@pytest.mark.anyio
async def test_what_a_silent_replica_had_reserved_is_free_again_what_it_spent_is_not(
    redis: Redis,
) -> None:
    async with replicas(redis, 2, Limits(daily_budget=10)) as (time, (one, other)):
        grants = await one.admit(Demand(1, 3 * MILLIONTHS))
        assert not isinstance(grants, Refusal)
        await one.end(grants, 1, 3 * MILLIONTHS)
        assert not isinstance(await one.admit(Demand(1, 6 * MILLIONTHS)), Refusal)
        assert isinstance(await other.admit(Demand(1, 2 * MILLIONTHS)), Refusal)
        time.us += SILENT_US + 1
        await other.shared.turn()
        assert isinstance(await other.admit(Demand(1, 8 * MILLIONTHS)), Refusal)
        assert not isinstance(await other.admit(Demand(1, 7 * MILLIONTHS)), Refusal)


@pytest.mark.anyio
async def test_what_a_replica_reserved_is_held_for_as_long_as_it_lives(redis: Redis) -> None:
    async with replicas(redis, 2, Limits(daily_budget=10)) as (time, (one, other)):
        assert not isinstance(await one.admit(Demand(1, 6 * MILLIONTHS)), Refusal)
        for _ in range(8):  # the request goes on, and nothing else happens there
            time.us += SILENT_US // 3
            await one.shared.turn()
            assert isinstance(await other.admit(Demand(1, 5 * MILLIONTHS)), Refusal)


@pytest.mark.anyio
async def test_to_be_let_in_is_to_be_heard(redis: Redis) -> None:
    async with replicas(redis, 2, Limits(daily_budget=10)) as (time, (one, other)):
        await one.shared.turn()
        time.us += SILENT_US - 1
        assert not isinstance(await one.admit(Demand(1, 6 * MILLIONTHS)), Refusal)
        time.us += 2
        assert isinstance(await other.admit(Demand(1, 5 * MILLIONTHS)), Refusal)


@pytest.mark.anyio
async def test_a_client_that_leaves_while_it_waits_reserves_nothing(redis: Redis) -> None:
    async with replicas(redis, 1, Limits(daily_budget=10, tokens_per_minute=5)) as (_, (one,)):
        asking = asyncio.ensure_future(one.shared.admit(one.limiters, Demand(5, 10 * MILLIONTHS)))
        await asyncio.sleep(0)
        turning = asyncio.ensure_future(one.shared.turn())
        await asyncio.sleep(0)
        asking.cancel()
        await turning
        await one.shared.turn()
        assert one.limiters[0].spending.reserved == 0
        assert not isinstance(await one.admit(Demand(0, 10 * MILLIONTHS)), Refusal)


@given(
    st.lists(st.tuples(st.integers(0, 10**8), st.integers(0, 10**8)), min_size=1, max_size=5),
    st.integers(0, 500),
    st.integers(10**6, 10**8),
)
def test_shares_never_add_up_to_more_than_the_budget(
    parts: list[tuple[int, int]], budget: int, cost: int
) -> None:
    spent = sum(today + reserved for today, reserved in parts)
    taken = spent
    for today, reserved in parts:
        mine = Spending(today, 0, reserved)
        mine.turn(START_S)
        mine.today = today
        limiter = Limiter(mine)
        limiter.set(Limits(daily_budget=budget), 0)
        others = Holdings(
            sum(each[0] for each in parts) - today, 0, sum(each[1] for each in parts) - reserved
        )
        share = share_of(limiter, others, len(parts), 0)
        before = mine.reserved
        while not isinstance(admit_all([share], Demand(1, cost), 0, START_S), Refusal):
            pass
        taken += mine.reserved - before
    assert taken <= max(spent, budget * MILLIONTHS)
