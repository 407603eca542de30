"""Algorithm 2 of the Relay Mining paper replayed on the paper's traffic.

Source: D. Olshansky, R. Rodriguez Colmeiro, "Relay Mining: Incentivizing Full Non-Validating Nodes
Servicing All RPC Types", arXiv 2305.10672v2, section 6 and appendix.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from relay_mining import DifficultyRule, DifficultyState
from simulations.mining.traffic import TARGET, Case, load_cases
from simulations.report import Report, Table

RULE = DifficultyRule(target=TARGET, alpha=0.1, update_blocks=4)
Counts = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

MEASURES: tuple[tuple[str, str], ...] = (
    ("mean_deviation_pct", "mean dev. %"),
    ("peak_deviation_pct", "peak dev. %"),
    ("excess_claims", "excess claims"),
    ("mean_volume_error_pct", "mean err. %"),
    ("peak_volume_error_pct", "peak err. %"),
)


@dataclass(frozen=True, slots=True)
class Replay:
    """One run of a case: relays, claims and probability of every block."""

    relays: Counts
    claims: Counts
    probability: Values


def replay(case: Case, rng: np.random.Generator) -> Replay:
    """Return one run: traffic within its pixel, coins and the phase of the update drawn anew."""
    relays = case.draw_traffic(rng)
    state = DifficultyState(blocks=int(rng.integers(RULE.update_blocks)))
    claims, probability = np.zeros_like(relays), np.zeros(len(relays))
    for block, count in enumerate(relays):
        probability[block] = state.probability
        claims[block] = rng.binomial(count, state.probability)
        state = RULE.next(state, float(claims[block]))
    return Replay(relays, claims, probability)


def measure(case: Case, run: Replay) -> dict[str, float]:
    """Return what the paper's table reports of a run, over the case's window."""
    window = slice(case.first, case.last)
    claims, relays = run.claims[window], run.relays[window]
    deviation = 100 * (claims / TARGET - 1)
    error = 100 * (claims / run.probability[window] / relays - 1)
    peak = deviation.min() if case.published.peak_deviation_pct < 0 else deviation.max()
    return {
        "mean_deviation_pct": float(deviation.mean()),
        "peak_deviation_pct": float(peak),
        "excess_claims": float((claims - TARGET).sum()),
        "mean_volume_error_pct": float(error.mean()),
        "peak_volume_error_pct": float(np.abs(error).max()),
    }


def run_paper(seed: int, trials: int, advance: Callable[[int], None]) -> Report:
    """Return our figures beside the published ones, `trials` replays a case."""
    rows: list[tuple[str | float, ...]] = []
    plots: dict[str, Figure] = {}
    for case in load_cases():
        rng = np.random.default_rng([seed, *case.name.encode()])
        runs = [replay(case, rng) for _ in range(trials)]
        rows += compare(case, [measure(case, run) for run in runs])
        plots[f"paper-{case.name.lower().replace(' ', '-')}"] = plot(case, runs[0])
        advance(1)
    table = Table(
        "paper",
        "Algorithm 2 on the paper's traffic",
        ("case", "measure", "published", "median", "2.5 %", "97.5 %", "inside"),
        tuple(rows),
        f"Deviation (dev.) of payable relays a block from the target of {TARGET:,}, and error "
        f"(err.) of the estimated volume, over the blocks the paper reports. {trials} replays a "
        "case: traffic within one pixel of the paper's figures, the phase of the update and the "
        "coins drawn anew; 'inside' says whether the published value lies in our 95 % interval. No "
        "figure shows the steady chain's traffic: it is modelled as stationary and as uneven as a "
        "calm Ethereum, so the single spike behind its published peak is not in it.",
    )
    return Report((table,), plots)


def compare(case: Case, measured: list[dict[str, float]]) -> list[tuple[str | float, ...]]:
    """Return a row a measure: published, our median and the 95 % interval of our replays."""
    rows: list[tuple[str | float, ...]] = []
    for name, title in MEASURES:
        low, median, high = np.percentile([each[name] for each in measured], (2.5, 50, 97.5))
        published = float(getattr(case.published, name))
        inside = "yes" if low <= published <= high else "no"
        rows.append((case.name, title, published, float(median), float(low), float(high), inside))
    return rows


def plot(case: Case, run: Replay) -> Figure:
    """Return traffic and deviation of one replay over the blocks, the window shaded."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    above.plot(run.relays, lw=0.8)
    above.set_ylabel("relays a block")
    above.set_title(f"{case.name}: {case.chain}")
    below.plot(100 * (run.claims / TARGET - 1), lw=0.8)
    below.set_ylabel("deviation from target, %")
    below.set_xlabel("block")
    for axes in (above, below):
        axes.axvspan(case.first, case.last, alpha=0.1)
    return figure
