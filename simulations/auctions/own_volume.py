"""A supplier that buys its own volume to move the next prices, with and without the step bound.

The volume costs its non-refundable fee and nothing else: the supplier is taken to be paid for
serving itself what it pays as a buyer. The market draws it by allocated units, so it would serve
only its share of what it buys; the gain measured is the most that can be had.
"""

from collections.abc import Callable

from matplotlib.figure import Figure

from pricing import Balance, StepBound, next_price
from simulations.report import Cell, Report, Table

PRICE = 10**9
UNITS = 10**6
"""Supply, and demand at PRICE."""
FEE_BPS = 100
SHARE_BPS = 3_000
ELASTICITIES = (0.25, 0.5, 1.0, 2.0)
"""By how many percent demand falls when the price rises by one."""
HORIZONS = (2, 10, 100)
"""Epochs of the game; the next price is the second."""
VOLUMES = (0.001, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Own volume an epoch, of the supply."""
DURATIONS = (1, 2, 5, 10, 50, 100)
"""Epochs in which it is bought, from the first on; buying in the last moves nothing."""


def profit(
    elasticity: float, horizon: int, bound: StepBound | None, volume: float, epochs: int
) -> float:
    """Turnover of the supplier less the fees on its own volume, its costs zero."""
    price, earned = PRICE, 0.0
    for epoch in range(horizon):
        demand = round(UNITS * (PRICE / price) ** elasticity)
        own = round(UNITS * volume) if epoch < epochs else 0
        sold = min(UNITS, demand) * SHARE_BPS / 10_000
        earned += sold * price - own * price * FEE_BPS / 10_000
        price = next_price(price, Balance(demand + own, UNITS), bound)
    return earned


def best_gain(elasticity: float, horizon: int, bound: StepBound | None) -> tuple[float, float, int]:
    """The gain of the best plan as a share of honest turnover, with its volume and epochs."""
    honest = profit(elasticity, horizon, bound, 0.0, 0)
    best, volume, epochs = max(
        (profit(elasticity, horizon, bound, volume, epochs), volume, epochs)
        for volume in VOLUMES
        for epochs in DURATIONS
        if epochs < horizon
    )
    return best / honest - 1, volume, epochs


def run_own_volume(seed: int, trials: int, advance: Callable[[int], None]) -> Report:
    """Return the best gains by elasticity and horizon (nothing here is drawn)."""
    rows: list[tuple[Cell, ...]] = []
    bound = StepBound(FEE_BPS, SHARE_BPS)
    for elasticity in ELASTICITIES:
        for horizon in HORIZONS:
            free, volume, epochs = best_gain(elasticity, horizon, None)
            bounded, _, _ = best_gain(elasticity, horizon, bound)
            rows.append((elasticity, horizon, free * 100, volume * 100, epochs, bounded * 100))
        advance(1)
    table = Table(
        "own-volume",
        "Buying one's own volume",
        ("elasticity", "horizon", "best gain, %", "its volume, %", "its epochs", "bounded, %"),
        tuple(rows),
        f"Gain of the best of {len(VOLUMES) * len(DURATIONS)} plans over honesty, in percent of "
        f"the turnover of a supplier with {SHARE_BPS / 100:g} % of the market, at a fee of "
        f"{FEE_BPS / 100:g} %; steps of up to an eighth, and with the slope bounded by "
        "fee / (2 share). Negative: even the least volume loses. The bound speaks of the next "
        "epoch; a price that demand is slow to bring back can pay later.",
    )
    return Report((table,), {"own-volume": plot(table)})


def plot(table: Table) -> Figure:
    """Return the best gain over the horizon by elasticity, without the bound and with it.

    Linear up to a hundredth of a percent on either side of zero, logarithmic beyond.
    """
    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, place in zip(figure.subplots(1, 2, sharey=True), (2, 5), strict=True):
        for elasticity in ELASTICITIES:
            gains = [float(row[place]) for row in table.rows if row[0] == elasticity]
            axes.plot(HORIZONS, gains, "o-", label=f"elasticity {elasticity:g}")
        axes.set_title(table.columns[place])
        axes.set_xscale("log")
        axes.set_yscale("symlog", linthresh=0.01)
        axes.axhline(0, color="black", linewidth=0.5)
        axes.set_xlabel("epochs")
    figure.axes[0].set_ylabel("gain, % of the turnover")
    figure.axes[0].legend()
    return figure
