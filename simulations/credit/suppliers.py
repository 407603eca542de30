"""Suppliers that pick their moment: honest as long as it pays, lying where most is at stake.

What a gateway accepted it has, and it pays the lesser of the signed count and its own: so all that
a supplier can take beyond its work it must take from a claim. Each strategy sees the values of its
sessions and its own past, and chooses a bad share and a bond before the draw, as on the chain.
"""

from collections.abc import Callable
from math import sqrt

import numpy as np

from relay_mining import BPS, challenge_points, keccak, minimum_bond, points_required
from simulations.report import Cell, Report, Table

SESSIONS = 24
MARGIN_BPS = 12_000
RATIO_MAX = 10
"""Of value over bond."""
WEIGHT = 1_000_003
STAKE = 30_000_000
Choice = tuple[float, int]
"""The bad share of a claim, and value over bond."""
Strategy = Callable[[float, float], Choice]
"""Given the session's value as a share of the greatest there is, and the gain so far in values."""


def always(value: float, gained: float) -> Choice:
    """A tenth of every claim is bad, at the least bond."""
    return 0.1, RATIO_MAX


def at_the_top(value: float, gained: float) -> Choice:
    """Everything is bad where a session is worth most, at the least bond; honest before."""
    return (1.0, RATIO_MAX) if value > 0.8 else (0.0, RATIO_MAX)


def thinly(value: float, gained: float) -> Choice:
    """Half a percent of every claim, at a bond as large as the value."""
    return 0.005, 1


def until_caught(value: float, gained: float) -> Choice:
    """A third of each claim, until a bond is lost."""
    return (0.3, RATIO_MAX) if gained >= 0 else (0.0, RATIO_MAX)


def doubling(value: float, gained: float) -> Choice:
    """Twice as much after a loss, to win it back."""
    return min(1.0, 0.05 * 2 ** max(0.0, -gained)), RATIO_MAX


STRATEGIES: tuple[Strategy, ...] = (always, at_the_top, thinly, until_caught, doubling)


def play(strategy: Strategy, rng: np.random.Generator) -> tuple[float, float]:
    """Return (gain beyond honest work, bonds lost) of one supplier, in greatest values."""
    greatest, gained, slashed = 1_000_000, 0.0, 0.0
    for _ in range(SESSIONS):
        value = int(greatest * rng.uniform(0.05, 1.0))
        share, ratio = strategy(value / greatest, gained)
        bond = max(minimum_bond(value, RATIO_MAX), value // ratio)
        if slashed * greatest + bond > STAKE:
            break
        draw, bad = keccak(rng.bytes(32)), round(share * WEIGHT)
        count = points_required(value, bond, MARGIN_BPS, draw)
        caught = any(point < bad for point in challenge_points(draw, count, WEIGHT))
        honest = (1 - share) * value
        gained += ((-bond - honest) if caught else share * value) / greatest
        slashed += caught * bond / greatest
    return gained, slashed


def run_suppliers(seed: int, trials: int, advance: Callable[[int], None]) -> Report:
    """Return what each strategy gains beyond honest work, and how it is spread."""
    rows: list[tuple[Cell, ...]] = []
    for index, strategy in enumerate(STRATEGIES):
        runs = np.array(
            [play(strategy, np.random.default_rng([seed, index, n])) for n in range(trials)]
        )
        gains = runs[:, 0]
        low, median, high = np.quantile(gains, [0.05, 0.5, 0.95])
        rows.append(
            (strategy.__name__.replace("_", " "), float(gains.mean()),
             2 * float(gains.std()) / sqrt(trials), float(low), float(median), float(high),
             float(gains.max()), float(runs[:, 1].mean()))
        )  # fmt: skip
        advance(1)
    table = Table(
        "credit-suppliers",
        "What a supplier that picks its moment gains",
        ("supplier", "gain, mean", "± 2 s.e.", "5 %", "median", "95 %", "most", "bonds lost"),
        tuple(rows),
        f"Beyond honest work, in values of the greatest session, over {trials} suppliers of "
        f"{SESSIONS} sessions under the contract's own draw, at a margin of {MARGIN_BPS / BPS}. A "
        "void claim loses the bond and the honest part with it. Some runs are lucky; no strategy "
        "is in the mean.",
    )
    return Report((table,))
