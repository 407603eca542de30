"""The edge planner: against exact fractions, at its edges, and for many users at once."""

from dataclasses import replace
from fractions import Fraction
from random import Random

import numpy as np
import pytest

from pricing import (
    UNSERVED,
    EdgePlan,
    EdgeTask,
    EdgeTasks,
    Exit,
    InvalidBookError,
    Layer,
    Network,
    large_plan_edge,
    plan_edge,
)
from tests.pricing.networks import NETWORKS

SMALL = Network(
    600,
    (
        Exit(500_000, (Layer(1000, 100), Layer(500, 4))),
        Exit(900_000, (Layer(1000, 100), Layer(3000, 200), Layer(500, 4))),
    ),
)
TASK = EdgeTask(
    accuracy_ppm=900_000,
    deadline_us=2000,
    device_rate=1,
    uplink_bytes_s=1_000_000,
    round_trip_us=50,
)


def draw_task(rng: Random) -> EdgeTask:
    return EdgeTask(
        accuracy_ppm=rng.randint(300_000, 750_000),
        deadline_us=rng.choice((1000, 30_000, 200_000, 1_000_000)) + rng.randint(-500, 500),
        device_rate=rng.choice((300, 3000, 60_000)) + rng.randint(0, 99),
        uplink_bytes_s=rng.choice((10**5, 10**6, 10**8)) + rng.randint(0, 999),
        round_trip_us=rng.choice((0, 1000, 40_000)),
        complexity_milli=rng.choice((1, 500, 1000, 1700)),
    )


def exact_rates(network: Network, task: EdgeTask) -> dict[tuple[int, int], Fraction]:
    """The least edge rate of every exit and cut that can meet the deadline, unrounded."""
    kappa = Fraction(task.complexity_milli, 1000)
    found = {}
    for number, way_out in enumerate(network.exits):
        if way_out.accuracy_ppm < task.accuracy_ppm:
            continue
        works = [layer.work for layer in way_out.layers]
        sizes = [network.input_bytes, *(layer.output for layer in way_out.layers)]
        for cut in range(len(works) + 1):
            left = task.deadline_us - kappa * sum(works[:cut]) / task.device_rate
            if cut < len(works):
                left -= kappa * sizes[cut] * 10**6 / task.uplink_bytes_s + task.round_trip_us
            if cut == len(works) and left >= 0:
                found[number, cut] = Fraction(0)
            elif cut < len(works) and left > 0:
                found[number, cut] = kappa * sum(works[cut:]) / left
    return found


def exact_latency(network: Network, task: EdgeTask, plan: EdgePlan) -> Fraction:
    """The formula of the design at the rate of the plan."""
    kappa = Fraction(task.complexity_milli, 1000)
    layers = network.exits[plan.exit].layers
    sizes = [network.input_bytes, *(layer.output for layer in layers)]
    latency = kappa * sum(layer.work for layer in layers[: plan.cut]) / task.device_rate
    if plan.cut < len(layers):
        latency += kappa * sizes[plan.cut] * 10**6 / task.uplink_bytes_s + task.round_trip_us
        latency += kappa * sum(layer.work for layer in layers[plan.cut :]) / plan.edge_rate
    return latency


@pytest.mark.parametrize("name", NETWORKS)
def test_a_plan_is_the_least_rate_there_is_up_to_rounding(name: str) -> None:
    rng = Random(name)
    served = 0
    for _ in range(400):
        task = draw_task(rng)
        plan, rates = plan_edge(NETWORKS[name], task), exact_rates(NETWORKS[name], task)
        if plan is None:
            strict = replace(task, deadline_us=task.deadline_us - 2)
            assert not exact_rates(NETWORKS[name], strict)
            continue
        served += 1
        least = min(rates.values())
        assert plan.edge_rate >= least
        assert plan.latency_us <= task.deadline_us
        assert 0 <= plan.latency_us - exact_latency(NETWORKS[name], task, plan) <= 3
        slack_us = task.deadline_us - plan.device_us - plan.network_us
        if plan.edge_rate and slack_us > 100:
            assert plan.edge_rate - 1 <= rates[plan.exit, plan.cut] * Fraction(
                slack_us + 2, slack_us
            )
    assert served > 100


@pytest.mark.parametrize("name", NETWORKS)
def test_one_mflop_less_would_be_too_late(name: str) -> None:
    rng = Random(name)
    for _ in range(200):
        task = draw_task(rng)
        plan = plan_edge(NETWORKS[name], task)
        if plan is not None and plan.edge_rate > 1:
            slower = replace(plan, edge_rate=plan.edge_rate - 1)
            assert exact_latency(NETWORKS[name], task, slower) > task.deadline_us - 2


def test_the_whole_network_on_the_device_needs_no_edge() -> None:
    plan = plan_edge(SMALL, replace(TASK, deadline_us=4500))
    assert plan == EdgePlan(1, 3, 0, 4500, 0, 0)
    assert plan.latency_us == 4500
    assert plan_edge(SMALL, replace(TASK, deadline_us=4499)).edge_rate > 0


def test_an_inner_cut_where_the_activation_is_smaller_than_the_input() -> None:
    """1000 us on the device, 100 bytes in 1000 us, 50 of way, 3500 FLOP in the 1950 us left."""
    slow_uplink = replace(TASK, uplink_bytes_s=100_000, deadline_us=4000)
    assert plan_edge(SMALL, slow_uplink) == EdgePlan(1, 1, 2, 1000, 1050, 1750)


def test_the_edges_of_a_deadline() -> None:
    """At 651 us all 4500 FLOP run at the edge in the one left of 600 us of upload and 50 of way."""
    assert plan_edge(SMALL, replace(TASK, deadline_us=651)) == EdgePlan(1, 0, 4500, 0, 650, 1)
    assert plan_edge(SMALL, replace(TASK, deadline_us=650)) is None
    assert plan_edge(SMALL, replace(TASK, accuracy_ppm=900_001)) is None


def test_ties_go_to_more_layers_on_the_device_then_to_the_earlier_exit() -> None:
    slow = replace(TASK, accuracy_ppm=0, deadline_us=10_000)
    assert plan_edge(SMALL, slow).exit == 1
    assert plan_edge(SMALL, slow).cut == 3
    twins = Network(600, (SMALL.exits[1], SMALL.exits[1]))
    assert plan_edge(twins, slow).exit == 0


def test_a_task_and_a_layer_must_make_sense() -> None:
    for field in ("device_rate", "uplink_bytes_s", "complexity_milli"):
        with pytest.raises(ValueError, match="positive"):
            replace(TASK, **{field: 0})
    with pytest.raises(ValueError, match="FLOP"):
        Layer(0, 1)


def as_arrays(tasks: list[EdgeTask]) -> EdgeTasks:
    fields = EdgeTask.__dataclass_fields__
    return EdgeTasks(**{f: np.array([getattr(t, f) for t in tasks], np.int64) for f in fields})


@pytest.mark.parametrize("name", NETWORKS)
def test_many_users_get_the_plans_that_each_would_alone(name: str) -> None:
    rng = Random(name)
    tasks = [draw_task(rng) for _ in range(1500)]
    plans = large_plan_edge(NETWORKS[name], as_arrays(tasks))
    for place, task in enumerate(tasks):
        alone = plan_edge(NETWORKS[name], task)
        got = (plans.exits[place], plans.cuts[place], plans.edge_rates[place])
        assert got == ((alone.exit, alone.cut, alone.edge_rate) if alone else (UNSERVED, 0, 0))


def test_a_network_beyond_64_bits_is_refused() -> None:
    huge = Network(1, (Exit(1, (Layer(2**53, 1),)),))
    with pytest.raises(InvalidBookError):
        large_plan_edge(huge, as_arrays([replace(TASK, complexity_milli=2000)]))


RATES = range(1, 25)


def feasible_rates(network: Network, task: EdgeTask) -> set[int]:
    """Every rate at which some exit and cut with work for the edge meets the deadline."""
    return {
        rate
        for number, cut in exact_rates(network, task)
        if cut < len(network.exits[number].layers)
        for rate in RATES
        if exact_latency(network, task, EdgePlan(number, cut, rate, 0, 0, 0)) <= task.deadline_us
    }


def test_the_plan_of_least_rate_is_the_cheapest_at_any_unit_price() -> None:
    """Against all exits, cuts and rates there are, up to the two times rounded up in a plan."""
    rng = Random(12)
    compared = 0
    for _ in range(160):
        task = replace(
            TASK,
            accuracy_ppm=rng.choice((400_000, 900_000)),
            deadline_us=rng.randint(300, 3_000),
            device_rate=rng.randint(1, 4),
            uplink_bytes_s=rng.choice((300_000, 1_000_000, 5_000_000)),
        )
        plan = plan_edge(SMALL, task)
        strict = feasible_rates(SMALL, replace(task, deadline_us=task.deadline_us - 2))
        if plan is None:
            assert not strict
        elif plan.edge_rate and strict:
            compared += 1
            for unit_price in (1, rng.randint(2, 10**6)):
                cost = unit_price * plan.edge_rate
                assert cost <= min(unit_price * rate for rate in strict)
                assert cost >= min(unit_price * rate for rate in feasible_rates(SMALL, task))
    assert compared > 40
