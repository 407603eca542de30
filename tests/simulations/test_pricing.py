"""The experiment on pricing: what it claims of its own figures, on few trials."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pricing import StepBound
from simulations.__main__ import app
from simulations.auctions.experiment import STEPS, run_pricing
from simulations.auctions.gains import best_gains, draw_market, gains_by_rule, run_gains
from simulations.auctions.lies import run_regret, run_strategic
from simulations.auctions.own_volume import FEE_BPS, SHARE_BPS, best_gain, run_own_volume
from simulations.auctions.prices import run_prices


def ignore(steps: int) -> None:
    """Show no progress."""


def test_shares_of_gains_agree_with_the_designs() -> None:
    (table,) = run_gains(1, 200, ignore).tables

    for _, _, share, interval, design in table.rows:
        if design != "-":
            assert float(share) == pytest.approx(float(design), abs=2 * float(interval) + 0.028)


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
    for name, _, mean, _ in table.rows:
        gained[name] += float(mean)

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


def test_the_page_shows_what_is_computed() -> None:
    (table,) = run_own_volume(1, 2, ignore).tables

    page = Path(__file__).parents[2] / "docs" / "pricing-simulated.md"
    assert table.to_markdown() in page.read_text()


def test_the_command_writes_tables_plots_and_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    done = CliRunner().invoke(
        app, ["pricing", "--trials", "2", "--out", str(tmp_path), "--page", str(page), "--json"]
    )

    assert done.exit_code == 0, done.output
    names = {path.name for path in tmp_path.iterdir()}
    assert {"gains.csv", "prices.csv", "regret.csv", "strategic.csv", "own-volume.csv"} <= names
    assert {"gains.png", "prices.png", "regret.png"} <= names
    assert page.read_text().count("\n## ") == 5


def test_the_same_seed_gives_the_same_tables() -> None:
    steps: list[int] = []

    assert run_pricing(3, 2, steps.append).tables == run_pricing(3, 2, ignore).tables
    assert sum(steps) == STEPS
