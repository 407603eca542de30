"""Processor and wall time of the auctions on large books; an aim missed by the clock ends it.

python -m benchmarks.bench_pricing           a million orders a side; the LP 500 by 500
python -m benchmarks.bench_pricing 100000    another number of orders a side

How busy the machine was is said beside: on one that is not idle the clock runs ahead of the
processor, and the least of a few rounds is what comes nearest to what the code needs.
"""

import os
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial

import numpy as np

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
    clear_coupled,
    clear_large_unit_lots,
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
LOAD_MAX = 4
ROUNDS = 5

AERIA = {
    "AERIA-E": large_aeria_envy_free,
    "AERIA-T": large_aeria_truthful,
    "AERIA-P": large_aeria_posted,
}
_rng = np.random.default_rng(7)


class MissedError(Exception):
    """A figure is beyond its aim by wall clock and by processor time."""


def measure(name: str, work: Callable[[], object], aim: float | None = None) -> None:
    """Print the least times of a few rounds; raise MissedError where both are beyond the aim."""
    spent, waited = [], []
    for _ in range(ROUNDS):
        start, began = time.process_time(), time.perf_counter()
        work()
        spent.append(time.process_time() - start)
        waited.append(time.perf_counter() - began)
    beside = "" if aim is None else f"< {aim:g}"
    print(f"{name:<48} {min(spent):>8.3f} {min(waited):>8.3f}  {beside}", flush=True)
    if aim is not None and min(*spent, *waited) >= aim:
        raise MissedError(f"{name}: {min(waited):.3f} s, aim {aim:g}")


def prices(count: int) -> Integers:
    """Uniform prices."""
    return _rng.integers(0, PRICE_MAX, count)


def unit_lots(count: int) -> None:
    """Call markets of one lot each."""
    bids, asks, ranks = prices(count), prices(count), _rng.permutation(count)
    measure("McAfee, unit lots", lambda: clear_large_unit_lots(bids, asks, mcafee_terms), 0.5)
    measure("SBBA, unit lots", lambda: large_sbba(bids, asks, ranks), 0.5)


def several_lots(count: int) -> None:
    """Call markets and the spot market with 1 to 100 units an order."""

    def units() -> Integers:
        return _rng.integers(1, 101, count)

    book = LargeBook(prices(count), units(), prices(count), units())
    ranks = _rng.permutation(count), _rng.permutation(count)
    draw = LargeDraw(_rng.random(count) < 0.5, _rng.random(count) < 0.5, *ranks)
    measure("uniform price", lambda: large_uniform_price(book), 2)
    measure("multi-unit trade reduction", lambda: large_multi_unit_trade_reduction(book, *ranks), 2)
    measure("MUDA", lambda: large_muda(book, draw), 2)
    measure("P2V", lambda: large_posted_price_vcg(book, PRICE_MAX // 2, ranks[0]), 2)


def exact_twin(count: int) -> None:
    """The exact path, for the ratio."""
    low, high = prices(count).tolist(), prices(count).tolist()
    book = Book(
        tuple(Order(b"b%d" % index, price) for index, price in enumerate(high)),
        tuple(Order(b"s%d" % index, price) for index, price in enumerate(low)),
    )
    measure(f"McAfee, exact path, {count:,} a side", lambda: mcafee(book))


def coupled(size: int, load_max: int) -> None:
    """As many suppliers as services, one bid and every pair of them.

    With loads of 1 the program is a flow and the clearing is proven efficient; with others its
    corners are fractions, and the gap that is left is printed.
    """
    book = CoupledBook(
        np.arange(size),
        prices(size),
        _rng.integers(1, 1_000, size),
        _rng.integers(0, PRICE_MAX, (size, size)),
        _rng.integers(1, load_max, (size, size), endpoint=True),
        _rng.integers(1, 1_000, size),
    )
    name = f"coupled clearing, {size} by {size}, loads 1 to {load_max}"
    measure(name, lambda: clear_coupled(book, gap_max=0 if load_max == 1 else None), 5)
    if load_max > 1:
        clearing = clear_coupled(book)
        print(f"{'  its gap, of the welfare':<48} {clearing.gap / clearing.welfare:>8.2%}")


def digital_goods(bidders: int) -> None:
    """CORE, at the coin that shares."""
    bids = prices(bidders)
    measure(f"CORE, {bidders:,} bidders", lambda: large_core_auction(bids, WORD - 1, 7), 1)


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
    measure(f"edge planner, {users:,} users", lambda: large_plan_edge(network, tasks), 1)


def edge_auctions(users: int) -> None:
    """AERIA for more users than fit."""
    values, demands = prices(users), _rng.integers(1, 1_000, users)
    offer = EdgeOffer(int(demands.sum()) // 3, 10, 1_000)
    ladder = Ladder(Fraction(2), 2**62)
    for name, rule in AERIA.items():
        call = partial(rule, values, demands, offer, ladder)
        measure(f"{name}, {users:,} users", call)


def main(arguments: list[str]) -> None:
    """Print the table."""
    count = int(arguments[0]) if arguments else ORDERS
    load = os.getloadavg()[0]
    print(f"{count:,} orders a side; load {load:.1f} of {os.cpu_count()} cores before the first")
    print(f"{'least of ' + str(ROUNDS):<48} {'cpu, s':>8} {'wall, s':>8}  aim, s")
    unit_lots(count)
    several_lots(count)
    exact_twin(EXACT_ORDERS)
    coupled(COUPLED, 1)
    coupled(COUPLED, LOAD_MAX)
    digital_goods(count)
    edge_planner(count // 10)
    edge_auctions(count // 10)


if __name__ == "__main__":
    main(sys.argv[1:])
