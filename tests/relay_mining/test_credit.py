from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_mining import (
    AMOUNT_MAX,
    UNITS_PER_PRICE,
    CreditLine,
    CreditPool,
    OverBudgetError,
    ReplayedError,
    initial_units_max,
)
from tests.factories import a_hash

UINT64_MAX = 2**64 - 1


def test_credit_is_earned_by_receipts_only() -> None:
    line = CreditLine(100, Fraction(1, 2))
    line.reserve(a_hash(0), 100)
    assert not line.can_accept(1)
    with pytest.raises(OverBudgetError):
        line.reserve(a_hash(1), 1)
    line.settle(a_hash(0), 61)
    assert (line.receipted, line.outstanding, line.limit) == (61, 0, 130)
    line.release(a_hash(0))
    assert line.receipted == 61


def test_a_released_relay_earns_nothing() -> None:
    line = CreditLine(100, 1)
    line.reserve(a_hash(0), 80)
    line.release(a_hash(0))
    assert (line.receipted, line.outstanding, line.limit) == (0, 0, 100)


def test_an_overdue_receipt_stops_the_credit_until_it_is_here() -> None:
    line = CreditLine(100, 1, receipted_units=1_000)
    line.reserve(a_hash(0), 10)
    line.reserve(a_hash(1), 10)
    line.mark_overdue(a_hash(0))
    line.mark_overdue(a_hash(0))
    assert line.limit == 0
    assert not line.can_accept(1)
    line.settle(a_hash(1), 10)
    assert line.limit == 0
    line.settle(a_hash(0), 10)
    assert line.limit == 100 + 1_020
    line.mark_overdue(a_hash(0))
    assert line.limit > 0


def test_a_repeated_receipt_changes_nothing() -> None:
    line = CreditLine(100, 1)
    line.reserve(a_hash(0), 50)
    with pytest.raises(ReplayedError):
        line.reserve(a_hash(0), 1)
    for _ in range(3):
        line.settle(a_hash(0), 50)
        line.settle_part(a_hash(0), 50, 50)
    assert (line.receipted, line.outstanding) == (50, 0)


def test_a_receipt_of_more_than_the_relays_maximum_is_refused() -> None:
    line = CreditLine(100, 1)
    line.reserve(a_hash(0), 50)
    for units in (-1, 51):
        with pytest.raises(ValueError, match="units"):
            line.settle(a_hash(0), units)
    assert (line.receipted, line.outstanding) == (0, 50)


def test_parts_free_the_credit_they_receipt() -> None:
    pool = CreditPool(100)
    line = CreditLine(100, 0, newcomers=pool)
    line.reserve(a_hash(0), 100)
    line.mark_overdue(a_hash(0))
    line.settle_part(a_hash(0), 40, 40)
    assert (line.receipted, line.outstanding, line.limit, pool.free) == (40, 60, 100, 40)
    for units, signed in ((60, 60), (0, 0), (11, 10), (-1, 10)):
        with pytest.raises(ValueError, match=r"units|signed"):
            line.settle_part(a_hash(0), units, signed)
    line.settle(a_hash(0), 60)
    assert (line.receipted, line.outstanding, pool.free) == (100, 0, 100)


def test_a_part_receipted_with_less_than_it_added_frees_all_it_added() -> None:
    line = CreditLine(100, 0)
    line.reserve(a_hash(0), 100)
    line.settle_part(a_hash(0), 30, 40)
    assert (line.receipted, line.outstanding) == (30, 60)


def test_a_relay_that_came_to_less_holds_less() -> None:
    pool = CreditPool(100)
    line = CreditLine(100, 0, newcomers=pool)
    line.reserve(a_hash(0), 80)
    line.lower(a_hash(0), 30)
    line.lower(a_hash("unknown"), 1)
    assert (line.outstanding, pool.free) == (30, 70)
    for units in (0, 31):
        with pytest.raises(ValueError, match="max_units"):
            line.lower(a_hash(0), units)
    line.settle(a_hash(0), 30)
    assert (line.outstanding, pool.free) == (0, 100)


def test_what_was_never_receipted_is_taken_off_the_credit_for_good() -> None:
    line = CreditLine(100, 1)
    line.reserve(a_hash(0), 90)
    line.mark_overdue(a_hash(0))
    line.write_off(a_hash(0), 60)
    assert (line.limit, line.outstanding) == (40, 0)
    line.reserve(a_hash(1), 40)
    with pytest.raises(ValueError, match="units"):
        line.write_off(a_hash(1), 41)
    line.write_off(a_hash(1), 40)
    assert line.limit == 0
    line.earn(10)
    assert line.limit == 10


def test_a_gateway_that_never_receipts_takes_its_credit_once() -> None:
    line, taken = CreditLine(1_000, Fraction(1, 2), receipted_units=500), 0
    for relay in range(100):
        units = min(70, line.limit)
        if not units:
            break
        line.reserve(a_hash(relay), units)
        line.write_off(a_hash(relay), units)
        taken += units
    assert taken == 1_000 + 250


def test_the_initial_credit_is_the_least_of_its_bounds() -> None:
    line = CreditLine(100, 0)
    for bound, limit in ((200, 100), (30, 30), (50, 30), (0, 0)):
        line.bound_initial(bound)
        assert line.limit == limit


def test_a_crowd_of_new_identities_gets_no_more_than_the_pool() -> None:
    pool = CreditPool(250)
    crowd = [CreditLine(100, 1, newcomers=pool) for _ in range(10)]
    for index, line in enumerate(crowd):
        if line.can_accept(100):
            line.reserve(a_hash(index), 100)
        else:
            with pytest.raises(OverBudgetError, match="new gateway"):
                line.reserve(a_hash(index), 100)
            assert line.outstanding == 0
    assert sum(line.outstanding for line in crowd) == 200
    known = CreditLine(100, 1, receipted_units=1, newcomers=pool)
    known.reserve(a_hash("known"), 101)
    crowd[0].settle(a_hash(0), 100)
    assert pool.free == 150
    crowd[0].reserve(a_hash("now known"), 200)
    assert pool.free == 150
    crowd[1].release(a_hash(1))
    assert pool.free == 250


def test_what_was_served_before_a_restart_is_owed_whatever_the_limit() -> None:
    pool = CreditPool(50)
    line = CreditLine(100, Fraction(1, 2), newcomers=pool)
    line.resume(a_hash(0), 60)
    line.resume(a_hash(0), 90)  # another part of the same relay
    assert (line.outstanding, pool.free) == (150, -100)
    assert not line.can_accept(1)
    line.settle_part(a_hash(0), 60, 60)
    line.resume(a_hash(1), 7)  # no newcomer any more: not out of the pool
    assert (line.outstanding, line.receipted, pool.free) == (97, 60, -40)
    line.settle(a_hash(0), 90, 90)
    line.write_off(a_hash(1), 7)
    assert (line.outstanding, line.limit, pool.free) == (0, 100 + 75 - 7, 50)


def test_growth_is_exact_and_rounds_down() -> None:
    assert CreditLine(0, Fraction(1, 3), receipted_units=10**18 + 2).limit == (10**18 + 2) // 3
    assert CreditLine(5, 0.5, receipted_units=3).limit == 6
    with pytest.raises(ValueError, match="growth"):
        CreditLine(0, -1)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["reserve", "settle", "part", "release", "overdue"]),
            st.integers(0, 4),
            st.integers(1, 120),
        ),
        max_size=40,
    )
)
def test_what_is_owed_never_exceeds_the_limit_it_was_granted_under(
    steps: list[tuple[str, int, int]],
) -> None:
    pool = CreditPool(150)
    line = CreditLine(100, 2, newcomers=pool)
    model: dict[bytes, int] = {}
    receipted = 0
    for step, name, units in steps:
        key = a_hash(name)
        if step == "reserve" and key not in model and line.can_accept(units):
            line.reserve(key, units)
            model[key] = units
            assert sum(model.values()) <= 100 + 2 * receipted
        elif step == "settle" and model.get(key, -1) >= units:
            line.settle(key, units)
            del model[key]
            receipted += units
        elif step == "part" and model.get(key, -1) > units:
            line.settle_part(key, units, units)
            model[key] -= units
            receipted += units
        elif step == "release":
            line.release(key)
            model.pop(key, None)
        elif step == "overdue":
            line.mark_overdue(key)
        assert (line.outstanding, line.receipted) == (sum(model.values()), receipted)
    for key in list(model):
        line.release(key)
    assert pool.free == 150
    assert line.limit == 100 + 2 * receipted


@given(
    st.one_of(st.sampled_from([0, 1, AMOUNT_MAX]), st.integers(0, 10**12)),
    st.one_of(st.sampled_from([1, UINT64_MAX]), st.integers(1, 10**9)),
    st.integers(1, 255),
)
def test_a_delegation_costs_more_than_the_credit_it_takes(
    fee: int, price: int, members: int
) -> None:
    credit = initial_units_max(fee, price, members)
    assert credit >= 0
    if fee:
        assert credit * price * members < fee * UNITS_PER_PRICE
        is_largest = (credit + 1) * price * members >= fee * UNITS_PER_PRICE
        assert is_largest or credit == 2**63 - 1
    else:
        assert credit == 0
