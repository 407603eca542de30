"""The coupled clearing: exact answers by hand and by search, and a check that needs no solver."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from pricing import (
    CoupledBook,
    InvalidBookError,
    UnsolvedError,
    clear_coupled,
    compute_bound,
    verify_coupled,
)


def coupled(
    bids: list[tuple[int, int, int]],
    costs: list[list[int]],
    capacities: list[int],
    loads: list[list[int]] | None = None,
) -> CoupledBook:
    """Bids of (service, price, units); loads of 1 unless given."""
    table = np.array(bids, dtype=np.int64).reshape(-1, 3)
    prices = np.array(costs, dtype=np.int64)
    return CoupledBook(
        table[:, 0],
        table[:, 1],
        table[:, 2],
        prices,
        np.ones_like(prices) if loads is None else np.array(loads, dtype=np.int64),
        np.array(capacities, dtype=np.int64),
    )


def random_coupled(rng: np.random.Generator, size: int, loads: int = 1) -> CoupledBook:
    bids, suppliers, services = rng.integers(1, size, 3, endpoint=True)
    return CoupledBook(
        rng.integers(0, services, bids),
        rng.integers(0, 20, bids),
        rng.integers(0, 4, bids),
        rng.integers(0, 20, (suppliers, services)),
        rng.integers(1, loads, (suppliers, services), endpoint=True),
        rng.integers(0, 5, suppliers),
    )


def test_one_capacity_goes_where_it_earns_most() -> None:
    book = coupled([(0, 10, 4), (1, 6, 4)], costs=[[1, 1], [9, 3]], capacities=[3, 2])
    clearing = clear_coupled(book)

    assert clearing.bought.tolist() == [3, 2]
    assert clearing.sold.tolist() == [[3, 0], [0, 2]]
    assert clearing.prices.tolist() == [10, 6]
    assert (clearing.welfare, clearing.gap) == (3 * 9 + 2 * 3, 0)


def best_by_search(book: CoupledBook) -> int:
    """The most welfare of all integer flows, the bids of a service filled best first."""
    suppliers, services = book.costs.shape
    best = 0
    for flat in product(range(int(book.capacities.max()) + 1), repeat=suppliers * services):
        flows = np.array(flat).reshape(suppliers, services)
        if ((flows * book.loads).sum(axis=1) > book.capacities).any():
            continue
        value = -int((flows * book.costs).sum())
        for service in range(services):
            units = sorted(
                (
                    price
                    for of, price, count in zip(
                        book.bid_services, book.bid_prices, book.bid_units, strict=True
                    )
                    for _ in range(count)
                    if of == service
                ),
                reverse=True,
            )
            value += int(sum(units[: flows[:, service].sum()]))
        best = max(best, value)
    return best


def test_the_best_of_all_allocations_is_found() -> None:
    rng = np.random.default_rng(61)
    for _ in range(60):
        book = random_coupled(rng, 2)
        clearing = clear_coupled(book)
        assert clearing.welfare == clearing.bound == best_by_search(book)


def test_unit_loads_are_cleared_without_a_gap() -> None:
    rng = np.random.default_rng(62)
    for size in [12] * 80 + [60] * 4:
        book = random_coupled(rng, size)
        assert clear_coupled(book, gap_max=0).gap == 0


def test_the_prices_leave_nobody_wanting_another_quantity() -> None:
    rng = np.random.default_rng(63)
    for _ in range(60):
        book = random_coupled(rng, 8)
        clearing = clear_coupled(book)
        price = clearing.prices[book.bid_services]
        assert (clearing.bought == book.bid_units)[book.bid_prices > price].all()
        margins = np.maximum(clearing.prices - book.costs, 0)
        earned = (clearing.sold * (clearing.prices - book.costs)).sum(axis=1)
        assert (earned == book.capacities * margins.max(axis=1)).all()


def test_larger_loads_are_bounded_by_the_best_there_is() -> None:
    rng = np.random.default_rng(64)
    for _ in range(60):
        book = random_coupled(rng, 2, loads=3)
        clearing = clear_coupled(book)
        assert clearing.welfare <= best_by_search(book) <= clearing.bound


def test_any_prices_bound_the_welfare() -> None:
    rng = np.random.default_rng(65)
    for _ in range(60):
        book = random_coupled(rng, 2, loads=2)
        prices = rng.integers(0, 20, book.costs.shape[1])
        assert compute_bound(book, prices) >= best_by_search(book)


def test_a_false_clearing_is_refused() -> None:
    book = coupled([(0, 10, 4), (1, 6, 4)], costs=[[1, 1], [9, 3]], capacities=[3, 2])
    true = clear_coupled(book)
    for change, reason in (
        ({"bought": true.bought + 2}, "beyond its units"),
        ({"bought": true.bought - 3}, "negative"),
        ({"sold": true.sold * 2}, "capacity"),
        ({"sold": np.zeros_like(true.sold)}, "unbalanced"),
        ({"prices": true.prices + 1}, "above its bid"),
        ({"prices": true.prices - 6}, "below its cost"),
        ({"welfare": true.welfare + 1}, "welfare"),
        ({"bound": true.bound - 1}, "bound"),
    ):
        with pytest.raises(InvalidBookError, match=reason):
            verify_coupled(book, replace(true, **change))


def test_a_gap_beyond_what_is_allowed_is_refused() -> None:
    # A unit loads 2 of the 3 there are: half a unit stays in the program and out of the world.
    book = coupled([(0, 10, 4)], costs=[[0]], capacities=[3], loads=[[2]])
    assert (clear_coupled(book).welfare, clear_coupled(book).gap) == (10, 5)
    with pytest.raises(UnsolvedError, match="5 short"):
        clear_coupled(book, gap_max=4)


def test_a_book_in_which_nothing_trades() -> None:
    clearing = clear_coupled(coupled([(0, 3, 1)], costs=[[5]], capacities=[9]))
    assert (clearing.welfare, clearing.gap) == (0, 0)
    assert clear_coupled(coupled([], costs=[[5]], capacities=[9])).bought.size == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"capacities": np.array([1, 2])}, "suppliers"),
        ({"bid_units": np.array([1, 2])}, "number"),
        ({"bid_units": np.array([-1])}, "negative"),
        ({"loads": np.array([[0]])}, "at least 1"),
        ({"bid_services": np.array([1])}, "not in the book"),
        ({"bid_prices": np.array([2**62])}, "64 bits"),
    ],
)
def test_a_book_that_makes_no_sense_is_refused(change: dict[str, np.ndarray], reason: str) -> None:
    with pytest.raises(InvalidBookError, match=reason):
        replace(coupled([(0, 3, 1)], costs=[[5]], capacities=[9]), **change)


def test_a_large_trader_gains_by_lying() -> None:
    """The counter-example to truth: who holds the unit that sets a price moves it.

    A supplier of three units at 1 beside one unit at 9: asking 8 raises what it is paid.
    """

    def earned(said: int) -> int:
        book = coupled([(0, 10, 3)], costs=[[said], [9]], capacities=[3, 1])
        clearing = clear_coupled(book, gap_max=0)
        return int(clearing.sold[0, 0] * (clearing.prices[0] - 1))

    assert max(earned(said) for said in range(1, 12)) > earned(1)
