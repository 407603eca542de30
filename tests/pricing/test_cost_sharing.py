"""Cost sharing: against its definition, and as a rule in which neither one nor a group gains."""

from fractions import Fraction
from itertools import combinations, product
from random import Random

from pricing import (
    Book,
    Fill,
    Order,
    Outcome,
    best_revenue,
    best_revenue_of_two,
    charge,
    position,
    share_cost,
    whole_buyer_utility,
)
from tests.pricing.books import book


def drop_until_stable(orders: list[Order], target: int) -> Fraction | None:
    """The definition: drop everyone whose proportional share exceeds the value, again and again."""
    staying = orders
    while staying:
        share = Fraction(target, sum(order.quantity for order in staying))
        content = [order for order in staying if order.price >= share * order.quantity]
        if content == staying:
            return share
        staying = content
    return None


def wishes(rng: Random, most: int = 6) -> list[Order]:
    lots = [(rng.randint(0, 12), rng.randint(1, 4)) for _ in range(rng.randint(0, most))]
    return list(book(lots).bids)


def test_the_share_is_the_fixed_point_of_dropping() -> None:
    rng = Random(2)
    for _ in range(5000):
        orders, target = wishes(rng), rng.randint(1, 30)
        assert share_cost(orders, target) == drop_until_stable(orders, target)


def test_exactly_the_best_revenue_can_be_raised() -> None:
    rng = Random(3)
    for _ in range(3000):
        orders = wishes(rng)
        best = best_revenue(orders)
        assert share_cost(orders, best) is not None
        assert share_cost(orders, best + 1) is None


def test_the_best_revenue_is_that_of_the_best_price() -> None:
    rng = Random(4)
    for _ in range(3000):
        orders = wishes(rng)
        prices = [Fraction(order.price, order.quantity) for order in orders]
        raised = [
            price * sum(o.quantity for o in orders if o.price >= price * o.quantity)
            for price in prices
        ]
        assert best_revenue(orders) == int(max(raised, default=0))


def test_two_buyers_count_at_least() -> None:
    assert best_revenue_of_two(book([9]).bids) == 0
    assert best_revenue_of_two(book([9, 1]).bids) == 2
    assert best_revenue_of_two(book([9, 4, 3]).bids) == 9


def test_nothing_to_raise_is_free_and_nobody_raises_something() -> None:
    assert share_cost([], 0) == 0
    assert share_cost([], 1) is None
    assert share_cost(book([0, 0]).bids, 0) == 0


def test_a_charge_is_rounded_up() -> None:
    assert [charge(Fraction(7, 3), units) for units in (1, 2, 3)] == [3, 5, 7]


def test_a_wish_more_lowers_the_price() -> None:
    rng = Random(5)
    for _ in range(3000):
        orders, target = wishes(rng), rng.randint(1, 30)
        share = share_cost(orders, target)
        more = share_cost([*orders, Order(b"z", rng.randint(0, 12), rng.randint(1, 4))], target)
        if share is not None:
            assert more is not None
            assert more <= share


def share(target: int, orders: Book) -> Outcome:
    price = share_cost(orders.bids, target)
    if price is None:
        return Outcome()
    return Outcome(
        tuple(
            Fill(bid.trader, bid.quantity, charge(price, bid.quantity))
            for bid in orders.bids
            if bid.price >= price * bid.quantity
        )
    )


def test_no_pair_gains_together_unless_one_of_it_loses() -> None:
    rng = Random(6)
    for _ in range(60):
        lots = [(rng.randint(0, 6), rng.randint(1, 2)) for _ in range(3)]
        target = rng.randint(1, 9)
        truth = book(lots).bids
        honest = utilities(truth, share(target, Book(truth)))
        for pair in combinations(range(3), 2):
            for prices in product(range(8), repeat=2):
                lies = dict(zip(pair, prices, strict=True))
                bent = [(lies.get(i, price), units) for i, (price, units) in enumerate(lots)]
                after = utilities(truth, share(target, book(bent)))
                gains = [after[i] - honest[i] for i in pair]
                assert min(gains) < 0 or max(gains) <= 0


def utilities(truth: tuple[Order, ...], outcome: Outcome) -> list[int]:
    return [whole_buyer_utility(bid, position(outcome, [bid.trader])) for bid in truth]
