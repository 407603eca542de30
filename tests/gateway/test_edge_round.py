"""The auction of a round and the books around it, without a socket."""

import asyncio
from fractions import Fraction
from random import Random

import pytest

from edge import TailUse
from gateway.edge.overhead import KEPT, KEPT_S, RelayOverhead, RelayOverheads
from gateway.edge.plans import PLANS_MAX, PlanBook
from gateway.edge.quoting import Quote
from gateway.edge.rounds import WAITING_MAX, Auctioneer, Wish, Won, clear
from gateway.errors import KeyBusyError, NoSupplierError, OutbidError, PlanNotFoundError
from pricing import WORD, Book, EdgeOffer, EdgePlan, Ladder, Order, aeria_posted
from tests.factories import APPLICATION, an_address

BASE = Fraction(6, 5)
PLACE = (APPLICATION, "tail")


def a_quote(rate: int = 10) -> Quote:
    return Quote(EdgePlan(0, 0, rate, 1, 1, 1), TailUse(64, 3), 164, 1, 9)


def round_of(rng: Random, users: int) -> dict[bytes, Wish]:
    return {rng.randbytes(16): Wish(rng.randint(1, 40), rng.randint(0, 500)) for _ in range(users)}


def test_no_round_sells_more_than_there_is_or_charges_more_than_was_bid() -> None:
    rng = Random(1)
    for _ in range(300):
        wishes = round_of(rng, rng.randint(0, 12))
        capacity = rng.randint(0, 120)
        won = clear(wishes, capacity, 30, Ladder(BASE, rng.randrange(WORD)))
        assert sum(wishes[each].rate for each in won) <= capacity
        assert all(wishes[each].rate <= 30 for each in won)
        assert all(0 <= paid <= wishes[each].value for each, paid in won.items())


def test_no_lie_about_value_or_need_gains_anything_in_a_round() -> None:
    """A user that asks for less than its need cannot use it; one that asks for more pays."""
    rng = Random(2)
    for _ in range(150):
        wishes = round_of(rng, rng.randint(1, 8))
        ladder = Ladder(BASE, rng.randrange(WORD))
        liar, truth = next(iter(wishes.items()))
        honest = gain(wishes, liar, truth, ladder)
        assert honest >= 0
        for _ in range(12):
            rate = truth.rate + rng.choice((-1, 0, 0, 1, 5))
            lie = Wish(max(1, rate), rng.randint(0, 600))
            assert gain(wishes, liar, lie, ladder) <= honest


def gain(wishes: dict[bytes, Wish], liar: bytes, said: Wish, ladder: Ladder) -> int:
    """What is left to a user that says something, by its own wish."""
    paid = clear(wishes | {liar: said}, 90, 30, ladder).get(liar)
    truth = wishes[liar]
    if paid is None:
        return 0
    return (truth.value if said.rate >= truth.rate else 0) - paid


def test_the_arrays_of_a_round_give_what_the_exact_auction_gives() -> None:
    rng = Random(3)
    for _ in range(200):
        wishes = round_of(rng, rng.randint(0, 10))
        ladder = Ladder(BASE, rng.randrange(WORD))
        book = Book(bids=tuple(Order(t, each.value, each.rate) for t, each in wishes.items()))
        exact = aeria_posted(book, EdgeOffer(90, 0, 30), ladder)
        assert clear(wishes, 90, 30, ladder) == {each.trader: each.money for each in exact.bought}


def test_no_bid_however_high_breaks_a_round() -> None:
    wishes = {bytes([i]): Wish(10**12, 10**15) for i in range(100)}
    won = clear(wishes, 10**14, 10**12, Ladder(BASE, 7))
    assert all(0 <= paid <= 10**15 for paid in won.values())
    wishes = {i.to_bytes(2, "big"): Wish(1, 10**15) for i in range(WAITING_MAX)}
    assert len(clear(wishes, 10**6, 1, Ladder(BASE, 7))) == WAITING_MAX


def test_a_lone_user_is_served_at_cost() -> None:
    assert clear({b"a": Wish(10, 0)}, 10, 10, Ladder(BASE, 7)) == {b"a": 0}
    assert clear({b"a": Wish(11, 99)}, 10, 10, Ladder(BASE, 7)) == {}
    assert clear({}, 10, 10, Ladder(BASE, 7)) == {}


@pytest.mark.anyio
async def test_those_who_ask_within_a_window_are_cleared_together_and_apart_from_others() -> None:
    auctioneer = Auctioneer(0.2, 20)
    measured: list[int] = []

    def measure() -> tuple[int, int]:
        measured.append(1)
        return 10, 10

    async def ask(place: str, value: int) -> Won | OutbidError:
        try:
            return await auctioneer.bid(place, Wish(10, value), measure)
        except OutbidError as error:
            return error

    low, high, other = await asyncio.gather(ask("a", 5), ask("a", 9), ask("b", 1))
    assert isinstance(low, OutbidError)
    assert isinstance(high, Won)
    assert 5 <= high.premium <= 9
    assert high.waiting == 2
    assert other == Won(0, 1)
    assert len(measured) == 2
    assert await ask("a", 0) == Won(0, 1)  # a new round


@pytest.mark.anyio
async def test_whoever_leaves_does_not_hold_up_the_round() -> None:
    auctioneer = Auctioneer(0.1, 20)
    leaver = asyncio.create_task(auctioneer.bid("a", Wish(1, 1), lambda: (10, 10)))
    stayer = asyncio.create_task(auctioneer.bid("a", Wish(1, 1), lambda: (10, 10)))
    await asyncio.sleep(0)
    leaver.cancel()
    assert (await stayer).waiting == 2


@pytest.mark.anyio
async def test_a_round_takes_no_more_than_it_clears_in_time() -> None:
    auctioneer = Auctioneer(0.5, 20)
    waiting = [
        asyncio.create_task(auctioneer.bid("a", Wish(1, 1), lambda: (0, 1)))
        for _ in range(WAITING_MAX)
    ]
    await asyncio.sleep(0)
    with pytest.raises(NoSupplierError):
        await auctioneer.bid("a", Wish(1, 1), lambda: (0, 1))
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(each) for each in found} == {OutbidError}


def test_a_plan_holds_its_rate_until_it_is_over() -> None:
    now = [0.0]
    book = PlanBook(lambda: now[0], 10.0)
    first = book.grant("a", PLACE, a_quote(7), 3)
    now[0] = 5.0
    second = book.grant("b", PLACE, a_quote(5), 0)
    assert book.taken(PLACE) == 12
    assert book.taken((APPLICATION, "other")) == 0
    assert book.find(first.id, "a") is first
    first.is_used = True
    with pytest.raises(PlanNotFoundError):
        book.find(first.id, "a")
    now[0] = 10.0
    assert book.taken(PLACE) == 12  # it is being served
    first.is_used = False
    assert book.taken(PLACE) == 5
    book.end(second)
    assert book.taken(PLACE) == 0


def test_plans_are_bounded_by_key_and_over_all() -> None:
    book = PlanBook(lambda: 0.0, 10.0)
    book.grant("a", PLACE, a_quote(), 0)
    book.require_room("a", 2)
    with pytest.raises(KeyBusyError):
        book.require_room("a", 1)
    for _ in range(PLANS_MAX):
        book.grant("b", PLACE, a_quote(), 0)
    with pytest.raises(NoSupplierError):
        book.require_room("c", 1)


def test_a_slow_tail_is_that_of_its_place_and_one_alone_is_no_measure() -> None:
    overheads = RelayOverheads(1_000, lambda: 0.0)
    slow, other = (an_address("a"), "m"), (an_address("b"), "m")
    overheads.of(slow).measure(10**6, 0)
    assert overheads.of(slow).planned_us == 1_000
    overheads.of(slow).measure(10**6, 0)
    assert (overheads.of(slow).planned_us, overheads.of(other).planned_us) == (10**6, 1_000)


def test_the_relays_own_time_is_a_high_quantile_and_no_less_than_was_set() -> None:
    now = [0.0]
    overhead = RelayOverhead(1_000, lambda: now[0])
    assert overhead.planned_us == 1_000
    overhead.measure(200, 500)
    assert overhead.planned_us == 1_000
    for took in range(1, KEPT + 1):
        overhead.measure(took * 1_000, 0)
    assert overhead.planned_us == 60_000  # of 1 to 64 ms, 95 % take no longer
    overhead.measure(10**9, 0)
    assert overhead.planned_us == 61_000  # one outlier does not move it far
    now[0] = KEPT_S
    assert overhead.planned_us == 61_000
    now[0] += 0.1
    assert overhead.planned_us == 1_000
