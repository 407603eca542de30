"""Property 6 on few trials: nobody takes more than its credit, whatever it does and when."""

from pathlib import Path

from typer.testing import CliRunner

from simulations.__main__ import app
from simulations.credit.crowds import run_crowds
from simulations.credit.gateways import run_gateways
from simulations.credit.lender import DUE_RELAYS, INITIAL, NEWCOMERS, lend
from simulations.credit.streams import run_streams
from simulations.credit.suppliers import run_suppliers

TRIALS = 12


def ignore(steps: int) -> None:
    """Show no progress."""


def test_no_gateway_takes_more_than_it_was_granted_and_earned() -> None:
    (table,) = run_gateways(3, TRIALS, ignore).tables

    for name, served, mean, *_, worst, _, weight, error in table.rows:
        assert float(worst) <= 1, name
        assert (name == "honest") == (mean == 0)
        assert float(served) > 0
        if mean:
            assert abs(float(weight) - 1) <= 2 * float(error), name


def test_the_bound_is_nearly_reached_by_who_picks_well() -> None:
    rows = {row[0]: row for row in run_gateways(3, TRIALS, ignore).tables[0].rows}

    assert float(rows["never"][7]) > 0.95
    assert float(rows["just enough"][7]) > 0.95


def test_a_late_receipt_stops_the_credit_until_it_is_here() -> None:
    lender = lend(b"late")
    first = lender.serve(10)
    assert first is not None
    for _ in range(DUE_RELAYS):
        one = lender.serve(10)
        assert one is not None
        lender.receipt(one)
    assert lender.serve(10) is None
    lender.receipt(first)
    assert lender.serve(10) is not None


def test_no_crowd_is_worth_its_fees_and_the_pool_holds() -> None:
    (table,) = run_crowds(3, TRIALS, ignore).tables

    for name, count, owed, mean, _, _, best in table.rows:
        assert float(best) < 0, (name, count)
        assert float(mean) <= INITIAL * int(count)
        if name == "never receipts":
            assert float(owed) <= NEWCOMERS


def test_a_stream_in_parts_loses_two_of_them_at_most() -> None:
    (table,) = run_streams(3, TRIALS, ignore).tables

    assert all(float(row[5]) <= float(row[6]) for row in table.rows)
    whole = max(float(row[5]) for row in table.rows if row[0] == 0)
    assert all(float(row[5]) < whole for row in table.rows if row[0])


def test_no_supplier_gains_in_the_mean() -> None:
    (table,) = run_suppliers(3, 60, ignore).tables

    for name, mean, error, *_ in table.rows:
        assert float(mean) <= float(error), name
    assert all(float(row[7]) > 0 for row in table.rows)


def test_the_command_writes_tables_and_a_plot(tmp_path: Path) -> None:
    arguments = ["credit", "--trials", "2", "--out", str(tmp_path), "--json"]
    result = CliRunner().invoke(app, arguments)

    assert result.exit_code == 0, result.output
    assert {path.suffix for path in tmp_path.iterdir()} == {".csv", ".png"}
