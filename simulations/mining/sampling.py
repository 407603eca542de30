"""Threshold sampling against uniform difficulty, at equal expected leaves.

Uniform difficulty keeps every relay with the same probability `p` and counts `u/p`, so its variance
is `sum(u^2) * (1-p)/p`; threshold sampling keeps `min(1, u/tau)`, counts `max(u, tau)`, and its
variance is `sum(u * max(0, tau - u))`, the least for its number of leaves.

Source: N. Duffield, C. Lund, M. Thorup, "Learn more, sample less", IEEE Trans. Inf. Theory 51(5).
"""

from collections.abc import Callable
from math import sqrt

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from simulations.report import Cell, Report, Table

RELAYS = 20_000
TRAFFIC_KINDS = 4
LEAVES = (64, 256, 1_024, 4_096)
Units = npt.NDArray[np.float64]


def draw_relays(rng: np.random.Generator) -> dict[str, Units]:
    """Return units a relay for kinds of traffic, most even first."""
    short = rng.lognormal(np.log(300), 0.6, RELAYS)
    return {
        "equal": np.full(RELAYS, 300.0),
        "chat": np.ceil(rng.lognormal(np.log(300), 1.0, RELAYS)),
        "mixed": np.ceil(np.where(rng.random(RELAYS) < 0.1, 20 * short, short)),
        "heavy": np.ceil(rng.lognormal(np.log(300), 2.0, RELAYS)),
    }


def find_tau(units: Units, leaves: int) -> float:
    """Return the threshold at which `leaves` are expected, by bisection."""
    low, high = 1.0, float(units.sum())
    for _ in range(80):
        tau = (low + high) / 2
        low, high = (tau, high) if np.minimum(1, units / tau).sum() > leaves else (low, tau)
    return high


def threshold_error(units: Units, tau: float) -> float:
    """Return the relative standard error of threshold sampling."""
    return sqrt(float((units * np.maximum(0, tau - units)).sum())) / float(units.sum())


def uniform_error(units: Units, probability: float) -> float:
    """Return the relative standard error of uniform difficulty."""
    return sqrt((1 - probability) / probability * float((units**2).sum())) / float(units.sum())


def simulate_threshold(units: Units, tau: float, rng: np.random.Generator, trials: int) -> Units:
    """Return `trials` estimates of the sum, relative to it."""
    weights = np.maximum(units, tau)
    kept = (weights[rng.random(len(units)) * tau < units].sum() for _ in range(trials))
    return np.fromiter(kept, float, trials) / float(units.sum())


def simulate_uniform(units: Units, share: float, rng: np.random.Generator, trials: int) -> Units:
    """Return `trials` estimates of the sum, relative to it."""
    kept = (units[rng.random(len(units)) < share].sum() for _ in range(trials))
    return np.fromiter(kept, float, trials) / (share * float(units.sum()))


def run_sampling(seed: int, trials: int, advance: Callable[[int], None]) -> Report:
    """Return the errors of both rules, computed and simulated, over traffic and leaves."""
    rng = np.random.default_rng([seed, 2])
    rows: list[tuple[Cell, ...]] = []
    for kind, units in draw_relays(rng).items():
        rows += [(kind, leaves, *compare(units, leaves, rng, trials)) for leaves in LEAVES]
        advance(1)
    table = Table(
        "sampling",
        "Threshold sampling against uniform difficulty, equal leaves",
        ("traffic", "leaves", "thr. %", "played %", "bias", "uni. %", "played %", "ratio"),
        tuple(rows),
        f"Relative standard error of the claimed units under threshold sampling (thr.) and uniform "
        f"difficulty (uni.), by formula and over {trials} claims of {RELAYS:,} relays; bias of "
        "threshold sampling in standard errors of its mean; ratio: how many times more leaves "
        "uniform difficulty must claim for the same error. Units a relay: equal; chat, lognormal "
        "with sigma 1; mixed, 90 % short and 10 % twenty times longer; heavy, sigma 2.",
    )
    return Report((table,), {"sampling": plot(table)})


def compare(
    units: Units, leaves: int, rng: np.random.Generator, trials: int
) -> tuple[float, float, float, float, float, float]:
    """Return both rules' errors in percent and the ratio of their variances."""
    tau, share = find_tau(units, leaves), leaves / len(units)
    exact, uniform = threshold_error(units, tau), uniform_error(units, share)
    by_threshold = simulate_threshold(units, tau, rng, trials)
    by_share = simulate_uniform(units, share, rng, trials)
    bias = (by_threshold.mean() - 1) / (exact / sqrt(trials))
    return (
        100 * exact, 100 * float(by_threshold.std()), float(bias), 100 * uniform,
        100 * float(by_share.std()), (uniform / exact) ** 2,
    )  # fmt: skip


def plot(table: Table) -> Figure:
    """Return error over leaves, a line a kind of traffic and rule."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    kinds = list(dict.fromkeys(row[0] for row in table.rows))
    for index, kind in enumerate(kinds):
        rows = [row for row in table.rows if row[0] == kind]
        leaves = [float(row[1]) for row in rows]
        colour = f"C{index}"
        axes.loglog(leaves, [float(row[2]) for row in rows], color=colour, label=str(kind))
        axes.loglog(leaves, [float(row[5]) for row in rows], "--", color=colour)
    axes.set_xlabel("expected leaves")
    axes.set_ylabel("relative standard error, %")
    axes.set_title("solid: threshold sampling; dashed: uniform difficulty")
    axes.legend()
    return figure
