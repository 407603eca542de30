"""Processor time of the auctions on large books: call markets, the spot market, the coupled LP.

python -m benchmarks.bench_pricing           a million orders a side; the LP 500 by 500
python -m benchmarks.bench_pricing 100000    another number of orders a side
"""

import sys
import time
from collections.abc import Callable

import numpy as np

from pricing import (
    Book,
    CoupledBook,
    Integers,
    LargeBook,
    LargeDraw,
    Order,
    clear_coupled,
    clear_large_unit_lots,
    large_muda,
    large_multi_unit_trade_reduction,
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

_rng = np.random.default_rng(7)


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


def main(arguments: list[str]) -> None:
    """Print the table."""
    count = int(arguments[0]) if arguments else ORDERS
    print(f"{count:,} orders a side; processor time, least of {ROUNDS}; the aim beside it")
    unit_lots(count)
    several_lots(count)
    exact_twin(EXACT_ORDERS)
    coupled(COUPLED)


if __name__ == "__main__":
    main(sys.argv[1:])
