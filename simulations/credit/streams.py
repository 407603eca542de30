"""Long streams, whole and in parts: what a gateway takes that stops receipting at a part it picks.

A part is not signed before the one before is receipted, so a stream goes on for one part after the
receipts have stopped.
"""

from collections.abc import Callable

import numpy as np

from relay_mining import WHOLE, CreditLine, PartPlan, keccak, plan_parts
from simulations.credit.lender import GROWTH, INITIAL, TAU
from simulations.report import Cell, Report, Table

STREAM_UNITS = 100_000
INTERIMS = (0, 20_000, 5_000)
STOPS = ("first", "middle", "last", "any")


def play(rng: np.random.Generator, plan: PartPlan, stop: str) -> tuple[int, int]:
    """Return (units served, units lost) of one stream that is receipted up to a part."""
    units = int(rng.integers(STREAM_UNITS // 2, STREAM_UNITS + 1))
    line, request = CreditLine(INITIAL, GROWTH), keccak(rng.bytes(32))
    line.reserve(request, STREAM_UNITS)
    spacing = plan.spacing or units
    parts = max(1, -(-units // spacing))
    last_paid = _pick(rng, stop, parts)
    for _ in range(last_paid):
        line.settle_part(request, spacing, spacing)
    paid = last_paid * spacing
    served = units if plan is WHOLE else min(units, paid + 2 * spacing)
    line.lower(request, served - paid)
    line.write_off(request, served - paid)
    return served, served - paid


def _pick(rng: np.random.Generator, stop: str, parts: int) -> int:
    """How many parts are receipted; the last one of a stream never is."""
    last = parts - 1
    places = {"first": 0, "middle": last // 2, "last": last}
    return places[stop] if stop in places else int(rng.integers(0, last + 1))


def run_streams(seed: int, trials: int, advance: Callable[[int], None]) -> Report:
    """Return what a withheld stream costs, by how it is cut and where the receipts stop."""
    rows: list[tuple[Cell, ...]] = []
    for interim in INTERIMS:
        plan = plan_parts(STREAM_UNITS, interim, TAU)
        for stop in STOPS if interim else ("first",):
            runs = [
                play(np.random.default_rng([seed, interim, trial]), plan, stop)
                for trial in range(trials)
            ]
            lost = np.array([each for _, each in runs], dtype=float)
            bound = 2 * plan.spacing if interim else STREAM_UNITS
            rows.append(
                (interim, stop, float(np.mean([served for served, _ in runs])),
                 float(lost.mean()), float(np.quantile(lost, 0.95)), float(lost.max()), bound)
            )  # fmt: skip
    advance(1)
    table = Table(
        "credit-streams",
        "A stream whose receipts stop",
        ("part", "receipts stop at", "served, mean", "lost, mean", "95 %", "most", "bound"),
        tuple(rows),
        f"Units, over {trials} streams of {STREAM_UNITS // 2:,} to {STREAM_UNITS:,} units; a part "
        "of 0 is a stream signed once at its end. The bound in parts is two of them: one signed, "
        "one being streamed.",
    )
    return Report((table,))
