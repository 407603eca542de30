"""Call markets of unit lots: what each decides by hand, and what its theorem says of thousands."""

from collections.abc import Callable
from random import Random

import pytest

from pricing import (
    Book,
    Fill,
    InvalidBookError,
    Mechanism,
    Order,
    Outcome,
    Side,
    best_deviation,
    gains_from_trade,
    is_budget_balanced,
    is_feasible,
    is_individually_rational,
    is_monotone,
    is_truthful,
    is_without_deficit,
    mcafee,
    price_lies,
    sbba,
    split_lies,
    trade_reduction,
    uniform_price,
    vcg_double_auction,
)
from tests.pricing.books import book, every_unit_book, random_book, seeds

SEED = seeds(1)[0]
TRUTHFUL: dict[str, Mechanism] = {
    "trade_reduction": trade_reduction,
    "mcafee": mcafee,
    "sbba": lambda orders: sbba(orders, SEED),
    "vcg": vcg_double_auction,
}
each_truthful = pytest.mark.parametrize("rule", TRUTHFUL.values(), ids=TRUTHFUL)


def trades(outcome: Outcome) -> tuple[int, set[int], set[int]]:
    """Pairs, and the money of the fills of either side."""
    return (
        len(outcome.bought),
        {fill.money for fill in outcome.bought},
        {fill.money for fill in outcome.sold},
    )


@pytest.mark.parametrize(
    ("rule", "bids", "asks", "expected"),
    [
        (trade_reduction, [9, 8, 4], [1, 3, 7], (1, {8}, {3})),
        (mcafee, [9, 8, 4], [1, 3, 7], (2, {5}, {5})),
        (mcafee, [9, 8, 1], [1, 3, 4], (1, {8}, {3})),  # the midpoint 2 is below the ask 3
        (mcafee, [9, 8], [1, 3], (1, {8}, {3})),  # no next pair
        (vcg_double_auction, [9, 8, 4], [1, 3, 7], (2, {4}, {7})),
        (uniform_price, [9, 8, 4], [1, 3, 7], (2, {5}, {5})),
        (mcafee, [3], [5], (0, set(), set())),
        (mcafee, [5], [], (0, set(), set())),
        (vcg_double_auction, [], [5], (0, set(), set())),
    ],
)
def test_by_hand(
    rule: Mechanism, bids: list[int], asks: list[int], expected: tuple[int, set[int], set[int]]
) -> None:
    assert trades(rule(book(bids, asks))) == expected


def test_sbba_by_hand() -> None:
    assert trades(sbba(book([9, 8, 4], [1, 3, 7]), SEED)) == (2, {7}, {7})
    assert trades(sbba(book([9, 8, 4], [1, 3, 9]), SEED)) == (1, {8}, {8})


def test_sbba_leaves_out_each_of_the_cheapest_sellers_sometimes() -> None:
    orders = book([9, 9, 9], [0, 1, 2])
    left_out = {
        ask.trader
        for seed in seeds(40)
        for ask in orders.asks
        if ask.trader not in {fill.trader for fill in sbba(orders, seed).sold}
    }

    assert left_out == {ask.trader for ask in orders.asks}


def test_uniform_price_is_clamped_to_the_interval_that_clears() -> None:
    orders = book([(9, 2), (5, 3)], [(1, 3), (6, 2)])  # three units trade; 5 to 5
    assert uniform_price(orders, 100) == uniform_price(orders, 0) == uniform_price(orders)
    assert uniform_price(orders).bought == (Fill(b"b000000", 2, 10), Fill(b"b000001", 1, 5))
    wide = book([9], [1])
    assert [trades(uniform_price(wide, t))[1] for t in (0, 4, 20)] == [{1}, {4}, {9}]


@each_truthful
def test_truthful_in_every_small_book(rule: Mechanism) -> None:
    lies = price_lies(range(7))
    for orders in every_unit_book(2, range(0, 7, 2)):
        assert is_truthful([rule], orders, lies), orders


@each_truthful
def test_promises_over_random_books(rule: Mechanism) -> None:
    rng = Random(5)
    lies = price_lies(range(0, 44, 2))
    for _ in range(100):
        orders = random_book(rng, most=4, scale=4)
        outcome = rule(orders)
        assert is_feasible(orders, outcome)
        assert is_individually_rational(orders, outcome)
        assert is_truthful([rule], orders, lies), orders
        assert is_monotone(rule, orders, range(0, 44, 3))


@pytest.mark.parametrize("rule", [trade_reduction, mcafee])
def test_never_a_deficit_and_at_most_the_least_trade_is_lost(rule: Mechanism) -> None:
    rng = Random(6)
    for _ in range(2000):
        orders = random_book(rng, most=8)
        outcome = rule(orders)
        best = vcg_double_auction(orders)
        least = min((fill_value(orders, best)), default=0)
        assert is_without_deficit(outcome)
        assert gains_from_trade(orders, best) - gains_from_trade(orders, outcome) <= least


def fill_value(orders: Book, best: Outcome) -> list[int]:
    bids = sorted((bid.price for bid in orders.bids), reverse=True)
    asks = sorted(ask.price for ask in orders.asks)
    return [bid - ask for bid, ask in zip(bids, asks, strict=False)][: len(best.bought)]


def test_sbba_balances_the_budget_and_loses_one_trade_at_most() -> None:
    rng = Random(7)
    for seed in seeds(2000):
        orders = random_book(rng, most=8)
        outcome = sbba(orders, seed)
        assert is_budget_balanced(outcome)
        assert len(vcg_double_auction(orders).bought) - len(outcome.bought) <= 1


def test_the_vcg_double_auction_is_efficient_and_pays_for_it() -> None:
    rng = Random(8)
    surpluses = []
    for _ in range(500):
        orders = random_book(rng, most=4)
        outcome = vcg_double_auction(orders)
        assert gains_from_trade(orders, outcome) == best_gains(orders)
        surpluses.append(outcome.surplus)
    assert max(surpluses) == 0
    assert min(surpluses) < 0


def best_gains(orders: Book) -> int:
    """The most any matching gains, from the sorted pairs that gain something."""
    bids = sorted((bid.price for bid in orders.bids), reverse=True)
    asks = sorted(ask.price for ask in orders.asks)
    return sum(max(bid - ask, 0) for bid, ask in zip(bids, asks, strict=False))


@pytest.mark.parametrize(("rule", "gain"), [(trade_reduction, 2), (mcafee, 6)])
def test_a_second_identity_pays_where_one_pair_is_left_out(rule: Mechanism, gain: int) -> None:
    orders = book([14, 6, 4], [4])
    found = best_deviation([rule], orders, split_lies(range(16), [1]))

    # A lone seller never trades; a second ask is the pair left out, or moves the midpoint.
    assert found is not None
    assert (found.side, found.gain) == (Side.SELL, gain)
    assert is_truthful([vcg_double_auction], orders, split_lies(range(16), [1]))


@pytest.mark.parametrize(
    "rule", [trade_reduction, mcafee, vcg_double_auction, lambda b: sbba(b, SEED)]
)
def test_orders_of_several_lots_are_refused(rule: Callable[[Book], Outcome]) -> None:
    with pytest.raises(InvalidBookError, match="one lot"):
        rule(book([(5, 2)], [1]))


def test_a_book_has_one_order_for_an_identity() -> None:
    with pytest.raises(InvalidBookError, match="two orders"):
        Book((Order(b"a", 1),), (Order(b"a", 2),))
    with pytest.raises(InvalidBookError):
        Order(b"a", -1)
    with pytest.raises(InvalidBookError):
        Order(b"a", 1, 0)
