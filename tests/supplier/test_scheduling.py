"""Which relay is next, how many are in work, and how an answer's length is foreseen."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supplier.server.scheduling import (
    APPLICATIONS_MAX,
    AimdLimit,
    OutputPredictor,
    Priority,
    Work,
    WorkQueue,
)
from tests.factories import an_address

A, B, C = (an_address(each) for each in "abc")
NOW, LATER = Priority.INTERACTIVE, Priority.BATCH

works = st.builds(
    Work, st.sampled_from([A, B, C]), st.sampled_from(list(Priority)), st.integers(0, 1_000)
)


def drain(queue: WorkQueue) -> list[Work]:
    popped = []
    while (ticket := queue.pop()) is not None:
        popped.append(ticket.work)
    return popped


def test_interactive_before_batch_and_the_shortest_first() -> None:
    queue = WorkQueue(None)
    waiting = [Work(A, LATER, 1), Work(B, NOW, 9), Work(A, NOW, 3), Work(B, NOW, 3)]
    for work in waiting:
        queue.push(work)

    assert [queue.count(each) for each in Priority] == [3, 1]
    assert queue.last(NOW) is not None
    assert queue.last(NOW).work == waiting[1]  # type: ignore[union-attr]
    assert drain(queue) == [waiting[2], waiting[3], waiting[1], waiting[0]]
    assert (queue.pop(), len(queue), queue.last(LATER)) == (None, 0, None)


def test_who_gave_up_is_not_called() -> None:
    queue = WorkQueue(10)
    first, second = queue.push(Work(A, NOW, 1)), queue.push(Work(B, NOW, 2))
    queue.remove(first)
    queue.remove(first)

    assert queue.pop() == second
    queue.remove(second)
    assert queue.pop() is None


@pytest.mark.parametrize(("bound", "turn"), [(0, 0), (100, 2), (101, 3), (None, 20)])
def test_a_long_relay_is_passed_over_for_no_more_than_the_bound(
    bound: int | None, turn: int
) -> None:
    """Others' short relays of 100 units keep coming; each gives the long one 50."""
    queue = WorkQueue(bound)
    queue.push(Work(A, NOW, 5_000))
    order = []
    for _ in range(20):
        queue.push(Work(B, NOW, 100))
        queue.push(Work(B, NOW, 100))
        ticket = queue.pop()
        assert ticket is not None
        order.append(ticket.work.application)
    assert ([*order, A]).index(A) == turn


def test_nobody_saves_up_while_it_waits_for_nothing() -> None:
    queue = WorkQueue(100)
    for _ in range(10):  # A asks for one at a time beside B: what it was owed ends with it
        queue.push(Work(A, NOW, 10))
        queue.push(Work(B, NOW, 1_000))
        drain(queue)
    queue.push(Work(A, NOW, 999))
    queue.push(Work(B, NOW, 10))
    assert [each.application for each in drain(queue)] == [B, A]


@given(st.lists(works, max_size=40), st.one_of(st.none(), st.integers(0, 2_000)))
def test_every_relay_is_called_once_and_never_a_batch_before_an_interactive(
    waiting: list[Work], bound: int | None
) -> None:
    queue = WorkQueue(bound)
    for work in waiting:
        queue.push(work)

    order = drain(queue)

    assert sorted(order, key=str) == sorted(waiting, key=str)
    assert [each.priority for each in order] == sorted(each.priority for each in order)


def test_with_one_prediction_for_all_it_is_first_in_first_out() -> None:
    queue = WorkQueue(None)
    tickets = [queue.push(Work(A, NOW, 0)) for _ in range(5)]
    assert [queue.pop() for _ in tickets] == tickets


def test_the_length_of_answers_is_learned_by_application() -> None:
    predictor = OutputPredictor()
    assert predictor.predict(A, 100) == 50
    for _ in range(30):
        predictor.observe(A, 1_000, 100)
        predictor.observe(B, 10, 10_000)  # n answers, or a lie: never above what is allowed
        predictor.observe(A, 0, 5)  # embeddings say nothing
    assert 100 <= predictor.predict(A, 1_000) <= 105
    assert 990 <= predictor.predict(B, 1_000) <= 1_000
    assert predictor.predict(C, 1_000) == 500


def test_strangers_do_not_fill_the_memory() -> None:
    predictor = OutputPredictor()
    predictor.observe(A, 100, 100)
    for number in range(APPLICATIONS_MAX):
        predictor.observe(an_address(number), 10, 1)
    assert predictor.predict(A, 100) == 50  # forgotten
    assert predictor.predict(an_address(1), 100) < 50


def test_without_a_target_the_limit_stays() -> None:
    limit = AimdLimit(2, 8, 0.0)
    for _ in range(100):
        limit.observe(1e9, 8)
    assert limit.value == 8


def test_the_limit_shrinks_once_a_round_and_never_below_its_least() -> None:
    limit = AimdLimit(4, 100, 0.1)
    limit.observe(0.11, 100)
    assert limit.value == 90
    for _ in range(89):
        limit.observe(0.11, 90)  # begun under the limit before
    assert limit.value == 90
    for _ in range(10_000):
        limit.observe(9.0, 4)
    assert limit.value == 4
    assert AimdLimit(4, 1, 0.1).value == 1  # the most is the most


def test_the_limit_grows_by_one_a_round_where_it_binds() -> None:
    limit = AimdLimit(4, 100, 0.1)
    for _ in range(10_000):
        limit.observe(9.0, 100)
    for _ in range(4):
        limit.observe(0.1, 3)  # not the limit that held it back
    assert limit.value == 4
    for _ in range(5):
        limit.observe(0.1, 4)
    assert limit.value == 5
    for _ in range(10_000):
        limit.observe(0.0, 200)
    assert limit.value == 100


def test_the_limit_settles_where_the_target_is_met() -> None:
    """An engine whose tokens take 10 ms for each relay in work, aimed at 200 ms: 20 relays."""
    chance, limit = random.Random(1), AimdLimit(1, 256, 0.2)
    seen = []
    for step in range(20_000):
        active = limit.value
        limit.observe(0.01 * active * chance.uniform(0.9, 1.1), active)
        if step > 5_000:
            seen.append(active)
    assert 16 <= sum(seen) / len(seen) <= 21
