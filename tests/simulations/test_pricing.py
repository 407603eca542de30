"""The experiment on pricing: what it claims of its own figures, on few trials."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pricing import StepBound
from simulations.__main__ import app
from simulations.auctions import worked
from simulations.auctions.envy import run_envy
from simulations.auctions.experiment import STEPS, run_pricing
from simulations.auctions.gains import (
    DESIGN,
    SIZES,
    best_gains,
    draw_market,
    gains_by_rule,
    run_gains,
)
from simulations.auctions.lies import run_regret, run_strategic
from simulations.auctions.own_volume import FEE_BPS, SHARE_BPS, best_gain
from simulations.auctions.prices import run_prices
from simulations.auctions.revenue import (
    GOODS_SIZES,
    LAWS,
    PLANS_SIZES,
    best_unit_price,
    run_revenue,
)
from tests.pricing.worked import WORKED


def ignore(steps: int) -> None:
    """Show no progress."""


def test_shares_of_gains_agree_with_the_designs() -> None:
    (table,) = run_gains(1, 200, ignore).tables

    for _, _, share, interval, design in table.rows:
        if design != "-":
            assert float(share) == pytest.approx(float(design), abs=2 * float(interval) + 0.028)


def test_the_designs_figures_are_those_of_the_worked_numbers() -> None:
    forms, share = WORKED["closed_forms"], WORKED["gains_from_trade_share"]
    keys = ("trade_reduction", "mcafee", "sbba_public_order", "muda", "p2v_adaptive")

    assert tuple(share["n"]) == SIZES
    assert list(DESIGN.values()) == [tuple(share[key]) for key in keys]
    by_number = {int(count): each for count, each in forms["myerson_uniform01"]["rev_n"].items()}
    assert by_number == worked.REVENUES
    assert forms["vickrey_no_reserve_uniform_n2"] == worked.VICKREY_OF_TWO
    assert forms["bilateral_uniform"] == worked.BILATERAL
    assert {
        "CORE": forms["core"]["ratio"],
        "RSPE": forms["rspe"]["ratio"],
    } == worked.RATIOS_AT_ONE_AND_TWO
    bounds = {int(count): each for count, each in forms["lower_bound_n"].items()}
    assert bounds == worked.LOWER_BOUNDS
    assert {key: tuple(each) for key, each in forms["rho_table"].items()} == worked.BEST_BASES


def test_the_closed_forms_are_met() -> None:
    (table,) = worked.run_worked(1, 250, ignore).tables

    assert len(table.rows) == 6 + 1 + 5 + 2 + 5 + 6
    for name, design, ours, interval in table.rows:
        # Twice the interval is four standard errors; what is computed is to four figures.
        slack = 2 * float(interval) + 2e-3 * float(design)
        assert float(ours) == pytest.approx(float(design), abs=slack), name


def test_no_auction_earns_more_than_the_best_single_price() -> None:
    goods, plans = run_revenue(1, 60, ignore).tables

    for table, sizes in ((goods, GOODS_SIZES), (plans, PLANS_SIZES)):
        assert [row[1] for row in table.rows] == list(sizes) * len(LAWS)
        for row in table.rows:
            assert all(0 < float(share) <= 1 for share in row[2:-1])
    # With many users every edge auction but the benchmark of half the capacity comes near.
    for row in plans.rows[2 :: len(PLANS_SIZES)]:
        assert min(float(share) for share in row[2:6]) > 0.85
        assert float(row[-2]) > 0.95


def test_a_price_from_past_rounds_is_the_one_that_raised_most() -> None:
    values, demands = np.array([10, 6, 1]), np.array([1, 1, 1])
    assert best_unit_price(values, demands) == 6
    assert best_unit_price(np.array([10, 12]), np.array([1, 4])) == 3


def test_only_rules_of_one_price_leave_no_envy() -> None:
    (table,) = run_envy(1, 100, ignore).tables
    envied = {name: 0.0 for name, *_ in table.rows}
    for name, _, share, worst in table.rows:
        envied[str(name)] += float(share)
        assert (float(share) == 0) == (float(worst) == 0)

    free = {"McAfee", "trade reduction", "AERIA-E"}
    assert {name for name, share in envied.items() if share == 0} == free


def test_no_rule_gains_more_than_the_best_trades() -> None:
    rng = np.random.default_rng(2)
    for _ in range(200):
        market = draw_market(rng, int(rng.integers(1, 12)))
        assert max(gains_by_rule(market, rng, 500_000).values()) <= best_gains(market)


def test_prices_come_near_what_would_clear_in_every_scenario() -> None:
    (table,) = run_prices(1, 40, ignore).tables

    assert len(table.rows) == 6
    for _, _, error, largest, epochs, share in table.rows:
        assert float(error) < 0.1
        assert float(largest) < 0.8
        assert 0 < float(epochs) < 20
        assert 0.9 < float(share) <= 1


def test_lies_pay_only_under_the_rules_that_let_them() -> None:
    (table,) = run_regret(1, 150, ignore).tables
    gained = {name: 0.0 for name, *_ in table.rows}
    for name, _, mean, interval, largest in table.rows:
        gained[name] += float(mean)
        # Of 15 gains between 0 and the largest, half at either end have the largest error.
        assert (float(mean) == 0) == (float(interval) == 0)
        assert float(interval) <= float(largest) / 14**0.5 + 1e-9

    assert gained.pop("P2V") == gained.pop("MUDA") == 0
    assert all(each > 0 for each in gained.values())


def test_shading_costs_gains() -> None:
    (table,) = run_strategic(1, 40, ignore).tables
    uniform = [float(share) for name, _, share in table.rows if name == "uniform price"]

    assert uniform == sorted(uniform, reverse=True)
    assert uniform[0] == 1 > uniform[-1]


@pytest.mark.parametrize("elasticity", [0.25, 1.0, 2.0])
def test_own_volume_does_not_pay_by_the_next_epoch_once_bounded(elasticity: float) -> None:
    assert best_gain(elasticity, 2, StepBound(FEE_BPS, SHARE_BPS))[0] < 0


def test_own_volume_pays_unbounded_and_in_the_long_run_where_demand_is_inelastic() -> None:
    assert best_gain(0.25, 2, None)[0] > 0
    assert best_gain(0.25, 100, None)[0] > best_gain(0.25, 100, StepBound(FEE_BPS, SHARE_BPS))[0]
    assert best_gain(0.25, 100, StepBound(FEE_BPS, SHARE_BPS))[0] > 0


def test_the_command_writes_tables_plots_and_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    done = CliRunner().invoke(
        app, ["pricing", "--trials", "2", "--out", str(tmp_path), "--page", str(page), "--json"]
    )

    assert done.exit_code == 0, done.output
    names = {path.name for path in tmp_path.iterdir()}
    tables = "gains worked goods-revenue plans-revenue envy prices regret strategic own-volume"
    assert {f"{name}.csv" for name in tables.split()} <= names
    plots = "gains revenue envy prices regret strategic own-volume"
    assert {f"{name}.png" for name in plots.split()} <= names
    assert page.read_text().count("\n## ") == len(tables.split())


def test_the_same_seed_gives_the_same_tables() -> None:
    steps: list[int] = []

    assert run_pricing(3, 2, steps.append).tables == run_pricing(3, 2, ignore).tables
    assert sum(steps) == STEPS
