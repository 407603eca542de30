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
    assert next_price(6_000, Balance(1_000, 999), bound) == 6_001
    assert next_price(10, Balance(10, 0), bound) == 10  # rounded down: the price stands
    with pytest.raises(ValueError, match="bound"):
        StepBound(100, 0)


def gain_of_buying_own_volume(price: int, bound: StepBound | None) -> int:
    """What a supplier of 30 % of 1000 units gains in the next epoch, less the 1 % fee it paid.

    Costs are zero; at balance it buys 500 units of its own, and sells 300 units one epoch later.
    """
    honest = next_price(price, Balance(1_000, 1_000), bound)
    bent = next_price(price, Balance(1_500, 1_000), bound)
    return (bent - honest) * 300 - price * 500 // 100


def test_buying_own_volume_pays_without_the_bound_and_not_with_it() -> None:
    assert gain_of_buying_own_volume(6_000, None) > 0
    assert gain_of_buying_own_volume(6_000, StepBound(100, 3_000)) <= 0


@pytest.mark.parametrize(
    ("price", "used", "after"),
    [(1_000, 10, 1_000), (1_000, 20, 1_125), (1_000, 0, 875), (1_000, 15, 1_062), (1, 11, 2)],
)
def test_base_fee(price: int, used: int, after: int) -> None:
    assert next_base_fee(price, used, target=10) == after


def test_base_fee_needs_a_target() -> None:
    with pytest.raises(ValueError, match="target"):
        next_base_fee(1_000, 1, 0)
