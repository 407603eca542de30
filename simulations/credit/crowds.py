"""One owner with many new gateways: what the crowd takes, and what its delegations cost.

Each has bought a delegation, whose fee is lost, and takes its first credit from all K members of
its session. Those that never receipt share one pool at each supplier; those that receipt a little
first leave it, and are held by their fees alone.
"""

from collections.abc import Callable

import numpy as np

from relay_mining import UNITS_PER_PRICE, CreditPool, initial_units_max
from simulations.credit.lender import INITIAL, MAX_UNITS, NEWCOMERS, Lender, lend
from simulations.report import Cell, Report, Table

PRICE = 2_000_000
"""Base units a million compute units."""
MEMBERS = 4
FEE = 1_000_000
CROWDS = (1, 4, 16, 64)
RELAYS = 200


def take(lender: Lender, rng: np.random.Generator, receipts: int) -> None:
    """Receipt the first few relays, and then nothing until there is no credit."""
    for place in range(RELAYS):
        units = min(int(rng.lognormal(np.log(900), 1.0)) + 1, MAX_UNITS)
        one = lender.serve(units)
        if one is None:
            return
        if place < receipts:
            lender.receipt(one)


def storm(rng: np.random.Generator, count: int, receipts: int) -> tuple[int, int, int]:
    """Return (most owed at once, lost, receipted) at one supplier that a crowd comes to at once."""
    pool = CreditPool(NEWCOMERS)
    initial = min(INITIAL, initial_units_max(FEE, PRICE, MEMBERS))
    crowd = [lend(rng.bytes(32), initial, pool) for _ in range(count)]
    for lender in crowd:
        take(lender, rng, receipts)
    owed = sum(lender.line.outstanding for lender in crowd)
    for lender in crowd:
        lender.end_session()
    return (
        owed, sum(each.lost for each in crowd), sum(each.line.receipted for each in crowd)
    )  # fmt: skip


def run_crowds(seed: int, trials: int, advance: Callable[[int], None]) -> Report:
    """Return what crowds of each size take, and gain over the fees of their delegations."""
    rows: list[tuple[Cell, ...]] = []
    for receipts, name in ((0, "never receipts"), (1, "receipts one relay first")):
        for count in CROWDS:
            runs = np.array(
                [
                    storm(np.random.default_rng([seed, count, receipts, trial]), count, receipts)
                    for trial in range(trials)
                ],
                dtype=float,
            )
            gains = runs[:, 1] * PRICE * MEMBERS / UNITS_PER_PRICE - count * FEE
            rows.append(
                (name, count, float(runs[:, 0].max()), float(runs[:, 1].mean()),
                 float(runs[:, 1].max()), float(gains.mean()) / FEE, float(gains.max()) / FEE)
            )  # fmt: skip
        advance(1)
    table = Table(
        "credit-crowds",
        "What one owner takes with many new gateways",
        (
            "crowd", "gateways", "owed at once, most", "lost, mean", "lost, most",
            "gain in fees, mean", "most",
        ),
        tuple(rows),
        f"Units at one supplier, over {trials} crowds; the gain is what {MEMBERS} members lose to "
        "it, at their price, less every delegation's fee, told in fees. Whoever never receipts "
        f"shares a pool of {NEWCOMERS:,} units; a crowd that receipts a little first is held by "
        "its fees.",
    )  # fmt: skip
    return Report((table,))
