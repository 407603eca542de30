"""Gateways that pick their moment: what each takes from one supplier, against what bounds it.

Every strategy sees its own credit, its receipts and the units of every answer, as a real gateway
does, and never the coin. It is told of each relay as it is served, and asked at a session's end.
"""

from collections.abc import Callable
from math import sqrt

import numpy as np
from matplotlib.figure import Figure

from simulations.credit.lender import DUE_RELAYS, MAX_UNITS, Lender, Owed, lend
from simulations.report import Cell, Report, Table

SESSIONS = 8
RELAYS = 200
"""That the gateway has clients for, in a session."""
Strategy = Callable[[Lender, Owed, int, int], None]
"""Given the supplier, the relay just served, the session and the place in it: receipt what?"""


def never(lender: Lender, one: Owed, session: int, place: int) -> None:
    """Receipt nothing, ever."""


def honest(lender: Lender, one: Owed, session: int, place: int) -> None:
    """Receipt everything at once."""
    lender.receipt(one)


def one_unit(lender: Lender, one: Owed, session: int, place: int) -> None:
    """Receipt one unit of each answer."""
    lender.receipt(one, 1)


def turns(lender: Lender, one: Owed, session: int, place: int) -> None:
    """Earn credit for half of the sessions, then receipt nothing."""
    if session < SESSIONS // 2:
        lender.receipt(one)


def ends(lender: Lender, one: Owed, session: int, place: int) -> None:
    """Receipt all, but for what can go overdue no more before the session ends."""
    if place < RELAYS - DUE_RELAYS:
        lender.receipt(one)


def dear(lender: Lender, one: Owed, session: int, place: int) -> None:
    """Receipt the cheap answers in full, and a unit of each dear one, while credit lasts."""
    if one.units > 1_000 and _can_lose(lender, one):
        lender.receipt(one, 1)
    else:
        lender.receipt(one)


def just_enough(lender: Lender, one: Owed, session: int, place: int) -> None:
    """Receipt short whatever leaves credit for the next relay: the most that goes on for ever."""
    if _can_lose(lender, one):
        lender.receipt(one, 1)
    else:
        lender.receipt(one)


def last_session(lender: Lender, one: Owed, session: int, place: int) -> None:
    """Honest to the last session, then all the credit there is."""
    if session < SESSIONS - 1:
        lender.receipt(one)


def _can_lose(lender: Lender, one: Owed) -> bool:
    return lender.line.limit - lender.line.outstanding >= MAX_UNITS


STRATEGIES: tuple[Strategy, ...] = (
    honest, never, one_unit, turns, last_session, ends, dear, just_enough,
)  # fmt: skip


def play(strategy: Strategy, rng: np.random.Generator) -> Lender:
    """All sessions of one gateway and one supplier."""
    lender = lend(rng.bytes(32))
    for session in range(SESSIONS):
        units = np.minimum(rng.lognormal(np.log(900), 1.0, RELAYS).astype(int) + 1, MAX_UNITS)
        for place, each in enumerate(units.tolist()):
            one = lender.serve(each)
            if one is not None:
                strategy(lender, one, session, place)
        lender.end_session()
    return lender


def run_gateways(seed: int, trials: int, advance: Callable[[int], None]) -> Report:
    """Return what a supplier loses to each strategy, and how it is spread."""
    rows: list[tuple[Cell, ...]] = []
    shares: dict[str, list[float]] = {}
    for index, strategy in enumerate(STRATEGIES):
        lenders = [play(strategy, np.random.default_rng([seed, index, n])) for n in range(trials)]
        name = strategy.__name__.replace("_", " ")
        rows.append((name, *_summary(lenders)))
        shares[name] = [each.lost_weight / each.bound for each in lenders]
        advance(1)
    table = Table(
        "credit-gateways",
        "What a supplier loses to a gateway that picks its moment",
        (
            "gateway", "served", "lost, mean", "median", "95 %", "most", "bound, mean",
            "most / bound", "lost / served", "weight / units", "± 2 s.e.",
        ),
        tuple(rows),
        f"Units, over {trials} runs of {SESSIONS} sessions with clients for {RELAYS} relays each; "
        "the bound is what the gateway was granted to begin with and half of what it receipted. "
        "What is lost in units never passes it. The last two columns are the weight that the "
        "missing receipts would have had in the supplier's claims, for each unit: the coin is "
        "blind, so it is one whatever the gateway picks.",
    )  # fmt: skip
    return Report((table,), {"credit-gateways": plot(shares)})


def _summary(lenders: list[Lender]) -> tuple[Cell, ...]:
    lost = np.array([each.lost for each in lenders], dtype=float)
    weight = np.array([each.lost_weight for each in lenders], dtype=float)
    bounds = np.array([each.bound for each in lenders], dtype=float)
    served = float(np.mean([each.served for each in lenders]))
    median, high = np.quantile(lost, [0.5, 0.95])
    ratio: Cell = ""
    error: Cell = ""
    if lost.all():
        each = weight / lost
        ratio, error = float(each.mean()), 2 * float(each.std()) / sqrt(len(each))
    return (
        served, float(lost.mean()), float(median), float(high), float(lost.max()),
        float(bounds.mean()), float((lost / bounds).max()), float(lost.mean()) / served,
        ratio, error,
    )  # fmt: skip


def plot(shares: dict[str, list[float]]) -> Figure:
    """Return how the lost weight is spread, as a share of the bound."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    names = [name for name, each in shares.items() if any(each)]
    axes.boxplot([shares[name] for name in names], orientation="horizontal", whis=(0, 100))
    axes.set_yticks(range(1, len(names) + 1), names)
    axes.axvline(1, color="black", lw=0.8)
    axes.set_xlabel("weight lost, as a share of the bound on units")
    return figure
