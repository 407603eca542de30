"""The array paths give the same outcomes as their exact twins, and refuse what they cannot hold."""

from collections.abc import Iterator
from random import Random

import numpy as np
import pytest

from pricing import (
    Book,
    Fill,
    Flags,
    Integers,
    InvalidBookError,
    LargeBook,
    LargeDraw,
    LargeOutcome,
    Mechanism,
    Order,
    Outcome,
    Rule,
    clear_large_unit_lots,
    in_first_half,
    large_muda,
    large_multi_unit_trade_reduction,
    large_posted_price_vcg,
    large_sbba,
    large_uniform_price,
    mcafee,
    mcafee_terms,
    muda,
    multi_unit_trade_reduction,
    posted_price_vcg,
    rank,
    sbba,
    trade_reduction,
    trade_reduction_terms,
    uniform_price,
    vcg_double_auction,
    vcg_terms,
)
from tests.pricing.books import book, large, random_book, seeds, units_of


def books(count: int, quantity_max: int) -> Iterator[tuple[Book, bytes]]:
    rng = Random(31)
    for seed in seeds(count):
        yield random_book(rng, most=rng.choice([2, 12]), quantity_max=quantity_max), seed
    yield book([5], []), seed
    yield book([], [5]), seed


def fills(orders: tuple[Order, ...], units: Integers, price: int) -> tuple[Fill, ...]:
    return tuple(
        Fill(order.trader, count, count * price)
        for order, count in zip(orders, units.tolist(), strict=True)
        if count
    )


def exact(orders: Book, outcome: LargeOutcome) -> Outcome:
    return Outcome(
        fills(orders.bids, outcome.bought, outcome.buyer_price),
        fills(orders.asks, outcome.sold, outcome.seller_price),
    )


def by_trader(outcome: Outcome) -> Outcome:
    def ordered(side: tuple[Fill, ...]) -> tuple[Fill, ...]:
        return tuple(sorted(side, key=lambda fill: fill.trader))

    return Outcome(ordered(outcome.bought), ordered(outcome.sold))


def ranks(orders: tuple[Order, ...], seed: bytes) -> Integers:
    """Places in the public order, as integers that sort alike."""
    return np.array(
        [int.from_bytes(rank(seed, order.trader)[:8], "big") >> 1 for order in orders],
        dtype=np.int64,
    )


def halves(orders: tuple[Order, ...], seed: bytes) -> Flags:
    return np.array([in_first_half(seed, order.trader) for order in orders], dtype=np.bool_)


@pytest.mark.parametrize(
    ("terms", "twin"),
    [
        (mcafee_terms, mcafee),
        (trade_reduction_terms, trade_reduction),
        (vcg_terms, vcg_double_auction),
    ],
)
def test_unit_lots(terms: Rule, twin: Mechanism) -> None:
    for orders, _ in books(400, 1):
        got = clear_large_unit_lots(*units_of(orders), terms)
        assert exact(orders, got) == by_trader(twin(orders))


def test_sbba() -> None:
    for orders, seed in books(400, 1):
        got = large_sbba(*units_of(orders), ranks(orders.asks, seed))
        assert exact(orders, got) == by_trader(sbba(orders, seed))


def test_uniform_price() -> None:
    for orders, _ in books(400, 7):
        assert exact(orders, large_uniform_price(large(orders))) == by_trader(uniform_price(orders))


def test_multi_unit_trade_reduction() -> None:
    for orders, seed in books(400, 7):
        got = large_multi_unit_trade_reduction(
            large(orders), ranks(orders.bids, seed), ranks(orders.asks, seed)
        )
        assert exact(orders, got) == by_trader(multi_unit_trade_reduction(orders, seed))


def test_muda() -> None:
    for orders, seed in books(400, 7):
        draw = LargeDraw(
            halves(orders.bids, seed),
            halves(orders.asks, seed),
            ranks(orders.bids, seed),
            ranks(orders.asks, seed),
        )
        first, second = (exact(orders, half) for half in large_muda(large(orders), draw))
        got = Outcome(first.bought + second.bought, first.sold + second.sold)
        assert by_trader(got) == by_trader(muda(orders, seed))


def test_p2v() -> None:
    for orders, seed in books(600, 7):
        price = seed[-1] % 12
        got = large_posted_price_vcg(large(orders), price, ranks(orders.bids, seed))
        twin = posted_price_vcg(orders, price, seed)
        sold = zip(orders.asks, got.sold.tolist(), got.earned.tolist(), strict=True)
        assert fills(orders.bids, got.bought, price) == by_trader(twin).bought
        assert (
            tuple(Fill(ask.trader, units, money) for ask, units, money in sold if units)
            == by_trader(twin).sold
        )


def array(*values: int) -> Integers:
    return np.array(values, dtype=np.int64)


def test_books_that_do_not_fit_are_refused() -> None:
    one = array(1)
    with pytest.raises(InvalidBookError, match="one length"):
        LargeBook(one, array(1, 2), one, one)
    with pytest.raises(InvalidBookError, match="negative"):
        LargeBook(array(-1), one, one, one)
    with pytest.raises(InvalidBookError, match="64 bits"):
        LargeBook(array(1, 1), array(2**62, 2**62), one, one)
    dear = LargeBook(array(2**62), one, array(2**61), array(4))
    with pytest.raises(InvalidBookError, match="64 bits"):
        large_posted_price_vcg(dear, 2**62, one)
    wide = LargeBook(array(9, 5), array(2**40, 1), array(1, 2), array(2**40, 1))
    with pytest.raises(InvalidBookError, match="64 bits"):
        large_multi_unit_trade_reduction(wide, array(1, 2), array(1, 2))
