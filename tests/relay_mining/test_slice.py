"""The slice rule never overruns, and stopping by it keeps the claim unbiased."""

from random import Random
from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_mining import UNITS_MAX, OverBudgetError, SliceMeter, is_payable, leaf_weight
from tests.factories import a_hash

SLICE_UNITS = 40_000
TAU = 2_000


def flip(rng: Random, units: int) -> int:
    """Weight of a receipt of `units`, by the protocol's own coin."""
    if not is_payable(rng.randbytes(32), a_hash("salt"), units, TAU):
        return 0
    return leaf_weight(units, TAU)


def serve_by_weight(rng: Random) -> tuple[int, int]:
    """Units and weight of a session served until its slice is full, several relays at once."""
    meter, units = SliceMeter(SLICE_UNITS, TAU), 0
    serving: list[tuple[int, int]] = []
    while True:
        max_units = rng.choice([50, 700, 1_999, 2_000, 2_001, 5_000])
        accepts = meter.can_accept(max_units)
        if accepts:
            meter.reserve(max_units)
            serving.append((max_units, rng.randint(1, max_units)))
        if not accepts or len(serving) == 4:
            if not serving:
                return units, meter.weight
            max_units, used = serving.pop(rng.randrange(len(serving)))
            meter.settle(max_units, flip(rng, used))
            units += used
        assert meter.weight + meter.reserved <= SLICE_UNITS


def serve_by_units(rng: Random) -> tuple[int, int]:
    """The same session stopped by units, its claim clamped to the slice: the rule not taken."""
    weight = units = 0
    while True:
        max_units = rng.choice([50, 700, 1_999, 2_000, 2_001, 5_000])
        if units + max_units > SLICE_UNITS:
            return units, min(weight, SLICE_UNITS)
        used = rng.randint(1, max_units)
        units += used
        weight += flip(rng, used)


def deviation_of_mean(sessions: list[tuple[int, int]]) -> float:
    """How many standard errors the mean of weight minus units is from zero."""
    gaps = [weight - units for units, weight in sessions]
    return fmean(gaps) / (stdev(gaps) / len(gaps) ** 0.5)


def test_stopping_by_weight_is_unbiased_and_clamping_is_not() -> None:
    rng = Random(1)
    assert abs(deviation_of_mean([serve_by_weight(rng) for _ in range(4_000)])) < 3.3
    assert deviation_of_mean([serve_by_units(rng) for _ in range(4_000)]) < -10


def test_a_slice_served_by_weight_is_nearly_used_up() -> None:
    rng = Random(2)
    mean = fmean(weight for _, weight in (serve_by_weight(rng) for _ in range(500)))
    assert mean > 0.9 * SLICE_UNITS


def test_a_relay_reserves_the_most_it_can_weigh() -> None:
    meter = SliceMeter(100, 10)
    meter.reserve(1)
    assert meter.reserved == 10
    meter.reserve(10)
    assert meter.reserved == 20
    meter.reserve(80)
    assert (meter.reserved, meter.free) == (100, 0)
    assert not meter.can_accept(1)
    with pytest.raises(OverBudgetError):
        meter.reserve(1)
    meter.settle(80, 0)
    assert (meter.weight, meter.reserved) == (0, 20)
    meter.settle(1, 10)
    meter.release(10)
    assert (meter.weight, meter.reserved, meter.free) == (10, 0, 90)


def test_the_edge_of_the_slice_is_taken_and_one_more_is_not() -> None:
    for units in (10, 11, 99, 100):
        assert SliceMeter(units, 10).can_accept(units)
        assert not SliceMeter(units - 1, 10).can_accept(units)
    assert SliceMeter(UNITS_MAX, 1).can_accept(UNITS_MAX)
    assert not SliceMeter(UNITS_MAX, 1, weight=1).can_accept(UNITS_MAX)
    assert not SliceMeter(0, 1).can_accept(1)


def test_a_restarted_meter_goes_on_from_its_weight() -> None:
    meter = SliceMeter(100, 10, weight=60)
    assert meter.can_accept(40)
    assert not meter.can_accept(41)
    with pytest.raises(ValueError, match="weight"):
        SliceMeter(100, 10, weight=101)


def test_what_was_not_reserved_is_not_settled() -> None:
    meter = SliceMeter(100, 10)
    with pytest.raises(ValueError, match="reservation"):
        meter.release(10)
    meter.reserve(20)
    for weight in (-1, 21):
        with pytest.raises(ValueError, match="weight"):
            meter.settle(20, weight)
    assert (meter.weight, meter.reserved) == (0, 20)


@pytest.mark.parametrize(("max_units", "parts"), [(0, 1), (-1, 1), (2**63, 1), (1, 0)])
def test_impossible_relays_are_refused(max_units: int, parts: int) -> None:
    meter = SliceMeter(100, 10)
    with pytest.raises(ValueError, match="outside"):
        meter.can_accept(max_units, parts)
    with pytest.raises(ValueError, match="outside"):
        meter.reserve(max_units, parts)


@given(
    st.integers(1, 50),
    st.integers(1, 200),
    st.lists(st.tuples(st.integers(1, 60), st.booleans()), min_size=1, max_size=6),
)
def test_a_relay_receipted_in_parts_never_weighs_more_than_was_reserved(
    tau: int, slack: int, receipts: list[tuple[int, bool]]
) -> None:
    left = sum(units for units, _ in receipts) + slack
    parts = len(receipts)
    meter = SliceMeter(10**6, tau)
    meter.reserve(left, parts)
    worst = meter.reserved
    for units, is_kept in receipts[:-1]:
        meter.settle_part(left, units, max(units, tau) if is_kept else 0, parts)
        left, parts = left - units, parts - 1
        assert meter.reserved == meter.worst_weight(left, parts)
        assert meter.weight + meter.reserved <= worst
    units, is_kept = receipts[-1]
    meter.settle(left, max(units, tau) if is_kept else 0)
    assert meter.reserved == 0
    assert meter.weight <= worst


def test_a_part_weighs_what_the_threshold_says() -> None:
    meter = SliceMeter(1_000, 10)
    meter.reserve(100, 3)
    for units, weight, parts in ((5, 11, 3), (50, 51, 3), (100, 0, 3), (0, 0, 3), (5, 0, 1)):
        with pytest.raises(ValueError, match=r"weight|units|parts"):
            meter.settle_part(100, units, weight, parts)
    assert (meter.weight, meter.reserved) == (0, 120)
