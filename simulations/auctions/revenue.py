"""What auctions earn beside the best single price: goods that can be copied, and edge plans."""

from collections.abc import Callable
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pricing import (
    Book,
    EdgeOffer,
    Integers,
    Ladder,
    Order,
    best_base,
    best_revenue,
    deterministic_price,
    draw_word,
    edge_sampled_price,
    half_capacity_vickrey,
    large_aeria_envy_free,
    large_aeria_posted,
    large_aeria_truthful,
    large_core_auction,
    profit_extraction,
    sampled_price,
    vickrey,
)
from simulations.report import Cell, Report, Table

PRICE_MAX = 10**6
GOODS_SIZES = (10, 50, 200)
PLANS_SIZES = (10, 100, 1_000)
QUANTITY_MAX = 9
PAST_ROUNDS = 5
LARGEST_USER = 4
"""The largest user that a base is chosen for, in average users."""
POSTED = "posted price"

Law: TypeAlias = Callable[[np.random.Generator, int], NDArray[np.float64]]
LAWS: dict[str, Law] = {
    "uniform": lambda rng, users: rng.uniform(0, PRICE_MAX, users),
    "exponential": lambda rng, users: rng.exponential(PRICE_MAX, users),
    "heavy tail": lambda rng, users: PRICE_MAX * (1 + rng.pareto(1.5, users)),
}
AERIA = {
    "AERIA-E": large_aeria_envy_free,
    "AERIA-T": large_aeria_truthful,
    "AERIA-P": large_aeria_posted,
}
GOODS: dict[str, Callable[[Book, bytes], int]] = {
    "Vickrey for half": lambda book, seed: vickrey(book, len(book.bids) // 2).paid,
    "DOP": lambda book, seed: deterministic_price(book).paid,
    "RSOP": lambda book, seed: sampled_price(book, seed).paid,
    "RSPE": lambda book, seed: profit_extraction(book, seed).paid,
    "CORE": lambda book, seed: _core(book, seed),
}
PLANS = (*AERIA, "RSOP", "half-capacity Vickrey", POSTED)
STEPS = len(LAWS) * (len(GOODS_SIZES) + len(PLANS_SIZES))


def run_revenue(seed: int, trials: int, advance: Callable[[int], None]) -> Report:
    """Return the revenue of either kind of auction by law and size, as a share of the best."""
    goods = _table(
        ("goods-revenue", "Revenue of goods that can be copied"), GOODS_SIZES, tuple(GOODS),
        lambda rng, law, size: _goods_shares(rng, LAWS[law], size), (seed, trials, advance),
        "Mean share of `F`, the revenue of the best single price, of truthful bids for one unit. "
        "CORE sells by Vickrey to one bidder in 59 of 100 draws.",
    )  # fmt: skip
    plans = _table(
        ("plans-revenue", "Revenue of edge auctions by law"), PLANS_SIZES, PLANS,
        lambda rng, law, size: plan_shares(rng, LAWS[law], size), (seed, trials, advance),
        f"Mean share of the best unit price's revenue, capacity ample, values of a unit by law, 1 "
        f"to {QUANTITY_MAX} units a user, AERIA's base `best_base(1 + {LARGEST_USER}/n)`. The "
        f"posted price is the one that would have raised most in {PAST_ROUNDS} past rounds. "
        "Truthful bids are assumed of all, which flatters AERIA-E.",
    )  # fmt: skip
    return Report((goods, plans), {"revenue": plot(goods, plans)})


def _table(
    names: tuple[str, str],
    sizes: tuple[int, ...],
    rules: tuple[str, ...],
    shares: Callable[[np.random.Generator, str, int], dict[str, float]],
    run: tuple[int, int, Callable[[int], None]],
    note: str,
) -> Table:
    """One row a law and size, one column a rule; the error is the largest of the row."""
    seed, trials, advance = run
    rows: list[tuple[Cell, ...]] = []
    for law in LAWS:
        for size in sizes:
            rng = np.random.default_rng([seed, size, len(rows)])
            drawn = [shares(rng, law, size) for _ in range(max(2, trials // 20))]
            table = np.array([[each[rule] for rule in rules] for each in drawn])
            error = 2 * table.std(axis=0).max() / len(drawn) ** 0.5
            rows.append((law, size, *(float(mean) for mean in table.mean(axis=0)), float(error)))
            advance(1)
    name, title = names
    return Table(name, title, ("values", "bidders", *rules, "± 2 s.e."), tuple(rows), note)


def _goods_shares(rng: np.random.Generator, law: Law, bidders: int) -> dict[str, float]:
    book = _book(law(rng, bidders).astype(np.int64), np.ones(bidders, dtype=np.int64))
    best, seed = best_revenue(book.bids), rng.bytes(32)
    return {name: earn(book, seed) / best for name, earn in GOODS.items()}


def plan_shares(rng: np.random.Generator, law: Law, users: int) -> dict[str, float]:
    """The revenue of each edge auction of one book, as a share of the best unit price's."""
    values, demands = _draw_plans(rng, law, users)
    offer = EdgeOffer(int(demands.sum()), 0, QUANTITY_MAX)
    seed = rng.bytes(32)
    ladder = Ladder(best_base(1 + Fraction(LARGEST_USER, users)), draw_word(seed, b"offset"))
    book = _book(values, demands)
    paid = {name: rule(values, demands, offer, ladder) for name, rule in AERIA.items()}
    earned: dict[str, float] = {name: int(each.clip(0).sum()) for name, each in paid.items()}
    earned["RSOP"] = edge_sampled_price(book, offer, seed).paid
    earned["half-capacity Vickrey"] = half_capacity_vickrey(book, offer).paid
    past = [_draw_plans(rng, law, users) for _ in range(PAST_ROUNDS)]
    price = best_unit_price(*(np.concatenate(part) for part in zip(*past, strict=True)))
    earned[POSTED] = float(price * demands[values >= price * demands].sum())
    best = best_revenue(book.bids)
    return {name: money / best for name, money in earned.items()}


def best_unit_price(values: Integers, demands: Integers) -> float:
    """The unit price that raises most from plans of these values together."""
    densities = values / demands
    order = np.argsort(-densities)
    ranked = densities[order]
    return float(ranked[np.argmax(ranked * np.cumsum(demands[order]))])


def _draw_plans(rng: np.random.Generator, law: Law, users: int) -> tuple[Integers, Integers]:
    demands = rng.integers(1, QUANTITY_MAX + 1, users)
    return (law(rng, users) * demands).astype(np.int64), demands


def _book(values: Integers, demands: Integers) -> Book:
    lots = zip(values.tolist(), demands.tolist(), strict=True)
    return Book(tuple(Order(b"%06d" % place, *lot) for place, lot in enumerate(lots)))


def _core(book: Book, seed: bytes) -> int:
    prices = np.array([bid.price for bid in book.bids], dtype=np.int64)
    coin, offset = draw_word(seed, b"coin"), draw_word(seed, b"offset")
    return int(large_core_auction(prices, coin, offset).clip(0).sum())


def plot(*tables: Table) -> Figure:
    """Return the shares over the size, a panel a kind and law."""
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    axes = figure.subplots(len(tables), len(LAWS), sharey=True)
    for line, table in zip(axes, tables, strict=True):
        for axis, law in zip(line, LAWS, strict=True):
            rows = [row for row in table.rows if row[0] == law]
            for place, rule in enumerate(table.columns[2:-1], start=2):
                sizes, shares = [row[1] for row in rows], [row[place] for row in rows]
                axis.semilogx(sizes, shares, "o-", label=rule)
            axis.set_title(f"{law}")
            axis.set_xlabel("bidders")
        line[0].set_ylabel("share of the best single price")
        line[-1].legend(fontsize="small")
    return figure
