"""The predicates can fail: rules in which lying pays are caught, each by the lie it invites."""

from collections.abc import Callable
from functools import partial
from random import Random

import pytest

from pricing import (
    Book,
    Fill,
    Lies,
    Mechanism,
    Order,
    Outcome,
    Side,
    Values,
    best_deviation,
    climb,
    first_price,
    is_budget_balanced,
    is_envy_free,
    is_feasible,
    is_individually_rational,
    is_monotone,
    is_truthful,
    is_without_deficit,
    joint_lies,
    pay_as_bid,
    price_lies,
    quantity_lies,
    random_lies,
    rank_excluding_sbba,
    shill_lies,
    split_lies,
    uniform_price,
    worst_envy,
)
from tests.pricing.books import book, random_book


@pytest.mark.parametrize(
    ("rule", "quantity_max"),
    [
        (first_price, 1),
        (partial(first_price, units=3), 2),
        (pay_as_bid, 1),
        (pay_as_bid, 3),
        (uniform_price, 1),
        (uniform_price, 3),
        (rank_excluding_sbba, 1),
    ],
)
@pytest.mark.parametrize(
    "lies_up_to",
    [
        lambda quantity: price_lies(range(12)),
        lambda quantity: joint_lies(range(12), range(1, quantity + 1)),
        lambda quantity: random_lies(Random(1).randint, 30, 12, quantity),
    ],
    ids=["price", "joint", "random"],
)
def test_a_control_is_caught(
    rule: Mechanism, quantity_max: int, lies_up_to: Callable[[int], Lies]
) -> None:
    rng = Random(41)
    drawn = [random_book(rng, quantity_max=quantity_max) for _ in range(20)]

    assert any(not is_truthful([rule], orders, lies_up_to(quantity_max)) for orders in drawn)


def test_first_price_is_caught_with_the_best_lie_there_is() -> None:
    found = best_deviation([first_price], book([9, 4]), price_lies(range(12)))

    assert found is not None
    assert found.truth == Order(b"b000000", 9)
    assert found.reports == Book((Order(b"b000000", 4),))  # the tie is settled by identity
    assert found.gain == 5


def test_holding_back_demand_is_caught() -> None:
    orders = book([(9, 2)], [(1, 1), (7, 1)])
    found = best_deviation([uniform_price], orders, quantity_lies([1, 2]))

    # Two units at 8 are worth 2; one unit at 4, the midpoint of 1 and 7, is worth 5.
    assert found is not None
    assert (found.side, found.gain) == (Side.BUY, 3)


def test_a_shill_bid_is_caught() -> None:
    """A price set by the second bid is out of the seller's hands until it bids itself."""

    def second_price(orders: Book) -> Outcome:
        first, second = sorted(orders.bids, key=lambda bid: (-bid.price, bid.trader))[:2]
        if second.price < orders.asks[0].price:
            return Outcome()
        fill = Fill(first.trader, 1, second.price)
        return Outcome((fill,), (Fill(orders.asks[0].trader, 1, second.price),))

    orders = book([9, 4], [1])
    sellers = Values(buyer=lambda truth, held: 0)
    found = best_deviation([second_price], orders, shill_lies(range(12), [1]), sellers)

    assert is_truthful([second_price], orders, quantity_lies([1]), sellers)
    assert found is not None
    assert found.gain == 5  # the shill bids 9 and loses the tie


def test_splitting_is_caught() -> None:
    """A discount for small orders invites their number."""

    def discount(orders: Book) -> Outcome:
        return Outcome(
            bought=tuple(
                Fill(bid.trader, bid.quantity, 5 * bid.quantity - (bid.quantity == 1))
                for bid in orders.bids
            )
        )

    orders = book([(9, 2)])
    assert is_truthful([discount], orders, price_lies(range(12)))
    found = best_deviation([discount], orders, split_lies([9], [1, 2]))
    assert found is not None
    assert found.gain == 2


def test_predicates_fail_where_they_should() -> None:
    orders = book([9, 4], [1, 6])
    buyer, seller = b"b000000", b"s000000"

    assert not is_feasible(orders, Outcome((Fill(buyer, 1, 5),), ()))
    assert not is_feasible(orders, Outcome((Fill(buyer, 2, 5),), (Fill(seller, 2, 5),)))
    assert not is_feasible(orders, Outcome((Fill(buyer, 1, 5),) * 2, (Fill(seller, 1, 5),) * 2))
    assert not is_feasible(orders, Outcome((Fill(b"x", 1, 5),), (Fill(seller, 1, 5),)))
    assert not is_individually_rational(orders, Outcome((Fill(buyer, 1, 10),), ()))
    assert not is_individually_rational(orders, Outcome((), (Fill(seller, 1, 0),)))
    assert not is_without_deficit(Outcome((Fill(buyer, 1, 4),), (Fill(seller, 1, 5),)))
    assert not is_budget_balanced(Outcome((Fill(buyer, 1, 6),), (Fill(seller, 1, 5),)))
    assert not is_envy_free(orders, Outcome((Fill(b"b000001", 1, 4),), (Fill(seller, 1, 4),)))
    assert is_envy_free(orders, Outcome((Fill(buyer, 1, 4),), (Fill(seller, 1, 4),)))


def test_envy_is_measured_by_what_another_s_fill_is_worth() -> None:
    orders = book([9, 4], [1, 6])
    outcome = Outcome((Fill(b"b000001", 1, 4),), (Fill(b"s000000", 1, 4),))

    assert worst_envy(orders, outcome) == 5  # 9 less the 4 that the lower bid pays
    assert worst_envy(orders, Outcome()) == 0


def test_several_identities_on_either_side_are_searched() -> None:
    """Only three bids at once, and a shill, find the hole in a rule that rewards just that."""

    def hole(orders: Book) -> Outcome:
        many = len(orders.bids) >= 3 and orders.asks
        return Outcome(bought=tuple(Fill(bid.trader, 1, 0) for bid in orders.bids) if many else ())

    orders = book([(9, 3)])
    two = random_lies(Random(1).randint, 300, 12, 1)
    four = random_lies(Random(1).randint, 300, 12, 1, identities=4)
    assert is_truthful([hole], orders, two)
    found = best_deviation([hole], orders, four)
    assert found is not None
    assert (len(found.reports.bids), len(found.reports.asks), found.gain) == (3, 1, 27)


def test_climbing_ends_where_no_step_pays_more() -> None:
    orders = book([9, 4])
    start = best_deviation([first_price], orders, price_lies([8]))
    assert start is not None
    assert start.gain == 1
    best = climb([first_price], orders, start, 20, 1)
    assert (best.gain, best.reports.bids[0].price) == (5, 4)
    assert climb([first_price], orders, best, 20, 1) == best
    assert start.gain < climb([first_price], orders, start, 1, 1).gain <= best.gain


def test_a_rule_that_prefers_low_bids_is_not_monotone() -> None:
    def lowest(orders: Book) -> Outcome:
        bid = min(orders.bids, key=lambda order: (order.price, order.trader))
        return Outcome(bought=(Fill(bid.trader, 1, 0),))

    assert not is_monotone(lowest, book([3, 5]), range(8))
    assert is_monotone(first_price, book([3, 5]), range(8))
