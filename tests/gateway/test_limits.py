"""The pure limiter: no interleaving overspends, no answer about waiting is wrong."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.budgets import DAY_S, MILLIONTHS, Spending, end_of_day, end_of_month
from gateway.access.limits import (
    MINUTE_NS,
    SECOND_NS,
    Bucket,
    Demand,
    Grant,
    Limit,
    Limiter,
    Limits,
    Refusal,
    admit_all,
)

START_S = 1_799_990_000
"""Some ten thousand seconds before a UTC midnight."""


def a_limiter(spending: Spending | None = None, **limits: int) -> Limiter:
    limiter = Limiter(spending or Spending())
    limiter.set(Limits(**limits), 0)
    return limiter


def decide(limiter: Limiter, tokens: int, cost: int, at_ns: int, now: int) -> Grant | Refusal:
    decision = admit_all([limiter], Demand(tokens, cost), at_ns, now)
    return decision if isinstance(decision, Refusal) else decision[0]


def refuse(limiter: Limiter, tokens: int, cost: int, at_ns: int, now: int) -> Refusal:
    decision = decide(limiter, tokens, cost, at_ns, now)
    assert isinstance(decision, Refusal)
    return decision


def admit(limiter: Limiter, tokens: int, cost: int, at_ns: int, now: int) -> Grant:
    decision = decide(limiter, tokens, cost, at_ns, now)
    assert isinstance(decision, Grant), decision
    return decision


STEP = st.tuples(
    st.sampled_from(["admit", "end", "refund"]),
    st.integers(0, 40 * MILLIONTHS),
    st.fractions(0, 1),
    st.integers(0, DAY_S),
)


@given(st.lists(STEP, max_size=60), st.integers(0, 100), st.integers(0, 300))
def test_no_interleaving_overspends_a_budget(
    steps: list[tuple[str, int, float, int]], daily: int, monthly: int
) -> None:
    spending = Spending()
    limiter = a_limiter(spending, daily_budget=daily, monthly_budget=monthly)
    now, running, days, months = START_S, list[Grant](), dict[int, int](), dict[int, int]()

    def charge(cost: int) -> None:
        spending.charge(cost, now)
        day, month = now // DAY_S, datetime.fromtimestamp(now, UTC).month
        days[day] = max(0, days.get(day, 0) + cost)
        months[month] = max(0, months.get(month, 0) + cost)

    for kind, cost, share, passed in steps:
        now += passed // 10
        if kind == "admit":
            decision = decide(limiter, 1, cost, 0, now)
            running += [decision] if isinstance(decision, Grant) else []
        elif kind == "end" and running:
            grant = running.pop(cost % len(running))
            charge(math.floor(grant.demand.cost * share))
            limiter.release(grant, 0, 0)
        elif kind == "refund":
            charge(-cost)
        assert spending.reserved == sum(each.demand.cost for each in running)
        assert spending.today + spending.reserved >= 0
    assert all(spent <= daily * MILLIONTHS for spent in days.values())
    assert all(spent <= monthly * MILLIONTHS for spent in months.values())


@given(
    st.lists(st.tuples(st.integers(0, 60), st.fractions(0, 1), st.integers(0, 90), st.booleans())),
    st.integers(1, 100),
)
def test_no_stretch_of_time_sees_more_tokens_than_its_share(
    steps: list[tuple[int, float, int, bool]], limit: int
) -> None:
    """Tokens count when their request is let in: at most a minute's worth and the time's."""
    limiter = a_limiter(tokens_per_minute=limit)
    at_ns, running, used = 0, list[tuple[int, Grant]](), dict[int, tuple[int, int]]()
    for number, (tokens, share, passed, is_end) in enumerate(steps):
        at_ns += passed * SECOND_NS // 3
        if is_end and running:
            which, grant = running.pop(tokens % len(running))
            spent = math.floor(grant.demand.tokens * share)
            used[which] = (grant.at_ns, spent)
            limiter.release(grant, spent, at_ns)
        else:
            decision = decide(limiter, tokens, 0, at_ns, START_S)
            if isinstance(decision, Grant):
                running.append((number, decision))
                used[number] = (at_ns, tokens)
    taken = [used[number] for number in sorted(used)]
    for first, (start, _) in enumerate(taken):
        total = 0
        for end, tokens in taken[first:]:
            total += tokens
            assert total * MINUTE_NS <= limit * (MINUTE_NS + end - start)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 30))),
    st.integers(0, 50),
    st.integers(1, 60),
    st.integers(1, 60),
    st.integers(0, 90),
)
def test_a_refusal_says_truly_when_to_come_again(
    before: list[tuple[int, int]], tokens: int, rpm: int, tpm: int, budget: int
) -> None:
    limiter = a_limiter(requests_per_minute=rpm, tokens_per_minute=tpm, daily_budget=budget)
    at_ns, now, cost = 0, START_S, tokens * MILLIONTHS
    for each, passed in before:
        at_ns, now = at_ns + passed * SECOND_NS, now + passed
        decision = decide(limiter, each, each * MILLIONTHS, at_ns, now)
        if isinstance(decision, Grant):
            limiter.spending.charge(decision.demand.cost, now)
            limiter.release(decision, each, at_ns)
    decision = decide(limiter, tokens, cost, at_ns, now)
    if isinstance(decision, Grant):
        return
    if decision.retry_after_s is None:
        assert tokens > decision.allowed
        return
    assert decision.retry_after_s >= 1
    later = decision.retry_after_s
    if not decision.limit.is_budget and later > 1:
        refuse(limiter, tokens, cost, at_ns + (later - 1) * SECOND_NS - 1, now + later - 1)
    admit(limiter, tokens, cost, at_ns + later * SECOND_NS, now + later)


def test_requests_come_back_one_by_one() -> None:
    limiter = a_limiter(requests_per_minute=2)
    for _ in range(2):
        admit(limiter, 1, 0, 0, START_S)
    refusal = refuse(limiter, 1, 0, 0, START_S)
    assert (refusal.limit, refusal.allowed, refusal.retry_after_s) == (Limit.REQUESTS, 2, 30)
    assert refuse(limiter, 1, 0, 30 * SECOND_NS - 1, START_S).retry_after_s == 1
    admit(limiter, 1, 0, 30 * SECOND_NS, START_S)


def test_what_was_not_used_is_given_back_once() -> None:
    limiter = a_limiter(tokens_per_minute=100)
    grant = admit(limiter, 100, 0, 0, START_S)
    assert refuse(limiter, 1, 0, 0, START_S).limit is Limit.TOKENS
    limiter.release(grant, 30, 0)
    assert limiter.tokens is not None
    assert limiter.tokens.remaining() == 70
    late = admit(limiter, 70, 0, 0, START_S)
    limiter.release(late, 0, MINUTE_NS)  # its 70 have drained meanwhile: they are not there twice
    assert limiter.tokens.remaining() == 100
    assert limiter.tokens.debt == 0


def test_a_request_that_never_fits_is_told_so() -> None:
    limiter = a_limiter(tokens_per_minute=100, daily_budget=5)
    assert refuse(limiter, 101, 0, 0, START_S).retry_after_s is None
    refusal = refuse(limiter, 1, 5 * MILLIONTHS + 1, 0, START_S)
    assert (refusal.limit, refusal.asked, refusal.retry_after_s) == (Limit.DAILY_BUDGET, 6, None)
    assert limiter.spending.reserved == 0


def test_a_clock_that_was_ahead_leaves_days_and_months_as_they_are() -> None:
    now, spending = 1_700_000_000, Spending()
    spending.charge(5, now + 40 * DAY_S)
    spending.charge(2, now)  # set right again: both count for this day and month
    assert (spending.today, spending.this_month) == (7, 7)
    assert (spending.day_ends, spending.month_ends) == (end_of_day(now), end_of_month(now))
    spending.charge(1, end_of_day(now))
    assert (spending.today, spending.this_month) == (1, 8)
    spending.charge(1, end_of_month(now))
    assert (spending.today, spending.this_month) == (1, 1)


def test_a_budget_held_by_requests_in_flight_is_worth_another_try() -> None:
    limiter = a_limiter(daily_budget=5)
    grant = admit(limiter, 1, 3 * MILLIONTHS, 0, START_S)
    assert refuse(limiter, 1, 3 * MILLIONTHS, 0, START_S).retry_after_s == 1
    limiter.spending.charge(3 * MILLIONTHS, START_S)
    limiter.release(grant, 0, 0)
    spent = refuse(limiter, 1, 3 * MILLIONTHS, 0, START_S)
    assert spent.retry_after_s == end_of_day(START_S) - START_S


def test_the_longest_wait_is_the_one_told() -> None:
    limiter = a_limiter(requests_per_minute=1, daily_budget=1, monthly_budget=1)
    limiter.spending.charge(MILLIONTHS, START_S)
    assert refuse(limiter, 1, 1, 0, START_S).limit is Limit.MONTHLY_BUDGET


def test_limits_that_change_keep_what_was_taken() -> None:
    limiter = a_limiter(requests_per_minute=2)
    admit(limiter, 1, 0, 0, START_S)
    limiter.set(Limits(requests_per_minute=1), 0)
    assert refuse(limiter, 1, 0, 0, START_S).retry_after_s == 60
    limiter.set(Limits(tokens_per_minute=10), 0)
    admit(limiter, 10, 0, 0, START_S)


@pytest.mark.parametrize(
    ("now", "day", "month"),
    [
        ("2026-12-31T23:59:59", "2027-01-01", "2027-01-01"),
        ("2028-02-29T00:00:00", "2028-03-01", "2028-03-01"),
        ("2026-11-01T12:00:00", "2026-11-02", "2026-12-01"),
    ],
)
def test_days_and_months_are_those_of_utc(now: str, day: str, month: str) -> None:
    def at(text: str) -> int:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())

    assert (end_of_day(at(now)), end_of_month(at(now))) == (at(day), at(month))


def test_a_bucket_is_exact_over_any_time() -> None:
    bucket = Bucket(7, 0)
    bucket.take(7)
    wait = bucket.wait_ns(1, 0)
    assert wait == math.ceil(MINUTE_NS / 7)
    assert bucket.wait_ns(1, wait - 1) == 1
    assert bucket.wait_ns(1, wait) == 0
