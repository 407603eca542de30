"""Edge inference of known networks: plans keep promises, no auction sells what is not there."""

from random import Random

import pytest

from pricing import Book, Order, plan_edge
from simulations.edge.experiment import NAMES, STEPS, run_edge
from simulations.edge.world import (
    AUCTIONS,
    best_single_price,
    draw_book,
    draw_task,
    learn_price,
    load_networks,
    make_offer,
    plan_crowd,
    posted,
)
from tests.pricing.networks import NETWORKS as WORKED

NETWORKS = load_networks()


def test_the_networks_are_those_of_the_worked_numbers() -> None:
    assert NETWORKS == WORKED
    assert set(NAMES) == set(NETWORKS)


@pytest.mark.parametrize("name", NAMES)
def test_every_task_is_planned_within_its_deadline_or_not_at_all(name: str) -> None:
    rng = Random(1)
    kinds = set()
    for _ in range(120):
        task = draw_task(rng, NETWORKS[name])
        plan = plan_edge(NETWORKS[name], task)
        kinds.add(plan and plan.edge_rate > 0)
        if plan is not None:
            assert plan.latency_us <= task.deadline_us
            assert NETWORKS[name].exits[plan.exit].accuracy_ppm >= task.accuracy_ppm
    assert kinds == {None, True, False}


@pytest.mark.parametrize("name", NAMES)
def test_no_auction_sells_more_than_there_is_or_beyond_a_bid(name: str) -> None:
    rng = Random(2)
    for capacity in (1_000_000, 300_000):
        crowd = plan_crowd(rng, NETWORKS[name], 25)
        book = draw_book(rng, crowd)
        offer = make_offer(book, capacity)
        bids = {bid.trader: bid for bid in book.bids}
        price = learn_price([(book, offer)])
        for sell in (*AUCTIONS.values(), posted(price)):
            sold = sell(book, offer, rng).bought
            assert sum(fill.units for fill in sold) <= offer.capacity
            assert all(fill.money <= bids[fill.trader].price for fill in sold)
        best = best_single_price(book, offer)
        raised = posted(price)(book, offer, rng).paid
        assert best <= raised <= best + len(book.bids)  # of its own round the learned price is best


def test_a_price_learned_from_rounds_is_the_one_that_raised_most() -> None:
    book = Book((Order(b"a", 10, 1), Order(b"b", 6, 1), Order(b"c", 1, 1)))
    offer = make_offer(book, 1_000_000)
    assert learn_price([(book, offer)]) == 6


def test_the_same_seed_gives_the_same_tables() -> None:
    advanced: list[int] = []
    first = run_edge(3, 3, advanced.append)
    assert first.tables == run_edge(3, 3, lambda steps: None).tables
    assert sum(advanced) == STEPS


def test_the_tables_are_drawn() -> None:
    report = run_edge(3, 3, lambda steps: None)
    revenue = report.plots["edge-revenue"].axes

    assert set(report.plots) == {table.name for table in report.tables}
    assert [len(panel.patches) for panel in revenue] == [len(NAMES) * (len(AUCTIONS) + 1)] * 2
