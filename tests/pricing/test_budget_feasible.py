"""Singer's procurement under a budget: the worked example, and what is promised of every book."""

from functools import partial
from itertools import combinations_with_replacement
from random import Random

from pricing import (
    Book,
    Fill,
    Outcome,
    budget_feasible,
    is_feasible,
    is_individually_rational,
    is_monotone,
    is_truthful,
    price_lies,
)
from tests.pricing.books import book
from tests.pricing.worked import WORKED


def test_the_worked_example() -> None:
    case = WORKED["budget_feasible_example"]
    asks = book(asks=case["costs"])
    outcome = budget_feasible(asks, case["budget"])

    assert [fill.trader for fill in outcome.sold] == [
        asks.asks[winner].trader for winner in case["winners"]
    ]
    assert {fill.money for fill in outcome.sold} == {case["pay_each"]}


def test_the_edges_of_a_budget() -> None:
    assert budget_feasible(book(asks=[1]), 0).sold == ()
    assert len(budget_feasible(book(asks=[0, 0]), 0).sold) == 2
    assert budget_feasible(book(asks=[5]), 5).received == 5
    assert budget_feasible(book(asks=[6]), 5).sold == ()
    assert budget_feasible(book(), 9).sold == ()


def test_no_lie_about_a_cost_pays_in_any_small_book() -> None:
    for count in range(1, 5):
        for costs in combinations_with_replacement(range(6), count):
            for budget in range(0, 13, 2):
                rule = partial(budget_feasible, budget=budget)
                each = book(asks=costs)
                assert is_truthful([rule], each, price_lies(range(14))), (costs, budget)


def test_never_beyond_the_budget_and_at_least_half_of_what_was_possible() -> None:
    rng = Random(1)
    for _ in range(3000):
        costs = [rng.randint(0, 30) for _ in range(rng.randint(1, 9))]
        budget = rng.randint(0, 120)
        each = book(asks=costs)
        outcome = budget_feasible(each, budget)

        assert outcome.received <= budget
        assert is_feasible(each, outcome)
        assert is_individually_rational(each, outcome)
        assert 2 * len(outcome.sold) >= most_jobs(costs, budget)


def most_jobs(costs: list[int], budget: int) -> int:
    """As many of the cheapest jobs as the budget pays at cost."""
    ordered = sorted(costs)
    return max(count for count in range(len(costs) + 1) if sum(ordered[:count]) <= budget)


def test_asking_less_never_loses_the_job() -> None:
    rng = Random(2)
    for _ in range(300):
        each = book(asks=[rng.randint(0, 9) for _ in range(5)])
        assert is_monotone(partial(budget_feasible, budget=rng.randint(0, 30)), each, range(12))


def test_paying_each_its_ask_is_caught() -> None:
    def at_cost(orders: Book) -> Outcome:
        chosen = budget_feasible(orders, 6)
        asked = {ask.trader: ask.price for ask in orders.asks}
        return Outcome(sold=tuple(Fill(f.trader, 1, asked[f.trader]) for f in chosen.sold))

    assert not is_truthful([at_cost], book(asks=[1, 2, 3, 4]), price_lies(range(8)))
