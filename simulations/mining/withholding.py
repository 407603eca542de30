"""A gateway that keeps receipts back, with a coin it can see and with one it cannot.

It takes work on credit and withholds receipts up to its credit in units. What the supplier loses is
the weight that the withheld receipts would have had in its claim. With the coin visible the gateway
withholds payable receipts only, each worth `max(u, tau)`; blinded, any set costs the supplier, in
expectation, exactly its units.
"""

from collections.abc import Callable
from math import sqrt

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from relay_mining import is_payable, keccak, leaf_weight
from simulations.report import Cell, Report, Table

RELAYS = 2_000
CREDITS = (1_000, 10_000, 100_000)
"""In compute units."""
TAUS = (1_000, 10_000, 100_000)
Losses = npt.NDArray[np.float64]


def draw_session(rng: np.random.Generator, tau: int) -> tuple[list[int], list[int]]:
    """Return units of a session's receipts, and the weight each has in its claim (0: none)."""
    salt, tag = keccak(rng.bytes(32)), rng.bytes(16)
    units = [int(each) + 1 for each in rng.lognormal(np.log(300), 1.0, RELAYS)]
    weights = []
    for index, each in enumerate(units):
        receipt = keccak(tag + index.to_bytes(4, "big"))
        weights.append(leaf_weight(each, tau) if is_payable(receipt, salt, each, tau) else 0)
    return units, weights


def withhold(units: list[int], weights: list[int], credit: int, sees_coin: bool) -> tuple[int, int]:
    """Return (units withheld, weight the supplier loses) of the best the gateway can do."""
    order = list(range(len(units)))
    if sees_coin:
        order.sort(key=lambda index: weights[index] / units[index], reverse=True)
    kept_back = lost = 0
    for index in order:
        if kept_back + units[index] <= credit:
            kept_back += units[index]
            lost += weights[index]
    return kept_back, lost


def run_withholding(seed: int, trials: int, advance: Callable[[int], None]) -> Report:
    """Return what a supplier loses for each unit withheld, over credit and threshold."""
    rows: list[tuple[Cell, ...]] = []
    for tau in TAUS:
        sessions = [
            draw_session(np.random.default_rng([seed, tau, trial]), tau) for trial in range(trials)
        ]
        rows += [(tau, credit, *_losses(sessions, credit)) for credit in CREDITS]
        advance(1)
    table = Table(
        "withholding",
        "A withholding gateway, with a visible and with a blinded coin",
        ("tau", "credit", "visible", "± 2 s.e.", "blinded", "± 2 s.e."),
        tuple(rows),
        f"Weight that the supplier loses for each unit withheld, the coin visible to the gateway "
        f"and blinded; {trials} sessions of {RELAYS:,} receipts, credit in units. One means that "
        "it loses what was withheld and nothing more: its credit is then the bound of its loss.",
    )
    return Report((table,), {"withholding": plot(table)})


def _losses(sessions: list[tuple[list[int], list[int]]], credit: int) -> tuple[float, ...]:
    """Mean loss a unit withheld and twice its standard error, coin visible and blinded."""
    cells: list[float] = []
    for sees_coin in (True, False):
        pairs = [withhold(*session, credit, sees_coin) for session in sessions]
        losses = np.array([lost / kept_back for kept_back, lost in pairs if kept_back])
        cells += [float(losses.mean()), 2 * float(losses.std()) / sqrt(len(losses))]
    return tuple(cells)


def plot(table: Table) -> Figure:
    """Return loss a unit withheld over the threshold, at the smallest credit."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for credit in CREDITS:
        rows = [row for row in table.rows if row[1] == credit]
        taus = [float(row[0]) for row in rows]
        axes.loglog(taus, [float(r[2]) for r in rows], "o-", label=f"visible, {credit:,} units")
        axes.loglog(taus, [float(r[4]) for r in rows], "s--", label=f"blinded, {credit:,} units")
    axes.set_xlabel("threshold, units")
    axes.set_ylabel("lost for each unit withheld")
    axes.legend()
    return figure
