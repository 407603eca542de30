"""Myerson's reserves, from distributions and from what was bid before."""

from math import exp
from random import Random

import pytest

from pricing import (
    Book,
    Outcome,
    discrete_reserve,
    empirical_reserve,
    exponential_reserve,
    is_truthful,
    price_lies,
    uniform_reserve,
    vickrey,
)
from tests.pricing.books import book
from tests.pricing.worked import WORKED

ONE = 10**6


def test_half_of_uniform_values() -> None:
    assert uniform_reserve(0, ONE) == ONE // 2
    assert uniform_reserve(0, ONE, cost=ONE // 5) == 6 * ONE // 10
    assert uniform_reserve(8 * ONE // 10, ONE) == 8 * ONE // 10
    assert uniform_reserve(0, ONE, cost=2 * ONE) == 2 * ONE


def test_the_mean_of_exponential_values() -> None:
    assert exponential_reserve(ONE) == ONE
    earned = {price: price * exp(-price / ONE) for price in range(0, 4 * ONE, 1000)}
    assert max(earned, key=lambda price: earned[price]) == exponential_reserve(ONE)
    above = {price: (price - 300_000) * exp(-price / ONE) for price in earned}
    assert max(above, key=lambda price: above[price]) == exponential_reserve(ONE, 300_000)


@pytest.mark.parametrize("rate", [1, 2, 4, 5])
def test_one_over_the_rate_of_exponential_values(rate: int) -> None:
    assert WORKED["closed_forms"]["exponential_reserve"] == "1/lambda"
    left = {price: exp(-rate * price / ONE) for price in range(0, 12 * ONE, 1_000)}
    prices = list(left)[:-1]
    weights = {price: round(10**12 * (left[price] - left[price + 1_000])) for price in prices}

    assert exponential_reserve(ONE // rate) == ONE // rate
    assert discrete_reserve(weights) == pytest.approx(ONE // rate, abs=1_000)


def test_a_discrete_reserve_is_the_best_price_there_is() -> None:
    rng = Random(1)
    for _ in range(3000):
        values = [rng.randint(0, 20) for _ in range(rng.randint(1, 8))]
        cost = rng.choice((0, 0, 3, 25))
        reserve = empirical_reserve(values, cost)
        profits = {p: (p - cost) * sum(v >= p for v in values) for p in range(cost, 30)}
        assert reserve >= cost
        assert profits[reserve] == max(profits.values())
        assert all(profits[p] < profits[reserve] for p in values if cost < p < reserve)


def test_weights_are_probabilities_in_any_unit() -> None:
    assert discrete_reserve({10: 1, 4: 3}) == 4
    assert discrete_reserve({10: 200, 4: 100}) == 10
    assert discrete_reserve({}) == 0
    assert discrete_reserve({5: 1}, cost=7) == 7


def test_many_uniform_values_show_the_same_reserve() -> None:
    rng = Random(2)
    assert empirical_reserve(rng.randrange(ONE) for _ in range(50_000)) == pytest.approx(
        uniform_reserve(0, ONE), rel=0.05
    )


def test_a_reserve_from_the_past_leaves_vickrey_truthful() -> None:
    rng = Random(3)
    for _ in range(300):
        reserve = empirical_reserve([rng.randint(0, 9) for _ in range(5)])
        each = book([rng.randint(0, 9) for _ in range(3)])
        assert is_truthful([lambda b, r=reserve: vickrey(b, 1, r)], each, price_lies(range(11)))


def test_a_reserve_from_the_same_bids_is_caught() -> None:
    def self_reserved(orders: Book) -> Outcome:
        return vickrey(orders, 1, empirical_reserve(bid.price for bid in orders.bids))

    assert not is_truthful([self_reserved], book([9, 2]), price_lies(range(11)))
