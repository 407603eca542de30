"""How a posted price finds the market: steady, drifting and shocked demand."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from matplotlib.figure import Figure

from pricing import next_base_fee, next_price, quote_unit_lots
from simulations.auctions.gains import PRICE_MAX, Market, balance_of, best_gains, draw_market
from simulations.report import Cell, Report, Table

TRADERS = 200
EPOCHS = 120
START = PRICE_MAX // 4
BURN_IN = 40
"""Epochs before errors count: the price starts at half of what clears."""
CONTROLLERS = ("next_price", "next_base_fee")
SCENARIOS: dict[str, Callable[[int], float]] = {
    "steady": lambda epoch: 1.0,
    "drift": lambda epoch: 1.0 + epoch / EPOCHS,
    "shock": lambda epoch: 2.0 if 60 <= epoch < 90 else 1.0,
}
"""By what factor buyers value a unit, over the epochs."""

Path: TypeAlias = tuple[list[int], list[float], list[float]]
"""Posted prices, the middle of what would clear, and the share of gains at the posted price."""


def draw_epoch(rng: np.random.Generator, level: float) -> Market:
    """A market whose values are multiplied by the level (rounded down)."""
    market = draw_market(rng, TRADERS)
    return Market((market.values * level).astype(np.int64), market.costs)


def step(controller: str, price: int, market: Market) -> int:
    """The next price by either controller; EIP-1559's target is the supply there is."""
    balance = balance_of(market, price)
    if controller == "next_price":
        return next_price(price, balance)
    return next_base_fee(price, balance.demand, max(balance.supply, 1))


def price_path(rng: np.random.Generator, controller: str, level: Callable[[int], float]) -> Path:
    """One run of a market; the share counts pairs that trade at random among those who accept."""
    posted, clearing, shares = [START], [], []
    for epoch in range(EPOCHS):
        market = draw_epoch(rng, level(epoch))
        quotes = quote_unit_lots(market.values, market.costs)
        clearing.append((quotes.low + quotes.high) / 2)
        shares.append(_gains_at(market, posted[-1]) / best_gains(market))
        posted.append(step(controller, posted[-1], market))
    return posted[:-1], clearing, shares


def _gains_at(market: Market, price: int) -> float:
    """Expected gains at a price: the long side is served at random, cheap suppliers first."""
    buyers = market.values[market.values >= price]
    sellers = np.sort(market.costs[market.costs <= price])
    units = min(buyers.size, sellers.size)
    return float(buyers.mean() * units - sellers[:units].sum()) if units else 0.0


def run_prices(seed: int, trials: int, advance: Callable[[int], None]) -> Report:
    """Return errors of the posted price by scenario and controller, with one path of each."""
    rows: list[tuple[Cell, ...]] = []
    figure = Figure(figsize=(8, 7), layout="constrained")
    axes = figure.subplots(len(SCENARIOS), 1, sharex=True)
    for place, (name, level) in enumerate(SCENARIOS.items()):
        for controller in CONTROLLERS:
            rng = np.random.default_rng([seed, place])
            paths = [price_path(rng, controller, level) for _ in range(max(trials // 10, 2))]
            rows.append((name, controller, *errors_of(paths)))
            axes[place].plot(paths[0][0], label=controller)
        axes[place].plot(paths[0][1], "k:", label="would clear")
        axes[place].set_title(name)
        axes[place].legend()
        advance(1)
    axes[-1].set_xlabel("epoch")
    table = Table(
        "prices",
        "Price convergence",
        ("demand", "controller", "mean error", "largest", "epochs to 10 %", "share of gains"),
        tuple(rows),
        f"Relative distance of the posted price from the middle of what would clear, after "
        f"{BURN_IN} of {EPOCHS} epochs, {TRADERS} traders a side drawn afresh in each; epochs "
        "until it first lies within 10 % from a start at half; drift doubles values over the run, "
        "the shock doubles them for epochs 60 to 89.",
    )
    return Report((table,), {"prices": figure})


def errors_of(paths: Sequence[Path]) -> tuple[float, float, float, float]:
    """Mean and largest error, epochs until the first small one, and the share of gains."""
    posted, clearing, shares = (np.array(part) for part in zip(*paths, strict=True))
    error = np.abs(posted - clearing) / clearing
    near = [_first_within(run, 0.1) for run in error]
    kept = error[:, BURN_IN:]
    return (
        float(kept.mean()),
        float(kept.max()),
        float(np.mean(near)),
        float(shares[:, BURN_IN:].mean()),
    )


def _first_within(errors: np.ndarray[tuple[int], np.dtype[np.float64]], bound: float) -> int:
    """The first epoch with an error within the bound, or EPOCHS."""
    within = np.flatnonzero(errors <= bound)
    return int(within[0]) if within.size else EPOCHS
