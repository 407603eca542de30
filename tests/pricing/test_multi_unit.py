"""Call markets of orders of any quantity: multi-unit trade reduction and MUDA."""

from random import Random

from pricing import (
    Fill,
    best_deviation,
    is_budget_balanced,
    is_feasible,
    is_individually_rational,
    is_truthful,
    is_without_deficit,
    joint_lies,
    muda,
    multi_unit_trade_reduction,
    price_lies,
    quantity_lies,
)
from tests.pricing.books import book, random_book, seeds

SEED = seeds(1)[0]


def test_trade_reduction_rations_the_long_side_in_proportion() -> None:
    orders = book([(9, 6), (8, 4), (5, 1)], [(1, 15), (4, 5), (7, 1)])
    outcome = multi_unit_trade_reduction(orders, SEED)

    # Ten units cross: the bid at 8 and the ask at 1 hold the tenth, and are left out.
    assert outcome.bought == ()
    assert outcome.sold == ()

    orders = book([(9, 6), (8, 4), (5, 30)], [(1, 15), (2, 5), (3, 1)])
    outcome = multi_unit_trade_reduction(orders, SEED)
    assert sorted((fill.units, fill.money) for fill in outcome.bought) == [(4, 20), (6, 30)]
    assert sum(fill.units for fill in outcome.sold) == 10
    assert {fill.money // fill.units for fill in outcome.sold} == {3}
    assert {fill.trader: fill.units for fill in outcome.sold} in (
        {b"s000000": 7, b"s000001": 3},
        {b"s000000": 8, b"s000001": 2},
    )


def test_trade_reduction_keeps_its_promises_in_price() -> None:
    rng = Random(11)
    lies = price_lies(range(12))
    for seed in seeds(200):
        orders = random_book(rng, quantity_max=5)
        outcome = multi_unit_trade_reduction(orders, seed)
        assert is_feasible(orders, outcome)
        assert is_individually_rational(orders, outcome)
        assert is_without_deficit(outcome)
        assert is_truthful([lambda b, s=seed: multi_unit_trade_reduction(b, s)], orders, lies)


def test_trade_reduction_lets_withheld_capacity_pay() -> None:
    rng = Random(12)
    found = [
        best_deviation(
            [lambda b, s=seed: multi_unit_trade_reduction(b, s)],
            random_book(rng, quantity_max=5),
            quantity_lies(range(1, 6)),
        )
        for seed in seeds(100)
    ]

    assert sum(each is not None for each in found) > 5


def test_muda_keeps_its_promises_in_price_and_quantity() -> None:
    rng = Random(13)
    lies = joint_lies(range(0, 12, 2), range(1, 6))
    traded = 0
    for seed in seeds(100):
        orders = random_book(rng, most=5, quantity_max=4)
        outcome = muda(orders, seed)
        traded += bool(outcome.bought)
        assert is_feasible(orders, outcome)
        assert is_individually_rational(orders, outcome)
        assert is_budget_balanced(outcome)
        assert is_truthful([lambda b, s=seed: muda(b, s)], orders, lies), orders
    assert traded > 10


def test_muda_trades_each_half_at_the_other_halfs_price() -> None:
    orders = book([10, 10, 20, 20], [0, 0, 8, 8])
    prices = {fill.money // fill.units for seed in seeds(200) for fill in muda(orders, seed).bought}

    # The midpoints of what half of these orders can clear at: never a price of one's own half.
    assert len(prices) > 2
    assert all(0 <= price <= 20 for price in prices)
    assert muda(book([10], [0]), SEED).bought == ()
    assert Fill(b"b000000", 1, 10) not in muda(book([10, 10], [10]), SEED).bought
