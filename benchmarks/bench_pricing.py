"""Processor time of the auctions on large books, and what the auctions of edge inference earn.

python -m benchmarks.bench_pricing           a million orders a side; the LP 500 by 500
python -m benchmarks.bench_pricing 100000    another number of orders a side
"""

import sys
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from pricing import (
    WORD,
    Book,
    CoupledBook,
    EdgeOffer,
    EdgeTasks,
    Exit,
    Integers,
    Ladder,
    LargeBook,
    LargeDraw,
    Layer,
    Network,
    Order,
    best_base,
    best_revenue,
    clear_coupled,
    clear_large_unit_lots,
    draw_word,
    edge_sampled_price,
    half_capacity_vickrey,
    large_aeria_envy_free,
    large_aeria_posted,
    large_aeria_truthful,
    large_core_auction,
    large_muda,
    large_multi_unit_trade_reduction,
    large_plan_edge,
    large_posted_price_vcg,
    large_sbba,
    large_uniform_price,
    mcafee,
    mcafee_terms,
)

ORDERS = 10**6
EXACT_ORDERS = 10**4
PRICE_MAX = 10**6
COUPLED = 500
ROUNDS = 5

AERIA = {
    "AERIA-E": large_aeria_envy_free,
    "AERIA-T": large_aeria_truthful,
    "AERIA-P": large_aeria_posted,
}
REVENUE_BOOKS = 60
LARGEST_USER = 4
"""The largest user that a base is chosen for, in average users."""

_rng = np.random.default_rng(7)
VALUES: dict[str, Callable[[int], NDArray[np.float64]]] = {
    "uniform": lambda users: _rng.uniform(0, PRICE_MAX, users),
    "exponential": lambda users: _rng.exponential(PRICE_MAX, users),
    "heavy tail": lambda users: PRICE_MAX * (1 + _rng.pareto(1.5, users)),
}


def measure(name: str, work: Callable[[], object], aim: str = "") -> None:
    """Print the least processor time of a few rounds."""
    spent = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    print(f"{name:<44} {min(spent):>8.3f} s  {aim}", flush=True)


def prices(count: int) -> Integers:
    """Uniform prices."""
    return _rng.integers(0, PRICE_MAX, count)


def unit_lots(count: int) -> None:
    """Call markets of one lot each."""
    bids, asks, ranks = prices(count), prices(count), _rng.permutation(count)
    measure("McAfee, unit lots", lambda: clear_large_unit_lots(bids, asks, mcafee_terms), "< 0.5")
    measure("SBBA, unit lots", lambda: large_sbba(bids, asks, ranks), "< 0.5")


def several_lots(count: int) -> None:
    """Call markets and the spot market with 1 to 100 units an order."""

    def units() -> Integers:
        return _rng.integers(1, 101, count)

    book = LargeBook(prices(count), units(), prices(count), units())
    ranks = _rng.permutation(count), _rng.permutation(count)
    draw = LargeDraw(_rng.random(count) < 0.5, _rng.random(count) < 0.5, *ranks)
    measure("uniform price", lambda: large_uniform_price(book), "< 2")
    measure(
        "multi-unit trade reduction", lambda: large_multi_unit_trade_reduction(book, *ranks), "< 2"
    )
    measure("MUDA", lambda: large_muda(book, draw), "< 2")
    measure("P2V", lambda: large_posted_price_vcg(book, PRICE_MAX // 2, ranks[0]), "< 2")


def exact_twin(count: int) -> None:
    """The exact path, for the ratio."""
    low, high = prices(count).tolist(), prices(count).tolist()
    book = Book(
        tuple(Order(b"b%d" % index, price) for index, price in enumerate(high)),
        tuple(Order(b"s%d" % index, price) for index, price in enumerate(low)),
    )
    measure(f"McAfee, exact path, {count:,} a side", lambda: mcafee(book))


def coupled(size: int) -> None:
    """As many suppliers as services, one bid and every pair of them."""
    book = CoupledBook(
        np.arange(size),
        prices(size),
        _rng.integers(1, 1_000, size),
        _rng.integers(0, PRICE_MAX, (size, size)),
        np.ones((size, size), dtype=np.int64),
        _rng.integers(1, 1_000, size),
    )
    measure(
        f"coupled clearing, {size} by {size}, gap 0", lambda: clear_coupled(book, gap_max=0), "< 5"
    )


def digital_goods(bidders: int) -> None:
    """CORE, at the coin that shares."""
    bids = prices(bidders)
    measure(f"CORE, {bidders:,} bidders", lambda: large_core_auction(bids, WORD - 1, 7), "< 1")


def edge_planner(users: int) -> None:
    """A network of three exits and 29 layers, 32 places to cut it."""
    depths = (7, 10, 12)
    network = Network(
        150_000,
        tuple(
            Exit(
                500_000 + 100_000 * place, tuple(Layer(400_000_000, 200_000) for _ in range(depth))
            )
            for place, depth in enumerate(depths)
        ),
    )
    tasks = EdgeTasks(
        accuracy_ppm=_rng.integers(300_000, 750_000, users),
        deadline_us=_rng.integers(10_000, 500_000, users),
        device_rate=_rng.integers(500, 50_000, users),
        uplink_bytes_s=_rng.integers(10**5, 10**8, users),
        round_trip_us=_rng.integers(1_000, 50_000, users),
        complexity_milli=_rng.integers(500, 2_000, users),
    )
    measure(f"edge planner, {users:,} users", lambda: large_plan_edge(network, tasks), "< 1")


def edge_auctions(users: int) -> None:
    """AERIA for more users than fit."""
    values, demands = prices(users), _rng.integers(1, 1_000, users)
    offer = EdgeOffer(int(demands.sum()) // 3, 10, 1_000)
    ladder = Ladder(Fraction(2), 2**62)
    for name, rule in AERIA.items():
        call = partial(rule, values, demands, offer, ladder)
        measure(f"{name}, {users:,} users", call)


def edge_revenue(users: int) -> None:
    """Mean revenue as a share of the best single unit price, ample capacity, values per unit."""
    for law, draw in VALUES.items():
        shares: dict[str, list[float]] = {}
        for number in range(REVENUE_BOOKS):
            demands = _rng.integers(1, 10, users)
            values = (draw(users) * demands).astype(np.int64)
            for name, earned in edge_revenues(values, demands, number).items():
                shares.setdefault(name, []).append(earned)
        row = "  ".join(f"{name} {fmean(each):.2f}" for name, each in shares.items())
        print(f"{users:>5} users, {law:<12} {row}", flush=True)


def edge_revenues(values: Integers, demands: Integers, number: int) -> dict[str, float]:
    """The revenue of each auction of one book, by name; AERIA with the base for its size."""
    offer = EdgeOffer(int(demands.sum()), 0, 10)
    seed = number.to_bytes(32, "big")
    base = best_base(1 + Fraction(LARGEST_USER, len(values)))
    ladder = Ladder(base, draw_word(seed, b"offset"))
    pairs = zip(values.tolist(), demands.tolist(), strict=True)
    book = Book(tuple(Order(b"%06d" % index, *pair) for index, pair in enumerate(pairs)))
    paid = {name: rule(values, demands, offer, ladder) for name, rule in AERIA.items()}
    earned = {name: int(each.clip(0).sum()) for name, each in paid.items()}
    earned["RSOP"] = edge_sampled_price(book, offer, seed).paid
    earned["half-capacity Vickrey"] = half_capacity_vickrey(book, offer).paid
    best = best_revenue(book.bids)
    return {name: money / best for name, money in earned.items()}


def main(arguments: list[str]) -> None:
    """Print the table."""
    count = int(arguments[0]) if arguments else ORDERS
    print(f"{count:,} orders a side; processor time, least of {ROUNDS}; the aim beside it")
    unit_lots(count)
    several_lots(count)
    exact_twin(EXACT_ORDERS)
    coupled(COUPLED)
    digital_goods(count)
    edge_planner(count // 10)
    edge_auctions(count // 10)
    print("\nrevenue of edge auctions, share of the best unit price")
    for users in (10, 100, 1000):
        edge_revenue(users)


if __name__ == "__main__":
    main(sys.argv[1:])
