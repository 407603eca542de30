from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_mining import (
    PARTS_MAX,
    UNITS_MAX,
    WHOLE,
    InvalidRelayError,
    MalformedError,
    PartPlan,
    ReplayedError,
    Status,
    added_units,
    plan_parts,
    receipt_units,
    verify_next_part,
)
from tests.factories import a_response

FIRST = a_response(units=100, status=Status.PARTIAL)
SECOND = replace(FIRST, units=250, output_tokens=20, part=1)
LAST = replace(SECOND, units=300, output_tokens=25, part=2, status=Status.OK)


@pytest.mark.parametrize(
    ("max_units", "interim", "tau", "expected"),
    [
        (1_000, 0, 1, WHOLE),
        (1_000, 1_001, 1, WHOLE),
        (1_000, 1_000, 1, PartPlan(1_000, 2)),
        (1_000, 400, 1, PartPlan(400, 3)),
        (1_000, 1, 1, PartPlan(16, 63)),
        (1_000, 1, 300, PartPlan(300, 4)),
        (1_000, 1, 2_000, WHOLE),
        (1, 1, 1, PartPlan(1, 2)),
        (63, 1, 1, PartPlan(1, PARTS_MAX)),
        (64, 1, 1, PartPlan(2, 33)),
    ],
)
def test_the_plan(max_units: int, interim: int, tau: int, expected: PartPlan) -> None:
    assert plan_parts(max_units, interim, tau) == expected


EDGES = st.one_of(st.sampled_from([1, 2, 63, 64, UNITS_MAX]), st.integers(1, 10**6))


@given(EDGES, EDGES, EDGES)
def test_a_plan_never_needs_more_parts_than_it_says(max_units: int, interim: int, tau: int) -> None:
    plan = plan_parts(max_units, interim, tau)
    assert 1 <= plan.parts_max <= PARTS_MAX
    if plan != WHOLE:
        assert plan.spacing >= max(interim, tau)
        assert (plan.parts_max - 1) * plan.spacing <= max_units < plan.parts_max * plan.spacing


def test_parts_follow_each_other() -> None:
    previous = None
    for part in (FIRST, SECOND, LAST):
        verify_next_part(previous, part)
        previous = part
    assert [added_units(*each) for each in ((None, FIRST), (FIRST, SECOND), (SECOND, LAST))] == [
        100, 150, 50
    ]  # fmt: skip
    verify_next_part(SECOND, replace(LAST, units=250, output_tokens=20))


@pytest.mark.parametrize(
    ("previous", "changes", "error"),
    [
        (None, {"part": 1}, MalformedError),
        (None, {"units": 0}, MalformedError),
        (FIRST, {"part": 0}, ReplayedError),
        (FIRST, {"part": 2}, MalformedError),
        (FIRST, {"units": 99, "part": 1}, MalformedError),
        (FIRST, {"units": 100, "output_tokens": 20, "part": 1}, MalformedError),
        (FIRST, {"units": 250, "part": 1}, MalformedError),
        (None, {"output_tokens": 0}, MalformedError),
        (FIRST, {"units": 200, "output_tokens": 9, "part": 1}, MalformedError),
        (replace(FIRST, status=Status.OK), {"units": 200, "part": 1}, MalformedError),
        (replace(FIRST, part=PARTS_MAX - 1), {"units": 200, "part": PARTS_MAX}, MalformedError),
    ],
)
def test_what_does_not_follow_is_refused(
    previous: object, changes: dict[str, int], error: type[InvalidRelayError]
) -> None:
    with pytest.raises(error):
        verify_next_part(previous, replace(FIRST, **changes))  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), max_size=12))
def test_the_receipts_of_a_relay_never_exceed_either_count(steps: list[tuple[int, int]]) -> None:
    signed = counted = receipted = most = 0
    for added, more in steps:
        signed, counted = signed + added, counted + more
        units = receipt_units(added, min(signed, counted), receipted)
        assert 0 <= units <= added
        receipted += units
        most = max(most, min(signed, counted))
        assert receipted <= most
    if all(added == more for added, more in steps):
        assert receipted == signed
