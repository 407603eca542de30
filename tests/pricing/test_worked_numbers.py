"""The worked numbers of the design: closed forms, shares of gains, and lies that must be found."""

from collections.abc import Callable
from functools import partial
from random import Random
from statistics import fmean

import pytest

from pricing import (
    Book,
    Mechanism,
    best_deviation,
    gains_from_trade,
    joint_lies,
    mcafee,
    muda,
    multi_unit_trade_reduction,
    position,
    posted_price_vcg,
    price_lies,
    rank_excluding_sbba,
    sbba,
    seller_utility,
    trade_reduction,
    uniform_price,
    vcg_double_auction,
)
from tests.pricing.books import book, random_book, seeds
from tests.pricing.worked import WORKED

CLOSED = WORKED["closed_forms"]
CAUGHT = WORKED["must_be_caught"]
SEED = seeds(1)[0]
GRID = 120
"""Values and costs of the bilateral trade: midpoints of as many cells of [0, 1]."""
WHOLE = 24 * GRID


def bilateral(measure: Callable[[int, int], int]) -> float:
    """The mean of a measure over one buyer's value and one seller's cost, in units of 1."""
    cells = range(WHOLE // GRID // 2, WHOLE, WHOLE // GRID)
    return fmean(measure(value, cost) for value in cells for cost in cells) / WHOLE


def gains_of(rule: Mechanism) -> Callable[[int, int], int]:
    return lambda value, cost: gains_from_trade(book([value], [cost]), rule(book([value], [cost])))


def test_bilateral_trade_of_uniform_values() -> None:
    expected = CLOSED["bilateral_uniform"]
    at_half = partial(posted_price_vcg, price=WHOLE // 2, seed=SEED)

    def shaded(value: int, cost: int) -> int:
        """Chatterjee and Samuelson's linear equilibrium at the midpoint price."""
        reports = book([value * 2 // 3 + WHOLE // 12], [cost * 2 // 3 + WHOLE // 4])
        return (value - cost) * len(uniform_price(reports).bought)

    def deficit(value: int, cost: int) -> int:
        return -vcg_double_auction(book([value], [cost])).surplus

    near = partial(pytest.approx, abs=2e-3)
    assert bilateral(gains_of(vcg_double_auction)) == near(expected["first_best_gft"])
    assert bilateral(gains_of(at_half)) == near(expected["posted_half_gft"])
    assert bilateral(deficit) == near(expected["vcg_expected_deficit"])
    assert bilateral(shaded) == near(expected["second_best_gft_ChatterjeeSamuelson"])
    assert (
        expected["second_best_gft_ChatterjeeSamuelson"]
        == expected["best_feasible_gft_myerson_satterthwaite"]
    )


def shares(rule: Callable[[Book, bytes], int], traders: int, rounds: int) -> float:
    """Mean share of the first-best gains with values and costs uniform."""
    rng = Random(traders)
    got = []
    for seed in seeds(rounds):
        orders = book(
            [rng.randrange(10**6) for _ in range(traders)],
            [rng.randrange(10**6) for _ in range(traders)],
        )
        best = gains_from_trade(orders, vcg_double_auction(orders))
        if best:
            got.append(rule(orders, seed) / best)
    return fmean(got)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("trade_reduction", lambda b, _: gains_from_trade(b, trade_reduction(b))),
        ("mcafee", lambda b, _: gains_from_trade(b, mcafee(b))),
        ("sbba_public_order", lambda b, seed: gains_from_trade(b, sbba(b, seed))),
        ("muda", lambda b, seed: gains_from_trade(b, muda(b, seed))),
        ("p2v_adaptive", lambda b, s: gains_from_trade(b, posted_price_vcg(b, 500_000, s))),
    ],
)
@pytest.mark.parametrize(("column", "rounds"), [(0, 1_000), (1, 600), (2, 120)])
def test_shares_of_the_gains_from_trade(
    name: str, rule: Callable[[Book, bytes], int], column: int, rounds: int
) -> None:
    worked = WORKED["gains_from_trade_share"]
    got = shares(rule, worked["n"][column], rounds)

    assert got == pytest.approx(worked[name][column], abs=4 * 0.014)


def test_the_lie_in_the_uniform_price_is_found() -> None:
    case, scale = CAUGHT["uniform_price_double_not_DSIC"], 4
    orders = book([scale * bid for bid in case["bids"]], [scale * ask for ask in case["asks"]])
    found = best_deviation([uniform_price], orders, price_lies([scale // 2]))

    assert found is not None
    assert (case["misreport"], case["gain"]) == ("1/2", "1/4")
    assert found.gain == scale // 4


def test_the_lie_in_exclusion_by_rank_is_found() -> None:
    case = CAUGHT["sbba_rank_exclusion_not_DSIC"]
    orders = book(case["bids"], case["asks"])
    liar = orders.asks[0]
    found = best_deviation([rank_excluding_sbba], orders, price_lies([case["misreport"]]))

    assert found is not None
    assert found.truth == liar
    for seed in seeds(50):
        assert best_deviation([partial(sbba, seed=seed)], orders, price_lies(range(4))) is None


def test_withheld_capacity_pays_six_fifths() -> None:
    case, scale = CAUGHT["mtr_capacity_withholding"], 5

    def scaled(lots: list[list[int]]) -> list[tuple[int, int]]:
        return [(price, quantity * scale) for price, quantity in lots]

    truth = book(scaled(case["bids"]), scaled(case["asks"]))
    liar = truth.asks[1]
    bent = book(scaled(case["bids"]), scaled([[1, 4], [4, case["report_capacity"]], [7, 2]]))

    def worth(orders: Book) -> int:
        held = position(multi_unit_trade_reduction(orders, SEED), [liar.trader])
        return seller_utility(liar, held)

    assert worth(truth) == case["u_truth"] * scale
    assert worth(bent) == 6 * scale // 5
    assert case["u_mis"] == "6/5"


def test_p2v_lets_neither_of_these_lies_pay() -> None:
    rng = Random(51)
    lies = joint_lies(range(0, 12, 3), [1, 2, 4])
    for seed in seeds(60):
        orders = random_book(rng, quantity_max=4)
        assert best_deviation([partial(posted_price_vcg, price=5, seed=seed)], orders, lies) is None
