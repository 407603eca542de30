"""The experiment on relay mining: what it claims of its own figures, on few trials."""

import csv
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from relay_mining import expected_gain
from simulations.__main__ import app
from simulations.mining.cheating import RATIOS, SHARES, Plan, exact_gain, gain_under_nearest_leaf
from simulations.mining.paper import measure, replay, run_paper
from simulations.mining.sampling import (
    draw_relays,
    find_tau,
    run_sampling,
    simulate_threshold,
    threshold_error,
    uniform_error,
)
from simulations.mining.traffic import CASES, TARGET, Case, load_cases
from simulations.mining.withholding import run_withholding, withhold


def ignore(steps: int) -> None:
    """Show no progress."""


def test_published_figures_lie_in_our_intervals_save_the_one_whose_traffic_is_unknown() -> None:
    (table,) = run_paper(3, 60, ignore).tables

    outside = [(row[0], row[1]) for row in table.rows if row[-1] == "no"]

    assert len(table.rows) == 5 * CASES
    assert ("Steady", "peak dev. %") in outside
    assert len(outside) <= 2  # of 19 intervals of 95 %


@pytest.mark.parametrize("case", load_cases(), ids=lambda case: case.name)
def test_a_windows_claims_and_deviation_are_the_same_figure(case: Case) -> None:
    run = replay(case, np.random.default_rng(1))

    figures = measure(case, run)

    blocks = case.last - case.first
    assert blocks == case.published.blocks
    assert figures["excess_claims"] / blocks / TARGET * 100 == pytest.approx(
        figures["mean_deviation_pct"]
    )
    assert (run.claims <= run.relays).all()


def test_traffic_is_drawn_within_two_pixels_of_the_figure() -> None:
    for case in load_cases():
        drawn = case.draw_traffic(np.random.default_rng(5))
        assert np.abs(drawn - case.relays).max() <= 2 * case.pixel + 1
        assert drawn.min() >= 0


def test_equal_relays_leave_no_difference_between_the_rules() -> None:
    units = np.full(1_000, 300.0)
    tau = find_tau(units, 100)

    assert tau == pytest.approx(3_000)
    assert threshold_error(units, tau) == pytest.approx(uniform_error(units, 0.1))


def test_threshold_sampling_is_unbiased_and_never_worse() -> None:
    (table,) = run_sampling(1, 200, ignore).tables

    assert all(abs(float(row[4])) < 4 for row in table.rows)
    assert all(float(row[-1]) >= 1 - 1e-9 for row in table.rows)


def test_relays_above_the_threshold_are_counted_exactly() -> None:
    units = draw_relays(np.random.default_rng(1))["chat"]

    assert set(simulate_threshold(units, 1.0, np.random.default_rng(2), 3)) == {1.0}


def test_no_share_bond_or_split_gains_and_the_replaced_rule_does() -> None:
    for ratio in (*RATIOS, 0.01, 1_000.0):
        for claims in (1, 3, 64):
            plans = [Plan(share, claims, ratio) for share in SHARES]
            assert max(map(exact_gain, plans)) <= 0
            assert max(map(gain_under_nearest_leaf, plans)) > 0.9


def test_a_margin_below_one_would_pay() -> None:
    assert expected_gain(0.01, 1.0, 1.0, 0.5) > 0


def test_a_gateway_that_sees_the_coin_takes_more_than_it_withholds() -> None:
    assert withhold([10, 10, 10], [0, 1_000, 0], 10, sees_coin=True) == (10, 1_000)
    assert withhold([10, 10, 10], [0, 1_000, 0], 10, sees_coin=False) == (10, 0)
    assert withhold([10], [0], 9, sees_coin=True) == (0, 0)


def test_blinded_the_supplier_loses_what_was_withheld() -> None:
    (table,) = run_withholding(2, 60, ignore).tables

    for _, _, visible, _, blinded, error in table.rows:
        assert float(visible) > 3
        assert abs(float(blinded) - 1) <= 2.5 * float(error)


def test_the_command_writes_tables_and_plots_and_the_same_ones_again(tmp_path: Path) -> None:
    texts = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        arguments = ["relay-mining", "--trials", "3", "--seed", "9", "--out", str(folder), "--json"]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        assert len(list(folder.glob("*.png"))) == CASES + 3
        with (folder / "paper.csv").open() as file:
            texts.append(list(csv.reader(file)))

    assert texts[0] == texts[1]
