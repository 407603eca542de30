"""The lies and their bound without a market: rounds as a chain would have them, replayed."""

from dataclasses import replace
from random import Random

import pytest

from contracts import OrderSide
from localnet.lies.absence import Cast, measure_absence, used_share
from localnet.lies.books import PRICE, Staged, Wish, stage_books
from localnet.lies.gains import (
    Liar,
    Round,
    Use,
    bound,
    differences,
    gain_over_seeds,
    gain_within,
    gains_across,
    gains_paid,
)
from localnet.lies.rows import Estimate, make_row
from pricing import (
    Book,
    Order,
    accepted_balance,
    next_posted_price,
    price_reach,
    reserve_at,
)
from relay_mining import Clock, RosterEntry, weigh_by_cost

FEE_BPS = 100
EPOCHS = 6
SELLERS = b"\x01" * 20, b"\x02" * 20
BUYERS = b"\x11" * 20, b"\x12" * 20
CHEAPER, DEARER, ABSENT, TWIN = (bytes([each]) * 20 for each in (3, 4, 5, 13))
CLOCK = Clock(0, 30, 2, 2)


def order(trader: bytes, wish: Wish) -> Order:
    return Order(trader, wish.price, wish.quantity)


def revealed(book: Staged) -> Book:
    asks = [order(CHEAPER, book.rivals[0]), order(DEARER, book.rivals[1])]
    asks += [order(*each) for each in zip(SELLERS, book.supplier.said, strict=False)]
    if book.absent is not None:
        asks.append(order(ABSENT, book.absent))
    bids = [order(TWIN, book.twin)]
    bids += [order(*each) for each in zip(BUYERS, book.buyer.said, strict=False)]
    return Book(tuple(bids), tuple(asks))


def a_round(book: Book, epoch: int, price: int, seed: bytes) -> Round:
    """A round as it is on a chain that does what the rule says, everything being used."""
    bare = Round(epoch, price, FEE_BPS, seed, True, book, (), {})
    outcome = bare.clear()
    roster = weigh_by_cost(
        [RosterEntry(each.supplier, each.unit_price, each.units) for each in outcome.roster]
    )
    uses = [
        Use(fill.application, line.supplier, units, units * line.unit_price // 10**6)
        for fill in outcome.fills
        for line in outcome.roster
        for units in (10**6 * fill.units * line.units // outcome.procured,)
    ]
    charges = {each.application: each.charge for each in outcome.fills}
    return Round(epoch, price, FEE_BPS, seed, True, book, roster, charges, tuple(uses))


def played(book: Staged, seed: int = 1) -> list[Round]:
    """The rounds of a book in which the same is said in every epoch, priced as contracts/Auction
    does: a round's orders are committed while the one before it waits to be cleared."""
    rng, prices, balances = Random(seed), [PRICE, PRICE], []
    rounds = []
    for epoch in range(EPOCHS):
        rounds.append(a_round(revealed(book), epoch, prices[epoch], rng.randbytes(32)))
        balances.append(accepted_balance(revealed(book), prices[epoch], FEE_BPS))
        prices.append(next_posted_price(balances[epoch], prices[-1], FEE_BPS))
    return rounds


def liars(book: Staged) -> tuple[Liar, Liar]:
    return (
        Liar(OrderSide.ASK, book.supplier, SELLERS[: len(book.supplier.said)]),
        Liar(OrderSide.BID, book.buyer, BUYERS[: len(book.buyer.said)]),
    )


BOOKS = {each.name: each for each in stage_books(1)}


@pytest.mark.parametrize("name", BOOKS)
def test_no_lie_gains_within_an_epoch_nor_beyond_its_bound(name: str) -> None:
    rounds = played(BOOKS[name])
    for liar in liars(BOOKS[name]):
        row = make_row(liar, rounds, [1.0] * EPOCHS, 10**6)
        assert row.is_as_promised, row
        assert row.expected.mean <= row.rounding or not row.is_bounded


def test_every_lie_but_the_split_in_a_queue_changes_what_its_liar_gets() -> None:
    """A family that nothing depends on would show nothing."""
    for book in BOOKS.values():
        for liar in liars(book):
            gains = [gain_within(liar, each) for each in played(book)]
            if liar.played.lie == "the truth":
                assert gains == [0] * EPOCHS
            elif liar.played.is_bounded:
                assert max(gains) < -100_000, liar.played.lie


def test_a_second_place_in_a_queue_pays_and_is_noticed() -> None:
    _, buyer = liars(BOOKS["withholding"])
    (seen, *_) = played(BOOKS["withholding"])
    assert gain_over_seeds(buyer, seen, 2_000) > 0


@pytest.mark.parametrize("seed", range(20))
def test_nobody_s_price_is_within_reach_of_the_posted_one(seed: int) -> None:
    low, high = price_reach(PRICE, FEE_BPS, 20)[-1]
    for book in stage_books(seed):
        wishes = [*book.rivals, *book.supplier.said, book.supplier.truth]
        wishes += [book.twin, *book.buyer.said, book.buyer.truth]
        for wish in wishes:
            assert not reserve_at(low, FEE_BPS) <= wish.price <= high, (book.name, wish)


def test_the_bound_is_rounding_until_a_price_can_move() -> None:
    truth = Wish(1, 4)
    assert bound(truth, PRICE, FEE_BPS, 2) == 8
    low, high = price_reach(PRICE, FEE_BPS, 3)[-1]
    assert bound(truth, PRICE, FEE_BPS, 3) == 12 + 4 * (high - low)


@pytest.mark.parametrize("name", BOOKS)
def test_rounds_are_held_against_the_rule(name: str) -> None:
    rounds = played(BOOKS[name])
    assert not differences(rounds)
    assert all(each.is_paid_as_cleared for each in rounds)
    (seen, *_) = rounds
    silent = BOOKS[name].buyer.lie == "bids less"
    in_book = len(seen.book.bids) - silent, len(seen.book.asks)
    assert BOOKS[name].orders_at(seen.price) == in_book
    dearer = [RosterEntry(each.supplier, each.unit_price + 1, each.weight) for each in seen.roster]
    false = Round(
        seen.epoch, seen.price, FEE_BPS, seen.seed, True, seen.book, tuple(dearer), seen.charges,
        seen.uses,
    )  # fmt: skip
    assert differences([false]) == [f"epoch {seen.epoch}: another roster"]
    dearer_round = replace(rounds[2], price=rounds[2].price + 1)
    assert any("a price of" in each for each in differences([*rounds[:2], dearer_round]))
    assert not false.is_paid_as_cleared


@pytest.mark.parametrize("name", BOOKS)
def test_where_all_is_used_what_is_paid_is_what_was_cleared(name: str) -> None:
    rounds = played(BOOKS[name])
    for liar in liars(BOOKS[name]):
        cleared = gains_across(liar, rounds)
        paid = gains_paid(liar, rounds, [1.0] * EPOCHS)
        wanted = liar.played.truth.quantity
        units = sum(each.quantity for each in liar.played.said)
        if units <= wanted:  # who uses what it does not need pays for it, too
            assert paid == pytest.approx(cleared, abs=40)


def test_an_absent_seller_costs_its_buyers_the_charge_and_its_rivals_their_sales() -> None:
    book = BOOKS["absence"]
    rounds = played(book)
    costs = {SELLERS[0]: book.supplier.truth.price, CHEAPER: book.rivals[0].price}
    assert book.absent is not None
    cast = Cast(
        ABSENT, book.absent, costs | {DEARER: book.rivals[1].price},
        {BUYERS[0]: book.buyer.truth.price, TWIN: book.twin.price},
    )  # fmt: skip
    found = measure_absence(rounds, cast, CLOCK, 20)
    assert (found.sold, found.procured) == (4, 10)
    assert found.charged >= 4 * PRICE * FEE_BPS / 10_000 * 0.98
    assert found.buyers_lost > found.charged
    assert found.rivals_lost > 0
    assert found.bound_stake == pytest.approx(4 * PRICE * 0.99 * 3 / 40, rel=0.02)
    (seen, *_) = rounds
    assert used_share(seen, TWIN, [each.supplier for each in seen.roster]) == pytest.approx(1.0)
    assert used_share(seen, b"nobody", [CHEAPER]) is None


def test_an_interval_is_student_s() -> None:
    found = Estimate.of([1.0, 2.0, 3.0])
    assert (found.mean, found.error) == (2.0, pytest.approx(4.303 / 3**0.5, rel=1e-3))
