"""A family of lies, each told for a while: what the best of them gains, beside the bound."""

from collections.abc import Callable
from random import Random
from statistics import mean, stdev

from matplotlib.figure import Figure

from pricing import Order
from simulations.report import Cell, Report, Table
from simulations.strategies import withholding
from simulations.strategies.lies import lies
from simulations.strategies.world import World, bound, draw_world, play

HORIZONS = (1, 2, 4, 8)
SIDES = ("supplier", "buyer")
STEPS = len(HORIZONS) * len(SIDES) + len(withholding.SUPPLIERS) * len(withholding.RULES)
Z = 1.96


def best_gain(world: World, truth: Order) -> int:
    """What the best lie of the family gains over the truth; negative where each of them loses."""
    honest = play(world, truth, [truth] * world.epochs)
    return max(play(world, truth, plan) for plan in lies(truth, world.epochs)) - honest


def run_strategies(seed: int, trials: int, advance: Callable[[int], None]) -> Report:
    """Gains of the best lie of one supplier and one buyer, by horizon, and the bound on any; and
    what withholding capacity gains by how sessions are sliced."""
    rows: list[tuple[Cell, ...]] = []
    for epochs in HORIZONS:
        for side in SIDES:
            rng = Random(f"{seed} {epochs} {side}")
            rows.append(_row(rng, side, epochs, trials))
            advance(1)
    table = Table(
        "strategies",
        "Lies in epoch auctions",
        ("who", "epochs", "gain", "± 1.96 s.e.", "largest", "bound", "lied, %", "above bound"),
        tuple(rows),
        "Gain of the best of some hundred plans over the truth, and the bound on any plan, each a "
        "mean over markets of 8 suppliers and 12 buyers, in percent of the highest price times 9 "
        "units and the epochs; the gain is 0 where the truth is best, and `lied` says how often "
        "it is not. A plan tells one lie about price, quantity or both for one epoch, half of them "
        "or all. The bound is computed before any lie is tried: the truth at the best posted price "
        "that could be reached. Over one epoch it is what rounding a unit price can hide.",
    )
    slices = withholding.table_of(seed, trials, advance)
    plots = {"strategies": _plot(table), "slices": withholding.plot(slices)}
    return Report((table, slices), plots)


def _row(rng: Random, side: str, epochs: int, trials: int) -> tuple[Cell, ...]:
    gains, bounds, above = [], [], 0
    for _ in range(trials):
        world = draw_world(rng, epochs)
        truth = (world.book.asks if side == "supplier" else world.book.bids)[0]
        gain, most = max(0, best_gain(world, truth)), bound(world, truth)
        above += gain > most
        gains.append(_percent(gain, epochs))
        bounds.append(_percent(most, epochs))
    error = Z * stdev(gains) / trials**0.5
    lied = 100 * sum(gain > _percent(9, 1) for gain in gains) / trials
    return (side, epochs, mean(gains), error, max(gains), mean(bounds), lied, above)


def _percent(money: int, epochs: int) -> float:
    """Of the highest price for the most units, each epoch."""
    return 100 * money / (1_000_000 * 9 * epochs)


def _plot(table: Table) -> Figure:
    """Return the gain of the best lie with its interval, and the bound, over the epochs."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, side in zip(figure.subplots(1, len(SIDES), sharey=True), SIDES, strict=True):
        rows = [row for row in table.rows if row[0] == side]
        gains, errors = [float(row[2]) for row in rows], [float(row[3]) for row in rows]
        axes.errorbar(HORIZONS, gains, errors, fmt="o-", label="best lie found")
        axes.plot(HORIZONS, [float(row[5]) for row in rows], "k:", label="bound")
        axes.set_title(side)
        axes.set_xlabel("epochs")
        axes.legend()
    figure.axes[0].set_ylabel("% of the highest price times the units")
    return figure
