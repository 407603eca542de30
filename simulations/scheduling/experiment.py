"""First come, shortest first, and shortest first with a deficit: who waits, and how unevenly."""

import random
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence

from matplotlib.figure import Figure

from relay_mining import Address
from simulations.report import Report, Table
from simulations.scheduling.engine import Mix, Served, draw_jobs, run
from supplier.server.scheduling import WorkQueue

RULES: dict[str, tuple[int | None, bool]] = {
    "first come": (None, True),
    "shortest first": (None, False),
    "shortest first, deficit 20,000": (20_000, False),
    "shortest first, deficit 2,000": (2_000, False),
}
"""Deficit in units (a short relay is predicted at about 1,000) and whether sizes are hidden."""

MIX = Mix(
    short_applications=tuple(bytes([each]) * 20 for each in range(1, 9)),
    long_applications=tuple(bytes([each]) * 20 for each in range(101, 121)),
    long_share=0.1,
    long_factor=20.0,
    places=4,
    load=0.85,
)
ERROR = 1.0
"""Predictions are up to twice, or half, of what it takes."""
WARM_UP = 0.1
STEPS = len(RULES)


def run_scheduling(
    seed: int, count: int, advance: Callable[[int], None] = lambda steps: None
) -> Report:
    """Serve one stream of `count` relays under each rule and compare."""
    jobs = draw_jobs(MIX, count, ERROR, random.Random(seed))
    rows, slowdowns = [], {}
    for name, (deficit, is_blind) in RULES.items():
        served = run(jobs, MIX.places, WorkQueue(deficit), is_blind)
        kept = [each for each in served if each.job.arrives > WARM_UP * jobs[-1].arrives]
        rows.append((name, *summarize(kept)))
        slowdowns[name] = sorted(each.slowdown for each in kept)
        advance(1)
    table = Table(
        "waits", "Waiting for the engine",
        ("rule", "short, mean", "short, p99", "long, mean", "long, p99", "longest", "Jain"),
        tuple(rows),
        f"{count:,} relays, {MIX.long_share:.0%} of them {MIX.long_factor:.0f} times as long, "
        f"{MIX.places} places, load {MIX.load}; times in short relays. Predictions are off by up "
        "to a factor of two. Jain's index is over the applications' mean slowdowns, 1 is even.",
    )  # fmt: skip
    return Report((table,), {"slowdown": plot(slowdowns)})


def summarize(served: Sequence[Served]) -> tuple[float, float, float, float, float, float]:
    """Mean and 99th percentile of the waits of short and of long relays, the longest, Jain."""
    short = [each.waited for each in served if each.job.takes == 1]
    long = [each.waited for each in served if each.job.takes > 1]
    return (
        statistics.fmean(short), percentile(short, 0.99), statistics.fmean(long),
        percentile(long, 0.99), max(short + long), jain(mean_slowdowns(served)),
    )  # fmt: skip


def mean_slowdowns(served: Sequence[Served]) -> list[float]:
    """The mean slowdown of each application."""
    found: dict[Address, list[float]] = defaultdict(list)
    for each in served:
        found[each.job.application].append(each.slowdown)
    return [statistics.fmean(each) for each in found.values()]


def jain(values: Sequence[float]) -> float:
    """Jain's fairness index: 1 where all are equal, 1/n where one has everything."""
    return sum(values) ** 2 / (len(values) * sum(each**2 for each in values))


def percentile(values: Sequence[float], part: float) -> float:
    """The value that `part` of them do not exceed."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def plot(slowdowns: dict[str, list[float]]) -> Figure:
    """The share of relays by slowdown, one line a rule."""
    figure = Figure(figsize=(7, 4))
    axes = figure.subplots()
    for name, values in slowdowns.items():
        shares = [1 - index / len(values) for index in range(len(values))]
        axes.plot(values, shares, label=name)
    axes.set(
        xscale="log", yscale="log", xlabel="slowdown: time in all, in times the engine takes",
        ylabel="share of relays that are slower",
    )  # fmt: skip
    axes.legend()
    return figure
