"""AERIA: which promise each variant keeps, found by search, and which it is known to break."""

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from math import log
from random import Random

import numpy as np
import pytest

from pricing import (
    WORD,
    Book,
    EdgeOffer,
    InvalidBookError,
    Ladder,
    Mechanism,
    Order,
    Outcome,
    Values,
    admit,
    aeria_envy_free,
    aeria_posted,
    aeria_truthful,
    best_deviation,
    best_revenue,
    edge_sampled_price,
    half_capacity_vickrey,
    is_envy_free,
    is_feasible,
    is_individually_rational,
    is_monotone,
    is_truthful,
    joint_lies,
    large_aeria_envy_free,
    large_aeria_posted,
    large_aeria_truthful,
    price_lies,
    quantity_lies,
    split_lies,
    whole_buyer_utility,
)
from tests.pricing.books import book
from tests.pricing.worked import WORKED

Variant = Callable[[Book, EdgeOffer, Ladder], Outcome]
ALL: list[Variant] = [aeria_envy_free, aeria_truthful, aeria_posted]
LARGE = [large_aeria_envy_free, large_aeria_truthful, large_aeria_posted]
WHOLE = Values(buyer=whole_buyer_utility)
SCALE = 60
"""Values in tests are multiples of this, so that rounding up hides no gain."""
PLENTY = EdgeOffer(capacity=10**9, unit_cost=0, demand_max=10**9)


def draw_case(rng: Random, users: int = 4) -> tuple[Book, EdgeOffer, Ladder]:
    lots = [(SCALE * rng.randint(0, 7), rng.randint(1, 3)) for _ in range(rng.randint(1, users))]
    capacity = rng.choice((3, 4, 6, 100))
    demand_max = min(capacity, rng.choice((2, 100)))
    ladder = Ladder(rng.choice((Fraction(2), Fraction(3, 2), Fraction(5))), rng.randrange(WORD))
    return book(lots), EdgeOffer(capacity, SCALE * rng.choice((0, 0, 1)), demand_max), ladder


VALUE_LIES = price_lies(SCALE * half // 2 for half in range(18))
JOINT_LIES = joint_lies([SCALE * value for value in range(0, 18, 2)], range(1, 6))


@pytest.mark.parametrize("variant", [aeria_truthful, aeria_posted])
def test_no_lie_about_a_value_pays(variant: Variant) -> None:
    rng = Random(1)
    for _ in range(250):
        users, offer, ladder = draw_case(rng)
        rule = partial(variant, offer=offer, ladder=ladder)
        assert is_truthful([rule], users, VALUE_LIES, WHOLE), (users, offer, ladder)


def test_no_lie_about_value_and_demand_pays_under_posted_prices() -> None:
    rng = Random(2)
    for _ in range(150):
        users, offer, ladder = draw_case(rng)
        rule = partial(aeria_posted, offer=offer, ladder=ladder)
        assert is_truthful([rule], users, JOINT_LIES, WHOLE), (users, offer, ladder)


def test_asking_for_more_than_needed_is_caught_under_proportional_shares() -> None:
    case = WORKED["must_be_caught"]["aeria_T_overdemand"]
    scale = 2**20  # a whole number of steps up the ladder
    users = book((int(v) * scale, int(d)) for v, d in zip(case["v"], case["d"], strict=True))
    ladder = Ladder(Fraction(case["c"]), int(case["u"] * WORD))
    lies = quantity_lies([int(case["d_mis"])])
    found = best_deviation(
        [partial(aeria_truthful, offer=PLENTY, ladder=ladder)], users, lies, WHOLE
    )

    assert found is not None
    assert found.truth.trader == users.bids[case["who"]].trader
    assert is_truthful([partial(aeria_posted, offer=PLENTY, ladder=ladder)], users, lies, WHOLE)


@pytest.mark.parametrize("variant", ALL)
def test_rational_feasible_above_cost_and_monotone(variant: Variant) -> None:
    rng = Random(3)
    for _ in range(400):
        users, offer, ladder = draw_case(rng, users=6)
        outcome = variant(users, offer, ladder)
        sold = sum(fill.units for fill in outcome.bought)
        assert is_individually_rational(users, outcome, WHOLE)
        assert is_feasible(users, outcome)
        assert sold <= offer.capacity
        assert outcome.paid >= offer.unit_cost * sold
        assert all(fill.units <= offer.demand_max for fill in outcome.bought)
    for _ in range(60):
        users, offer, ladder = draw_case(rng)
        rule = partial(variant, offer=offer, ladder=ladder)
        assert is_monotone(rule, users, [SCALE * value for value in range(9)])


def unit_price_envy(users: Book, outcome: Outcome) -> bool:
    """Whether somebody would rather buy its own plan at a unit price that another pays.

    A charge is rounded up, so one unit of money for each fill is not envy.
    """
    own = {fill.trader: fill.money for fill in outcome.bought}
    return any(
        min(own.get(user.trader, user.price), user.price)
        > Fraction(fill.money * user.quantity, fill.units) + 1
        for user in users.bids
        for fill in outcome.bought
    )


def test_one_price_leaves_no_envy_and_the_others_may() -> None:
    rng = Random(4)
    envied = dict.fromkeys((variant.__name__ for variant in ALL), 0)
    for _ in range(1500):
        users, offer, ladder = draw_case(rng, users=6)
        limited = EdgeOffer(offer.capacity, offer.unit_cost, offer.capacity)
        for variant in ALL:
            outcome = variant(users, limited, ladder)
            envied[variant.__name__] += unit_price_envy(users, outcome)
            if variant is aeria_envy_free:
                assert is_envy_free(users, outcome, WHOLE)
    assert envied.pop("aeria_envy_free") == 0
    assert all(envied.values())


def agreeing(users: Book, ladder: Ladder) -> list[Order]:
    """The users without whom the estimate is the same."""
    estimate = ladder.round_down(best_revenue(users.bids))
    return [
        user
        for user in users.bids
        if ladder.round_down(best_revenue(bid for bid in users.bids if bid != user)) == estimate
    ]


def test_the_envy_free_variant_is_truthful_for_whoever_does_not_move_the_estimate() -> None:
    rng = Random(5)
    gained = checked = 0
    for _ in range(200):
        users, _, ladder = draw_case(rng, users=5)
        rule = partial(aeria_envy_free, offer=PLENTY, ladder=ladder)
        found = best_deviation([rule], users, VALUE_LIES, WHOLE)
        gained += found is not None
        steady = agreeing(users, ladder)
        checked += bool(steady)
        assert found is None or found.truth not in steady
    assert gained > 0
    assert checked > 25


def test_where_the_estimate_agrees_for_all_two_variants_are_one() -> None:
    rng = Random(6)
    agreed = 0
    for _ in range(1500):
        users, _, ladder = draw_case(rng, users=6)
        if len(agreeing(users, ladder)) == len(users.bids):
            agreed += 1
            assert aeria_truthful(users, PLENTY, ladder) == aeria_envy_free(users, PLENTY, ladder)
    assert agreed > 50


def test_the_estimate_agrees_as_often_as_promised() -> None:
    rng = Random(7)
    for base in (2, 5):
        users = book([(10**6 * rng.randint(1, 9), rng.randint(1, 3)) for _ in range(30)])
        whole = best_revenue(users.bids)
        least = min(best_revenue(o for o in users.bids if o != out) for out in users.bids)
        offsets = [WORD * (2 * cell + 1) // 600 for cell in range(300)]
        ladders = [Ladder(Fraction(base), offset) for offset in offsets]
        agreed = sum(ladder.round_down(whole) == ladder.round_down(least) for ladder in ladders)
        assert agreed / 300 >= 1 - log(whole / least, base) - 1 / 150
        assert agreed / 300 > 0.5


def test_a_second_name_can_pay_in_every_variant() -> None:
    """The promises are about one identity each; the adversary finds what two earn."""
    rng = Random(8)
    lies = split_lies([SCALE * value for value in range(8)], [1, 2])
    caught = set()
    for _ in range(40):
        users, _, ladder = draw_case(rng, users=3)
        for variant in ALL:
            if variant not in caught and best_deviation(
                [partial(variant, offer=PLENTY, ladder=ladder)], users, lies, WHOLE
            ):
                caught.add(variant)
    assert caught == set(ALL)


def test_admission_is_by_density_up_to_the_first_that_does_not_fit() -> None:
    users = book([(12, 4), (10, 2), (2, 1), (9, 3)])
    tight = admit(users.bids, EdgeOffer(capacity=6, unit_cost=0, demand_max=5))
    assert [order.price for order in tight.orders] == [10, 12]
    assert tight.floor == 3
    assert admit(users.bids, EdgeOffer(10, 0, 5)).floor == 0
    assert [o.price for o in admit(users.bids, EdgeOffer(10, 0, 3)).orders] == [10, 9, 2]


def test_scarce_capacity_is_sold_at_the_density_that_did_not_fit() -> None:
    users = book([(12, 4), (10, 2), (9, 3)])
    offer = EdgeOffer(capacity=6, unit_cost=0, demand_max=6)
    for variant in ALL:
        outcome = variant(users, offer, Ladder(Fraction(2), 0))
        assert outcome.paid >= 3 * sum(fill.units for fill in outcome.bought)


def test_a_user_alone_pays_the_cost_under_prices_from_the_others() -> None:
    offer = EdgeOffer(capacity=9, unit_cost=2, demand_max=9)
    for variant in (aeria_truthful, aeria_posted):
        outcome = variant(book([(50, 3)]), offer, Ladder(Fraction(2), 0))
        assert [fill.money for fill in outcome.bought] == [6]
        assert variant(book([(5, 3)]), offer, Ladder(Fraction(2), 0)).bought == ()


@pytest.mark.parametrize(
    "offer", [(1, 0, 0), (1, 0, 2), (0, 0, 0), (5, -1, 5)], ids=lambda each: str(each)
)
def test_an_offer_must_make_sense(offer: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="demand limit"):
        EdgeOffer(*offer)


def test_the_large_variants_are_the_exact_ones() -> None:
    rng = Random(9)
    for _ in range(1200):
        high = rng.choice((3, 10, 10**6))
        lots = [(rng.randint(0, high), rng.randint(1, 5)) for _ in range(rng.randint(0, 8))]
        capacity = rng.randint(1, rng.choice((8, 40)))
        offer = EdgeOffer(capacity, rng.choice((0, 1, 2)), rng.randint(1, capacity))
        base = rng.choice((Fraction(2), Fraction(11, 10), Fraction(5)))
        ladder = Ladder(base, rng.choice((0, WORD - 1, rng.randrange(WORD))))
        users = book(lots)
        columns = np.array(lots, np.int64).reshape(-1, 2).T
        for exact, large in zip(ALL, LARGE, strict=True):
            money = {fill.trader: fill.money for fill in exact(users, offer, ladder).bought}
            expected = [money.get(user.trader, -1) for user in users.bids]
            assert large(columns[0], columns[1], offer, ladder).tolist() == expected


@pytest.mark.parametrize("large", LARGE)
@pytest.mark.parametrize(
    ("value", "demand", "unit_cost"), [(2**40, 2**12, 0), (2**60, 16, 0), (1, 2, 2**61)]
)
def test_wishes_beyond_64_bits_are_refused(
    large: Callable[..., object], value: int, demand: int, unit_cost: int
) -> None:
    offer = EdgeOffer(10**9, unit_cost, 10**9)
    with pytest.raises(InvalidBookError):
        large(np.array([value]), np.array([demand]), offer, Ladder(Fraction(2), 0))


def test_values_just_within_64_bits_are_sold_exactly() -> None:
    """Densities that differ by the least that 52 bits can tell keep their order."""
    lots = [(2**38 - 1, 2**13 - 1), (2**38 - 34, 2**13 - 2), (2**38 - 2, 2**13 - 1)]
    users, ladder = book(lots), Ladder(Fraction(3, 2), WORD // 3)
    offer = EdgeOffer(2**14, 0, 2**13)
    columns = np.array(lots, np.int64).T
    for exact, large in zip(ALL, LARGE, strict=True):
        money = {fill.trader: fill.money for fill in exact(users, offer, ladder).bought}
        expected = [money.get(user.trader, -1) for user in users.bids]
        assert large(columns[0], columns[1], offer, ladder).tolist() == expected


def test_the_benchmarks_are_truthful_in_value() -> None:
    rng = Random(10)
    for number in range(150):
        users, offer, _ = draw_case(rng)
        rules: list[Mechanism] = [
            partial(edge_sampled_price, offer=offer, seed=bytes([number])),
            partial(half_capacity_vickrey, offer=offer),
        ]
        for rule in rules:
            outcome = rule(users)
            assert is_truthful([rule], users, VALUE_LIES, WHOLE)
            assert is_individually_rational(users, outcome, WHOLE)
            assert sum(fill.units for fill in outcome.bought) <= offer.capacity
