"""Books for tests: written down as prices, drawn at random, or all there are on a grid."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations_with_replacement, product
from random import Random

import numpy as np

from pricing import Book, Integers, LargeBook, Order

Lot = int | tuple[int, int]
"""A price for one unit, or a price and a quantity."""


def order(side: str, index: int, lot: Lot) -> Order:
    name = f"{side}{index:06}".encode()
    return Order(name, lot) if isinstance(lot, int) else Order(name, *lot)


def book(bids: Iterable[Lot] = (), asks: Iterable[Lot] = ()) -> Book:
    """Traders `b000000`, `b000001`, ... and `s000000`, ... in the sequence given."""
    return Book(
        tuple(order("b", i, lot) for i, lot in enumerate(bids)),
        tuple(order("s", i, lot) for i, lot in enumerate(asks)),
    )


def random_book(
    rng: Random, *, most: int = 4, price_max: int = 10, quantity_max: int = 1, scale: int = 1
) -> Book:
    """One to `most` traders a side, prices in multiples of `scale`; equal prices are common."""

    def lots() -> list[Lot]:
        return [
            (scale * rng.randint(0, price_max), rng.randint(1, quantity_max))
            for _ in range(rng.randint(1, most))
        ]

    return book(lots(), lots())


def every_unit_book(traders: int, prices: Sequence[int]) -> Iterator[Book]:
    """Every book of up to `traders` unit lots a side with prices of the grid, up to renaming."""
    sides = [
        side
        for count in range(1, traders + 1)
        for side in combinations_with_replacement(prices, count)
    ]
    for bids, asks in product(sides, repeat=2):
        yield book(bids, asks)


def seeds(count: int) -> list[bytes]:
    return [number.to_bytes(32, "big") for number in range(count)]


def units_of(book: Book) -> tuple[Integers, Integers]:
    """Prices of a book of unit lots as arrays."""
    return _prices(book.bids), _prices(book.asks)


def large(book: Book) -> LargeBook:
    """The book as arrays; identities ascend with positions."""
    return LargeBook(_prices(book.bids), _units(book.bids), _prices(book.asks), _units(book.asks))


def _prices(orders: Sequence[Order]) -> Integers:
    return np.array([order.price for order in orders], dtype=np.int64)


def _units(orders: Sequence[Order]) -> Integers:
    return np.array([order.quantity for order in orders], dtype=np.int64)
