"""How posted prices step, and that a bounded step leaves nothing to gain by buying one's own."""

import pytest

from pricing import Balance, StepBound, balance_at, next_base_fee, next_price
from tests.pricing.books import book


@pytest.mark.parametrize(
    ("price", "demand", "supply", "after"),
    [
        (800, 10, 10, 800),
        (800, 0, 0, 800),
        (800, 10, 0, 900),  # an eighth: the largest step
        (800, 0, 10, 700),
        (800, 10, 5, 850),
        (801, 10, 9, 811),  # 801 * 1 // 10 // 8 = 10
        (3, 10, 9, 4),  # at least 1
        (1, 9, 10, 1),  # never below 1
        (0, 9, 10, 1),
    ],
)
def test_steps_towards_balance(price: int, demand: int, supply: int, after: int) -> None:
    assert next_price(price, Balance(demand, supply)) == after


def test_balance_counts_units_that_accept_the_price() -> None:
    orders = book([(9, 2), (5, 3)], [(5, 4), (6, 1)])

    assert balance_at(orders, 5) == Balance(5, 4)
    assert balance_at(orders, 6) == Balance(2, 5)


def test_a_step_is_bounded_by_the_fee() -> None:
    bound = StepBound(fee_bps=100, largest_share_bps=3_000)

    assert next_price(6_000, Balance(10, 0), bound) == 6_100  # 1 % / (2 * 30 %) of 6000
    assert next_price(6_000, Balance(10, 5), bound) == 6_050  # and half of it for half
    assert next_price(6_000, Balance(5, 10), bound) == 5_950
    assert next_price(10, Balance(10, 0), bound) == 10  # rounded down: the price stands
    with pytest.raises(ValueError, match="bound"):
        StepBound(100, 0)


PRICE = 10**9
BOUND = StepBound(100, 3_000)


def gain_in_the_next_epoch(volume: int, bound: StepBound | None) -> int:
    """What a supplier of 30 % of 1000 units at balance gains, less the 1 % fee on its volume.

    The volume itself is taken to cost it nothing, and its sales not to shrink.
    """
    moved = next_price(PRICE, Balance(1_000 + volume, 1_000), bound) - PRICE
    return moved * 300 - PRICE * volume // 100


@pytest.mark.parametrize("volume", [1, 10, 50, 100, 500, 1_000])
def test_buying_own_volume_pays_without_the_bound_and_not_with_it(volume: int) -> None:
    assert gain_in_the_next_epoch(volume, None) > 0
    assert gain_in_the_next_epoch(volume, BOUND) < 0


@pytest.mark.parametrize(
    ("price", "used", "after"),
    [(1_000, 10, 1_000), (1_000, 20, 1_125), (1_000, 0, 875), (1_000, 15, 1_062), (1, 11, 2)],
)
def test_base_fee(price: int, used: int, after: int) -> None:
    assert next_base_fee(price, used, target=10) == after


def test_base_fee_needs_a_target() -> None:
    with pytest.raises(ValueError, match="target"):
        next_base_fee(1_000, 1, 0)
