"""Property 6, measured: bounded loss, for gateways and suppliers that adapt."""

from collections.abc import Callable

from simulations.credit import crowds, gateways, streams, suppliers
from simulations.report import Report

STEPS = len(gateways.STRATEGIES) + 2 + 1 + len(suppliers.STRATEGIES)
PARTS = (
    gateways.run_gateways, crowds.run_crowds, streams.run_streams, suppliers.run_suppliers,
)  # fmt: skip


def run_credit(seed: int, trials: int, advance: Callable[[int], None]) -> Report:
    """Return the tables and plots of all parts; `advance` is called STEPS times in all."""
    reports = [run(seed, trials, advance) for run in PARTS]
    return Report(
        tuple(table for report in reports for table in report.tables),
        {name: figure for report in reports for name, figure in report.plots.items()},
    )
