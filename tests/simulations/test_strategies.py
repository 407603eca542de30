"""Lies in epoch auctions: none pays within an epoch, none beyond its bound across several."""

from random import Random
from statistics import mean, stdev

import pytest

from pricing import Order, clear_epoch, price_reach
from simulations.strategies.experiment import STEPS, best_gain, run_strategies
from simulations.strategies.lies import lies
from simulations.strategies.withholding import (
    BUYERS,
    MEMBERS,
    RULES,
    SUPPLIERS,
    by_cost,
    claimable,
    evenly,
    found_gain,
    usable,
)
from simulations.strategies.world import (
    FEE_BPS,
    QUANTITY_MAX,
    World,
    bound,
    draw_world,
    play,
    say,
    utility,
)


def test_no_lie_of_the_family_gains_within_an_epoch() -> None:
    rng = Random(1)
    for _ in range(25):
        world = draw_world(rng, 1)
        for truth in (world.book.asks[0], world.book.bids[0]):
            assert best_gain(world, truth) <= QUANTITY_MAX  # a base unit a unit of rounding


def test_no_plan_gains_more_than_the_bound_and_some_plans_gain() -> None:
    rng = Random(2)
    gains = []
    for number in range(40):
        world = draw_world(rng, 3 + number % 3)
        truth = (world.book.asks if number % 2 else world.book.bids)[0]
        gain = best_gain(world, truth)
        assert gain <= bound(world, truth)
        gains.append(gain)
    assert max(gains) > QUANTITY_MAX  # the search does find what there is to gain


def test_no_plan_drawn_at_random_leaves_what_is_within_reach() -> None:
    rng = Random(3)
    for _ in range(30):
        world = draw_world(rng, 4)
        truth = world.book.asks[0]
        plan = [
            Order(truth.trader, rng.randint(1, 2_000_000), rng.randint(1, 20))
            for _ in range(world.epochs)
        ]
        honest = play(world, truth, [truth] * world.epochs)
        assert play(world, truth, plan) - honest <= bound(world, truth)
        ranges = price_reach(world.price, FEE_BPS, world.epochs)
        assert all(low <= world.price <= high for low, high in ranges)
        assert ranges[0] == ranges[1] == (world.price, world.price)


def test_a_supplier_is_paid_for_what_it_serves_and_a_buyer_pays_for_what_it_got() -> None:
    rng = Random(4)
    for _ in range(50):
        world = draw_world(rng, 1)
        (seed,) = world.seeds
        ask, bid = world.book.asks[0], world.book.bids[0]
        for truth in (ask, bid):
            greedy = Order(truth.trader, truth.price, 20 * truth.quantity)
            outcome = clear_epoch(say(world.book, greedy), world.price, FEE_BPS, seed)
            worth = utility(world, truth, outcome, world.price)
            lines = [each for each in outcome.roster if each.supplier == truth.trader]
            fills = [each for each in outcome.fills if each.application == truth.trader]
            if lines:
                served = min(lines[0].units, truth.quantity)
                assert worth == served * (lines[0].unit_price - truth.price)
            elif fills:
                assert worth <= truth.price * truth.quantity - fills[0].charge
            else:
                assert worth == 0


def test_the_family_holds_no_truth_and_every_length() -> None:
    truth = Order(b"a", 1_000, 4)
    plans = list(lies(truth, 4))
    assert all(plan != [truth] * 4 for plan in plans)
    assert {sum(each != truth for each in plan) for plan in plans} == {1, 2, 4}


def worlds_of(count: int, number: int) -> list[World]:
    rng = Random(f"withholding {count}")
    return [draw_world(rng, 1, suppliers=count, buyers=BUYERS) for _ in range(number)]


@pytest.mark.parametrize("count", [each for each in SUPPLIERS if each <= MEMBERS])
def test_with_few_suppliers_each_can_claim_what_it_sold_and_no_lie_pays(count: int) -> None:
    for world in worlds_of(count, 20):
        truth = world.book.asks[0]
        outcome = clear_epoch(world.book, world.price, FEE_BPS, world.seeds[0])
        for line in outcome.roster:
            exact = line.unit_price * line.units
            # Each session of each buyer rounds a cap and a slice down.
            assert exact - 200 <= claimable(outcome, by_cost, 1)[line.supplier] <= exact
        assert found_gain(world, truth, by_cost) <= 200 + QUANTITY_MAX
        assert usable(world, by_cost, 1) > 0.9999


def test_with_many_suppliers_withholding_pays_no_more_on_average() -> None:
    gains = [found_gain(each, each.book.asks[0], by_cost) for each in worlds_of(9, 60)]
    error = 3 * stdev(gains) / len(gains) ** 0.5
    assert mean(gains) <= error
    assert all(usable(each, by_cost, 1) > 0.999 for each in worlds_of(9, 20))


@pytest.mark.parametrize("count", SUPPLIERS)
def test_even_slices_are_caught(count: int) -> None:
    """The control: a K-th for each member pays who withholds, or leaves paid capacity unusable."""
    found = worlds_of(count, 60)
    gains = [found_gain(each, each.book.asks[0], evenly) for each in found]
    error = 3 * stdev(gains) / len(gains) ** 0.5
    used = mean(usable(each, evenly, 1) for each in found)
    assert mean(gains) > error or used < 0.9
    assert set(RULES.values()) == {by_cost, evenly}


def test_the_same_seed_gives_the_same_table() -> None:
    advanced: list[int] = []
    first = run_strategies(5, 2, advanced.append)
    assert first.tables == run_strategies(5, 2, lambda steps: None).tables
    assert sum(advanced) == STEPS
    assert all(row[-1] == 0 for row in first.tables[0].rows)
    assert set(first.plots) == {"strategies", "slices"}
    assert [panel.get_title() for panel in first.plots["strategies"].axes] == ["supplier", "buyer"]
