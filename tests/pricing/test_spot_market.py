"""The spot market: VCG procurement against an oracle, and P2V's promises in all four reports."""

from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from random import Random

from pricing import (
    Order,
    RosterLine,
    Side,
    Values,
    best_deviation,
    is_feasible,
    is_individually_rational,
    is_truthful,
    is_without_deficit,
    joint_lies,
    posted_price_vcg,
    roster,
    split_lies,
    vcg_procurement,
)
from tests.pricing.books import book, random_book, seeds

SEED = seeds(1)[0]
SELLERS = Values(buyer=lambda truth, held: 0)
"""Values of a market in which only sellers care."""


def cost(asks: Sequence[Order], demand: int, reserve: int) -> int:
    """Unit by unit: the cheapest way to have `demand` units, the reserve buying any."""
    units = sorted(ask.price for ask in asks for _ in range(ask.quantity))
    return sum(min(price, reserve) for price in (units + [reserve] * demand)[:demand])


def test_procurement_pays_what_each_supplier_saved() -> None:
    rng = Random(21)
    for _ in range(2000):
        asks = random_book(rng, most=5, quantity_max=6).asks
        demand, reserve = rng.randint(0, 20), rng.randint(0, 10)
        costs = {ask.trader: ask.price for ask in asks}
        fills = vcg_procurement(asks, demand, reserve)
        spent = sum(fill.units * costs[fill.trader] for fill in fills)
        unmet = demand - sum(fill.units for fill in fills)
        total = cost(asks, demand, reserve)
        assert spent + unmet * reserve == total
        for fill in fills:
            others = [ask for ask in asks if ask.trader != fill.trader]
            saved = cost(others, demand, reserve) - (total - fill.units * costs[fill.trader])
            assert fill.money == saved
            assert fill.money <= reserve * fill.units


def test_procurement_by_hand() -> None:
    asks = book(asks=[(1, 4), (4, 4), (7, 2)]).asks
    fills = vcg_procurement(asks, 5, 9)

    # Without the first: 4 units at 4 and 1 at 7; it supplied 4 while the second supplied 1.
    assert [(fill.units, fill.money) for fill in fills] == [(4, 3 * 4 + 7), (1, 7)]
    assert vcg_procurement(asks, 5, 0) == ()
    assert [fill.money for fill in vcg_procurement(asks, 5, 4)] == [16, 4]


def test_p2v_is_truthful_in_value_quantity_cost_and_capacity() -> None:
    rng = Random(22)
    lies = joint_lies(range(12), range(1, 7))
    for seed in seeds(250):
        orders = random_book(rng, quantity_max=5)
        price = rng.randint(0, 10)
        outcome = posted_price_vcg(orders, price, seed)
        assert is_feasible(orders, outcome)
        assert is_individually_rational(orders, outcome)
        assert is_without_deficit(outcome)
        assert is_truthful([lambda b, p=price, s=seed: posted_price_vcg(b, p, s)], orders, lies)


def test_suppliers_of_p2v_gain_nothing_by_several_identities() -> None:
    rng = Random(23)
    lies = split_lies(range(0, 11, 2), range(1, 4))
    for _ in range(30):
        orders = random_book(rng, most=2, quantity_max=3)
        found = best_deviation([lambda b: posted_price_vcg(b, 8, SEED)], orders, lies, SELLERS)
        assert found is None


def test_an_owner_of_two_suppliers_gains_by_hiding_the_dearer() -> None:
    demand = [(10, 1)]
    both = posted_price_vcg(book(demand, [0, 2]), 10, SEED)
    one = posted_price_vcg(book(demand, [0]), 10, SEED)

    assert (both.received, one.received) == (2, 10)


def test_buyers_of_p2v_gain_a_better_place_by_several_identities() -> None:
    orders = book([10, 10, 10], [0])
    draws = [partial(posted_price_vcg, price=5, seed=seed) for seed in seeds(60)]
    found = best_deviation(draws, orders, split_lies([10], [1]))

    # Two places in the queue for the one unit there is: half of 5 instead of a third.
    assert found is not None
    assert found.side is Side.BUY
    assert 0 < found.gain < Fraction(5, 2)


def test_the_roster_carries_the_average_price_rounded_down() -> None:
    orders = book([(9, 5)], [(1, 4), (4, 4), (7, 2)])
    outcome = posted_price_vcg(orders, 9, SEED)

    assert roster(outcome) == (RosterLine(b"s000000", 4, 4), RosterLine(b"s000001", 7, 1))
    assert outcome.surplus == 45 - 26
