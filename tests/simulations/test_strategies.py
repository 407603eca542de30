"""Lies in epoch auctions: none pays within an epoch, none beyond its bound across several."""

from random import Random

from pricing import Order, clear_epoch
from simulations.strategies.experiment import STEPS, best_gain, lies, run_strategies
from simulations.strategies.world import (
    FEE_BPS,
    QUANTITY_MAX,
    bound,
    draw_world,
    play,
    reach,
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
        world = draw_world(rng, 2 + number % 3)
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
        ranges = reach(world)
        assert all(low <= world.price <= high for low, high in ranges)
        assert ranges[0] == (world.price, world.price)


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


def test_the_same_seed_gives_the_same_table() -> None:
    advanced: list[int] = []
    first = run_strategies(5, 2, advanced.append)
    assert first.tables == run_strategies(5, 2, lambda steps: None).tables
    assert sum(advanced) == STEPS
    assert all(row[-1] == 0 for row in first.tables[0].rows)
