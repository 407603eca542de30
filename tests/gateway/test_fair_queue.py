"""Whose turn it is: keys share what runs, batches still get on, the longest line is cut."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.fair_queue import BATCH_EVERY, COST_MAX, QUANTUM, FairQueue, RoundRobin

PUSHES = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 2 * COST_MAX)), max_size=60)


@given(PUSHES)
def test_everybody_gets_a_turn_and_keys_keep_their_order(
    pushes: list[tuple[str, int]],
) -> None:
    queue = RoundRobin[tuple[str, int]]()
    for number, (key, cost) in enumerate(pushes):
        queue.push(key, cost, (key, number))
    served = [queue.pop() for _ in pushes]

    assert queue == RoundRobin()
    for key in "abcd":
        mine = [number for who, number in served if who == key]
        assert mine == sorted(mine)
        assert len(mine) == sum(who == key for who, _ in pushes)


@given(st.integers(1, COST_MAX), st.integers(1, COST_MAX), st.integers(10, 40))
def test_keys_that_wait_get_equal_work_whatever_their_requests_are(
    one: int, other: int, turns: int
) -> None:
    queue = RoundRobin[str]()
    for _ in range(20 * turns):
        queue.push("one", one, "one")
        queue.push("other", other, "other")
    work = Counter[str]()
    for _ in range(turns):
        key = queue.pop()
        work[key] += {"one": one, "other": other}[key]

    assert abs(work["one"] - work["other"]) <= 2 * QUANTUM + max(one, other)


def test_a_flood_of_one_key_costs_another_one_turn() -> None:
    queue = RoundRobin[str]()
    for _ in range(1_000):
        queue.push("flood", QUANTUM, "flood")
    queue.push("late", QUANTUM, "late")

    assert "late" in [queue.pop() for _ in range(2)]


def test_batches_go_last_and_still_get_on() -> None:
    queue = FairQueue[str]()
    for _ in range(100):
        queue.of(is_batch=True).push("b", 1, "batch")
        queue.of(is_batch=False).push("i", 1, "interactive")
    served = [queue.pop() for _ in range(80)]

    assert served.count("batch") == 80 // BATCH_EVERY
    assert served[: BATCH_EVERY - 1] == ["interactive"] * (BATCH_EVERY - 1)
    assert sum(queue.pop() == "batch" for _ in range(120)) == 90
    with pytest.raises(IndexError):
        queue.pop()


def test_the_last_place_goes_to_whoever_has_least() -> None:
    queue = FairQueue[str]()
    for number in range(3):
        queue.of(is_batch=False).push("many", 1, f"many {number}")
    queue.of(is_batch=False).push("few", 1, "few")

    assert queue.make_room("many", is_batch=False) is None
    assert queue.make_room("few", is_batch=False) == "many 2"
    assert queue.make_room("few", is_batch=False) is None  # one each and the new one: two and two
    assert queue.make_room("few", is_batch=True) is None  # a batch displaces nobody
    queue.of(is_batch=True).push("few", 1, "batch")
    assert queue.make_room("many", is_batch=False) == "batch"


@given(PUSHES, st.data())
def test_who_leaves_is_counted_no_more(pushes: list[tuple[str, int]], data: st.DataObject) -> None:
    queue, items = RoundRobin[object](), []
    for key, cost in pushes:
        items.append((key, object()))
        queue.push(key, cost, items[-1][1])
    while items:
        key, item = items.pop(data.draw(st.integers(0, len(items) - 1)))
        queue.remove(key, item)
        assert queue.size == len(items)

    assert queue == RoundRobin()
