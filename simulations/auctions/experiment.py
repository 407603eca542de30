"""The whole experiment on pricing, part by part."""

from collections.abc import Callable

from simulations.auctions import envy, gains, lies, own_volume, prices, revenue, worked
from simulations.report import Report

STEPS = (
    len(gains.SIZES)
    + len(prices.SCENARIOS)
    + len(lies.SIZES)
    + len(lies.SHARES)
    + len(own_volume.ELASTICITIES)
    + revenue.STEPS
    + envy.STEPS
    + worked.STEPS
)
PARTS = (
    gains.run_gains,
    worked.run_worked,
    revenue.run_revenue,
    envy.run_envy,
    prices.run_prices,
    lies.run_regret,
    lies.run_strategic,
    own_volume.run_own_volume,
)


def run_pricing(seed: int, trials: int, advance: Callable[[int], None]) -> Report:
    """Return the tables and plots of all parts; `advance` is called STEPS times in all."""
    reports = [run(seed, trials, advance) for run in PARTS]
    return Report(
        tuple(table for report in reports for table in report.tables),
        {name: figure for report in reports for name, figure in report.plots.items()},
    )
