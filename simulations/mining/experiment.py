"""The whole experiment on relay mining, part by part."""

from collections.abc import Callable

from simulations.mining.cheating import RATIOS, run_cheating
from simulations.mining.paper import run_paper
from simulations.mining.sampling import TRAFFIC_KINDS, run_sampling
from simulations.mining.traffic import CASES
from simulations.mining.withholding import TAUS, run_withholding
from simulations.report import Report

STEPS = CASES + TRAFFIC_KINDS + len(RATIOS) + len(TAUS)
PARTS = (run_paper, run_sampling, run_cheating, run_withholding)


def run_relay_mining(seed: int, trials: int, advance: Callable[[int], None]) -> Report:
    """Return the tables and plots of all parts; `advance` is called STEPS times in all."""
    reports = [run(seed, trials, advance) for run in PARTS]
    return Report(
        tuple(table for report in reports for table in report.tables),
        {name: figure for report in reports for name, figure in report.plots.items()},
    )
