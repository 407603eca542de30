"""What a supplier earns in expectation by inventing work: every share, every split, every bond.

The challenge is the contract's own (`points_required`, `challenge_points`); beside it stand the two
rules it replaces: a number of points rounded down instead of drawn, and POKT's one opening of the
leaf nearest to a random path, which hardly ever meets leaves invented close together.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor, sqrt

import numpy as np
from matplotlib.figure import Figure

from relay_mining import BPS, challenge_points, expected_gain, keccak, points_required
from simulations.report import Cell, Report, Table

VALUE = 1_000_000
"""Of one session's slice, in token base units; the cheat's gain is told as a share of it."""
MARGIN_BPS = 12_000
WEIGHT = 1_000_003
SHARES = tuple(step / 200 for step in range(1, 201))
SPLITS = (1, 16)
PLAYED = (0.01, 0.1, 0.5, 1.0)
SPLIT_PLAYED = 4
RATIOS = (0.25, 1.0, 4.0, 16.0)
"""Value over bond."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A cheat: `claims` claims that share the value, each with a bad `share` of its weight."""

    share: float
    claims: int
    ratio: float

    @property
    def value(self) -> int:
        """Of one of its claims; rounds down."""
        return VALUE // self.claims

    @property
    def bond(self) -> int:
        """Of one of its claims; rounds up, never 0."""
        return max(1, ceil(self.value / self.ratio))


def exact_gain(plan: Plan) -> float:
    """Return the plan's expected gain beyond honest work, as a share of the value."""
    one = expected_gain(plan.share, plan.value, plan.bond, MARGIN_BPS / BPS)
    return plan.claims * one / VALUE


def play(plan: Plan, trial: int, seed: int) -> float:
    """Return the gain of one session under the contract's draw, as a share of the value."""
    gain, bad = 0.0, round(plan.share * WEIGHT)
    for claim in range(plan.claims):
        draw = keccak(f"{seed} {plan} {trial} {claim}".encode())
        count = points_required(plan.value, plan.bond, MARGIN_BPS, draw)
        caught = any(point < bad for point in challenge_points(draw, count, WEIGHT))
        gain += -plan.bond if caught else plan.share * plan.value
    return gain / VALUE


def gain_when_rounded_down(plan: Plan) -> float:
    """Return the gain were the number of points rounded down: small claims are never opened."""
    points = floor(MARGIN_BPS / BPS * plan.value / plan.bond)
    escape = (1 - plan.share) ** points
    return plan.claims * (escape * plan.share * plan.value - (1 - escape) * plan.bond) / VALUE


def gain_under_nearest_leaf(plan: Plan, leaves: int = 4_096) -> float:
    """Return the gain were one leaf opened, the nearest to a random path.

    The cheat invents leaves in one narrow range of paths: only the range's two edges attract random
    paths, as two leaves of `leaves + 2` would, whatever share of the weight lies between them.
    """
    caught = 2 / (leaves + 2)
    one = (1 - caught) * plan.share * plan.value - caught * plan.bond
    return plan.claims * one / VALUE


def run_cheating(seed: int, trials: int, advance: Callable[[int], None]) -> Report:
    """Return the best gain for every bond and split, and the challenge played for some shares."""
    best = Table(
        "cheating-best",
        "The cheater's best expected gain",
        (
            "value / bond", "claims", "best share", "gain %",
            "rounded down %", "nearest leaf %",
        ),
        tuple(best_of(ratio, claims) for ratio in RATIOS for claims in SPLITS),
        f"The bad share that gains most, of {len(SHARES)}, and its gain in percent of the claimed "
        f"value, at a margin of {MARGIN_BPS / BPS}. The last two columns are the most the same "
        "cheat gains under the rules this one replaces: points rounded down instead of drawn, and "
        "one opening of the leaf nearest to a random path.",
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for ratio in RATIOS:
        rows += [play_row(Plan(share, SPLIT_PLAYED, ratio), trials, seed) for share in PLAYED]
        advance(1)
    played = Table(
        "cheating-played",
        "The challenge, played",
        ("value / bond", "bad share", "gain %", "played %", "± 2 s.e."),
        tuple(rows),
        f"{trials} sessions of {SPLIT_PLAYED} claims under the contract's own draw.",
    )
    return Report((best, played), {"cheating": plot()})


def best_of(ratio: float, claims: int) -> tuple[Cell, ...]:
    """Return the most profitable share and its gain, and the best under the replaced rules."""
    plans = [Plan(share, claims, ratio) for share in SHARES]
    best = max(plans, key=exact_gain)
    replaced = (gain_when_rounded_down, gain_under_nearest_leaf)
    gains = (100 * max(rule(plan) for plan in plans) for rule in replaced)
    return (ratio, claims, best.share, 100 * exact_gain(best), *gains)


def play_row(plan: Plan, trials: int, seed: int) -> tuple[Cell, ...]:
    """Return a plan's expected and its played gain."""
    gains = np.array([play(plan, trial, seed) for trial in range(trials)])
    error = 200 * float(gains.std()) / sqrt(trials)
    return (plan.ratio, plan.share, 100 * exact_gain(plan), 100 * float(gains.mean()), error)


def plot() -> Figure:
    """Return gain over the bad share, a line a ratio of value to bond."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for ratio in RATIOS:
        gains = [100 * exact_gain(Plan(share, 1, ratio)) for share in SHARES]
        axes.plot(SHARES, gains, label=f"value / bond = {ratio:g}")
    axes.axhline(0, color="black", lw=0.8)
    axes.set_xlabel("bad share of the claim")
    axes.set_ylabel("expected gain, % of value")
    axes.set_yscale("symlog")
    axes.legend()
    return figure
