"""What each rule makes of a market: its share of the gains that the best trades would have."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from pricing import (
    Balance,
    Integers,
    LargeBook,
    LargeDraw,
    clear_large_unit_lots,
    large_muda,
    large_posted_price_vcg,
    large_sbba,
    mcafee_terms,
    next_price,
    trade_reduction_terms,
    vcg_terms,
)
from simulations.report import Cell, Report, Table

SIZES = (5, 10, 50, 200, 1_000)
PRICE_MAX = 10**6
ORDERS_A_CASE = 20_000
"""A hundred trials draw no more than this many orders a side."""
DESIGN: dict[str, tuple[float | None, ...]] = {
    "trade reduction": (0.702, 0.94, 0.998, 1.0, 1.0),
    "McAfee": (0.923, 0.983, 0.999, 1.0, 1.0),
    "SBBA": (0.862, 0.94, 0.991, 0.997, 1.0),
    "MUDA": (0.293, 0.545, 0.781, 0.902, None),
    "P2V": (0.822, 0.889, 0.955, 0.977, 0.991),
}
"""The worked numbers of the design, drawn elsewhere with a standard error of up to 0.014."""


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """Values and costs of one round of unit lots."""

    values: Integers
    costs: Integers

    def gains(self, bought: Integers, sold: Integers) -> int:
        """Value less cost of what trades."""
        return int((self.values * bought).sum()) - int((self.costs * sold).sum())


def draw_market(rng: np.random.Generator, traders: int) -> Market:
    """Values and costs uniform up to PRICE_MAX."""
    return Market(rng.integers(0, PRICE_MAX, traders), rng.integers(0, PRICE_MAX, traders))


def best_gains(market: Market) -> int:
    """Value less cost of all trades that gain."""
    best = clear_large_unit_lots(market.values, market.costs, vcg_terms)
    return market.gains(best.bought, best.sold)


def gains_by_rule(market: Market, rng: np.random.Generator, posted: int) -> dict[str, int]:
    """What every rule gains when all report the truth; P2V at the posted price."""
    values, costs = market.values, market.costs
    ones = np.ones_like(values)
    book = LargeBook(values, ones, costs, ones)
    ranks = rng.permutation(values.size), rng.permutation(values.size)
    halves = rng.random(values.size) < 0.5, rng.random(values.size) < 0.5
    reduced = clear_large_unit_lots(values, costs, trade_reduction_terms)
    mcafee = clear_large_unit_lots(values, costs, mcafee_terms)
    sbba = large_sbba(values, costs, ranks[1])
    first, second = large_muda(book, LargeDraw(*halves, *ranks))
    spot = large_posted_price_vcg(book, posted, ranks[0])
    return {
        "trade reduction": market.gains(reduced.bought, reduced.sold),
        "McAfee": market.gains(mcafee.bought, mcafee.sold),
        "SBBA": market.gains(sbba.bought, sbba.sold),
        "MUDA": market.gains(first.bought + second.bought, first.sold + second.sold),
        "P2V": market.gains(spot.bought, spot.sold),
    }


def balance_of(market: Market, price: int) -> Balance:
    """Who would buy and who would sell at a price."""
    return Balance(
        int(np.count_nonzero(market.values >= price)), int(np.count_nonzero(market.costs <= price))
    )


def shares_of(rng: np.random.Generator, traders: int, rounds: int) -> dict[str, list[float]]:
    """The share of the best gains in every round that has any, by rule."""
    shares: dict[str, list[float]] = {name: [] for name in DESIGN}
    posted = PRICE_MAX // 2
    for _ in range(rounds):
        market = draw_market(rng, traders)
        best = best_gains(market)
        for name, gained in gains_by_rule(market, rng, posted).items():
            shares[name] += [gained / best] if best else []
        posted = next_price(posted, balance_of(market, posted))
    return shares


def run_gains(seed: int, trials: int, advance: Callable[[int], None]) -> Report:
    """Return the shares by rule and size, beside the design's."""
    rows: list[tuple[Cell, ...]] = []
    for place, traders in enumerate(SIZES):
        rounds = max(2, min(trials, trials * ORDERS_A_CASE // traders // 100))
        shares = shares_of(np.random.default_rng([seed, traders]), traders, rounds)
        for name, sample in shares.items():
            error = 2 * float(np.std(sample)) / len(sample) ** 0.5
            design = DESIGN[name][place]
            rows.append(
                (name, traders, float(np.mean(sample)), error, "-" if design is None else design)
            )
        advance(1)
    table = Table(
        "gains",
        "Gains from trade",
        ("rule", "traders a side", "share", "± 2 s.e.", "design"),
        tuple(rows),
        "Mean share of the gains of the best trades; values and costs uniform, unit lots, "
        "everybody truthful; P2V's price follows `next_price` from round to round. The design's "
        "figures carry a standard error of up to 0.014.",
    )
    return Report((table,), {"gains": plot(table)})


def plot(table: Table) -> Figure:
    """Return the share over the number of traders."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name in DESIGN:
        shares = [float(row[2]) for row in table.rows if row[0] == name]
        axes.semilogx(SIZES, shares, "o-", label=name)
    axes.set_xlabel("traders a side")
    axes.set_ylabel("share of the best gains")
    axes.legend()
    return figure
