"""Whom the gateway trusts: faults set aside, who comes back begins slowly, honesty is free."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.observation import Observation, Result
from gateway.routing.standing import (
    SET_ASIDE_S_MAX,
    WINDOW_NEW,
    WINDOW_OPEN,
    Standing,
)
from tests.factories import SUPPLIER, a_session

FAULTS = [Result.BROKEN, Result.INVALID, Result.TIMEOUT]
HONEST = [Result.OK, Result.CLIENT_ABORT, Result.REJECTED]


@dataclass
class Watched:
    """A standing whose clock a test sets."""

    now: float = 0.0
    standing: Standing = field(init=False)

    def __post_init__(self) -> None:
        self.standing = Standing(lambda: self.now)

    def see(self, result: Result, output_tokens: int = 5) -> None:
        self.standing.observe(
            Observation(
                supplier=SUPPLIER,
                session=a_session(),
                model="m",
                key_id="k",
                result=result,
                is_stream=False,
                is_answer=result is Result.OK,
                latency_s=1.0,
                output_tokens=output_tokens,
            )
        )

    @property
    def is_good(self) -> bool:
        return self.standing.is_good(SUPPLIER, 1)

    def pause(self) -> float:
        """How long the supplier is set aside from now on."""
        return self.standing.of(SUPPLIER).aside_until - self.now


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_in_a_row_sets_aside_for_twice_as_long_up_to_a_minute(fault: Result) -> None:
    watched = Watched()
    pauses = []
    for _ in range(8):
        watched.see(fault)
        assert not watched.is_good
        pauses.append(watched.pause())
        watched.now += watched.pause()

    assert pauses == [1, 2, 4, 8, 16, 32, SET_ASIDE_S_MAX, SET_ASIDE_S_MAX]


def test_who_comes_back_is_asked_for_one_answer_at_a_time_until_it_gives_one() -> None:
    watched = Watched()
    watched.see(Result.BROKEN)
    watched.now += 1.0
    state = watched.standing.of(SUPPLIER)
    assert watched.is_good
    state.in_flight = 1
    assert not watched.is_good
    state.in_flight = 0
    watched.see(Result.OK)
    state.in_flight = 1

    assert watched.is_good


def test_a_new_supplier_and_one_that_comes_back_begin_slowly() -> None:
    watched = Watched()
    state = watched.standing.of(SUPPLIER)
    assert room(watched) == WINDOW_NEW
    watched.see(Result.OK)
    assert room(watched) == WINDOW_NEW + 1
    for _ in range(WINDOW_OPEN):
        watched.see(Result.OK)
    state.in_flight = 10_000
    assert watched.standing.judge(SUPPLIER, 1)[2]
    watched.see(Result.TIMEOUT)

    assert room(watched) == 1


def room(watched: Watched) -> int:
    """How many requests it may have in flight."""
    state = watched.standing.of(SUPPLIER)
    state.in_flight = 0
    while watched.standing.judge(SUPPLIER, 1)[2]:
        state.in_flight += 1
    found, state.in_flight = state.in_flight, 0
    return found


@given(st.lists(st.tuples(st.sampled_from(HONEST), st.integers(0, 3)), max_size=50))
def test_what_nobody_can_help_is_no_fault(seen: list[tuple[Result, int]]) -> None:
    watched = Watched()
    for result, output_tokens in seen:  # answers of nothing or next to nothing among them
        watched.see(result, output_tokens)

    assert watched.is_good
    assert watched.standing.of(SUPPLIER).faults == 0


def test_a_refusal_is_no_fault_but_others_are_asked_for_a_moment() -> None:
    watched = Watched()
    watched.see(Result.REFUSED)

    assert not watched.is_good
    assert watched.standing.of(SUPPLIER).faults == 0
    watched.now += 2.0
    assert watched.is_good
