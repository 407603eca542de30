"""The pages of the simulations show what their experiments compute: a piece of each, again."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from simulations.auctions import envy, gains, lies, own_volume, prices, revenue, worked
from simulations.edge import experiment as edge
from simulations.report import Cell, Report, Table, show
from simulations.strategies import experiment as strategies
from simulations.strategies import withholding

DOCS = Path(__file__).parents[2] / "docs"
PRICING = (DOCS / "pricing-simulated.md").read_text()
TRIALS = 1_000
"""Of the page on pricing."""
FEW = 100
"""Of the pages on edge inference and on strategies."""

Run = Callable[[int, int, Callable[[int], None]], Report]


def ignore(steps: int) -> None:
    """Show no progress."""


def section(page: str, table: Table) -> list[str]:
    """The lines of a table's section."""
    return page.split(f"## {table.title}\n")[1].split("\n## ")[0].splitlines()


def is_shown(page: str, table: Table, rows: int | None = None) -> bool:
    """Whether the page has the table's head, its first rows (all where not said) and its note."""
    written, lines = section(page, table), table.to_markdown().splitlines()
    head, body = lines[2], [line for line in lines[4:] if line.startswith("| ")]
    return {head, table.note, *body[:rows]} <= set(written)


def test_a_cell_that_is_not_computed_is_found_out() -> None:
    table = Table("a", "A", ("x", "y"), ((1, 2.0), (3, 4.0)), "Note.")
    page = table.to_markdown()

    assert is_shown(page, table)
    assert is_shown(page.replace("| 3 | 4 |", "| 3 | 5 |"), table, 1)
    assert not is_shown(page.replace("| 3 | 4 |", "| 3 | 5 |"), table)
    assert not is_shown(page.replace("Note.", "Not so."), table)
    assert not is_shown(page.replace("| x |", "| z |"), table)


@pytest.mark.parametrize(
    ("run", "part", "kept"),
    [
        (gains.run_gains, (gains, "SIZES"), (5,)),
        (envy.run_envy, (envy, "SIZES"), (4, 8)),
        (lies.run_regret, (lies, "SIZES"), (2, 4)),
        (lies.run_strategic, (lies, "SHARES"), (100,)),
    ],
    ids=["gains", "envy", "regret", "strategic"],
)
def test_the_rows_of_some_sizes(
    monkeypatch: pytest.MonkeyPatch, run: Run, part: tuple[object, str], kept: tuple[int, ...]
) -> None:
    monkeypatch.setattr(*part, kept)

    (table,) = run(1, TRIALS, ignore).tables
    assert is_shown(PRICING, table)


def test_own_volume_and_the_closed_forms_are_there_whole() -> None:
    for run in (own_volume.run_own_volume, worked.run_worked):
        (table,) = run(1, TRIALS, ignore).tables
        assert is_shown(PRICING, table)


def test_the_first_row_of_either_revenue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revenue, "GOODS_SIZES", (10,))
    monkeypatch.setattr(revenue, "PLANS_SIZES", (10,))

    goods, plans = revenue.run_revenue(1, TRIALS, ignore).tables
    assert is_shown(PRICING, goods, 1)
    assert is_shown(PRICING, plans, 1)


def test_the_convergence_of_one_controller() -> None:
    rng, steady = np.random.default_rng([1, 0]), prices.SCENARIOS["steady"]
    paths = [prices.price_path(rng, "next_price", steady) for _ in range(TRIALS // 10)]
    row: tuple[Cell, ...] = ("steady", "next_price", *prices.errors_of(paths))

    assert f"| {' | '.join(show(cell) for cell in row)} |" in PRICING


def test_the_plans_and_the_revenue_of_one_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "NAMES", ("alexnet",))

    for table in edge.run_edge(1, FEW, ignore).tables:
        assert is_shown((DOCS / "edge-simulated.md").read_text(), table)


def test_the_lies_of_one_epoch_and_the_slices_of_one_supplier(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(strategies, "HORIZONS", (1,))
    monkeypatch.setattr(withholding, "SUPPLIERS", (1,))

    for table in strategies.run_strategies(1, FEW, ignore).tables:
        assert is_shown((DOCS / "strategies-simulated.md").read_text(), table)
