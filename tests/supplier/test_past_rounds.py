"""An ask tried on past rounds sells what the auction would have given it, and the truth is best."""

from random import Random

from contracts import PastRound
from pricing import Book, Order, clear_epoch
from supplier.operation.past_rounds import (
    AskOutcome,
    AskTerms,
    own_ask,
    try_ask,
    try_ask_in_each,
)

ME, RIVAL, DEAR = (bytes([each]) * 20 for each in (1, 2, 3))
BUYER = b"\x0b" * 20
FREE = AskTerms(0, 0)


def a_round(*asks: Order, demand: int = 7, epoch: int = 4) -> PastRound:
    return PastRound(epoch, 1_000, 100, True, None, Book((Order(BUYER, 1_200, demand),), asks))


def test_an_ask_is_paid_what_the_others_would_have_cost() -> None:
    past = a_round(Order(ME, 600, 4), Order(RIVAL, 400, 4), Order(DEAR, 700, 4))
    assert own_ask(past, ME) == Order(ME, 600, 4)
    assert own_ask(past, BUYER) is None
    # Three units, each of which the dear one would have sold at 700, whatever is asked below that.
    for price in (401, 600, 699):
        found = try_ask(past, Order(ME, price, 4), FREE)
        assert found == AskOutcome(4, 1_000, 3, 700, 2_100, 2_100)
    assert try_ask(past, Order(ME, 701, 4), FREE).units == 0
    assert try_ask(past, Order(ME, 991, 4), FREE) == AskOutcome(4, 1_000, 0, 0, 0, 0)


def test_shares_and_cost_come_off() -> None:
    past = a_round(Order(RIVAL, 400, 4), demand=2)
    found = try_ask(past, Order(ME, 100, 2), AskTerms(cost=90, shares_bps=600))
    assert (found.gross, found.net) == (800, 800 * 94 // 100 - 180)


def test_it_is_what_the_round_cleared_to_and_no_other_ask_would_have_earned_more() -> None:
    rng = Random(3)
    for _ in range(60):
        asks = tuple(
            Order(bytes([each]) * 20, rng.randint(1, 1_000), rng.randint(1, 9))
            for each in (1, 2, 3)
        )
        past = a_round(*asks, demand=rng.randint(1, 20))
        truth = asks[0]
        terms = AskTerms(truth.price, 0)
        honest = try_ask(past, truth, terms)
        roster = clear_epoch(past.book, 1_000, 100, b"\x05" * 32).roster
        mine = [(each.units, each.unit_price) for each in roster if each.supplier == truth.trader]
        assert mine == ([(honest.units, honest.unit_price)] if honest.units else [])
        for price in (1, truth.price // 2 + 1, truth.price + 7, 990):
            lied = try_ask(past, Order(truth.trader, price, truth.quantity), terms)
            assert lied.net <= honest.net + truth.quantity  # to the rounding of a unit's price


def test_each_round_is_tried_by_itself() -> None:
    rounds = [a_round(epoch=each) for each in (2, 3)]
    assert [each.epoch for each in try_ask_in_each(rounds, Order(ME, 5, 1), FREE)] == [2, 3]
