"""Auctions of goods that can be copied: worked numbers, truthfulness, ratios, and a control."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from itertools import combinations_with_replacement
from math import log
from random import Random
from statistics import fmean

import numpy as np
import pytest

from pricing import (
    CORE_RATIO,
    WORD,
    Book,
    Integers,
    InvalidBookError,
    Ladder,
    Mechanism,
    best_deviation,
    best_revenue,
    best_revenue_of_two,
    competitive_ratio,
    core_auction,
    deterministic_price,
    draw_word,
    in_first_half,
    is_envy_free,
    is_individually_rational,
    is_monotone,
    is_truthful,
    large_core_auction,
    lower_bound,
    optimal_single_price,
    price_lies,
    profit_extraction,
    sampled_price,
    split_lies,
    vickrey,
)
from simulations.auctions.expectations import core_draws
from tests.pricing.books import book, seeds
from tests.pricing.worked import WORKED

CLOSED = WORKED["closed_forms"]
VICKREY_COIN, SHARING_COIN = 0, WORD - 1
ONE = 10**6


def by_seed(seed: bytes) -> list[Mechanism]:
    """Every truthful auction of this page under one draw."""
    offset = draw_word(seed, b"offset")
    return [
        partial(vickrey, units=1),
        partial(vickrey, units=2, reserve=3),
        deterministic_price,
        partial(sampled_price, seed=seed),
        partial(profit_extraction, seed=seed),
        partial(core_auction, coin=SHARING_COIN, offset=offset),
    ]


def every_book(bidders: int, grid: range) -> Iterator[Book]:
    for count in range(1, bidders + 1):
        for prices in combinations_with_replacement(grid, count):
            yield book(prices)


def random_bids(rng: Random, most: int, high: int) -> list[int]:
    return [rng.randint(0, high) for _ in range(rng.randint(1, most))]


@pytest.mark.parametrize("rule", range(6))
def test_no_lie_about_a_price_pays_in_any_small_book(rule: int) -> None:
    lies = price_lies(range(7))
    for seed in seeds(3):
        for each in every_book(4, range(6)):
            assert is_truthful([by_seed(seed)[rule]], each, lies), (each, seed)


@pytest.mark.parametrize("rule", range(6))
def test_rational_monotone_and_truthful_in_random_books(rule: int) -> None:
    rng = Random(rule)
    for number in range(80):
        auction = by_seed(number.to_bytes(32, "big"))[rule]
        each = book(random_bids(rng, 6, 12))
        assert is_individually_rational(each, auction(each))
        assert is_monotone(auction, each, range(14))
        assert is_truthful([auction], each, price_lies(range(14)))


@pytest.mark.parametrize("rule", [0, 1])
def test_a_second_name_never_pays_in_vickrey(rule: int) -> None:
    for each in every_book(3, range(6)):
        assert is_truthful([by_seed(b"")[rule]], each, split_lies(range(7), [1]))


@pytest.mark.parametrize("rule", [2, 3, 4, 5])
def test_a_second_name_pays_where_prices_come_from_others(rule: int) -> None:
    """Truthful for one name only: the adversary finds what a second one earns."""
    lies = split_lies(range(7), [1])
    assert any(
        best_deviation([by_seed(seed)[rule]], each, lies)
        for each in (book([3, 5, 5]), *every_book(2, range(6)))
        for seed in seeds(6)
    )


def test_vickrey_is_free_of_envy_and_the_halves_are_not() -> None:
    envied = 0
    for seed in seeds(8):
        for each in every_book(4, range(6)):
            assert is_envy_free(each, vickrey(each, 2))
            envied += not is_envy_free(each, sampled_price(each, seed))
    assert envied > 0


def test_charging_the_best_price_of_the_bids_is_caught() -> None:
    case = WORKED["must_be_caught"]["opt_single_price_not_DSIC"]
    assert case["bids"] == [0, 0, 5]
    scaled = book([0, 0, 10])
    half = price_lies([int(2 * Fraction(case["misreport"]))])
    found = best_deviation([optimal_single_price], scaled, half)

    assert found is not None
    assert found.truth.trader == scaled.bids[case["who"]].trader
    assert found.gain / 2 == Fraction(case["gain"])


def test_the_first_price_that_loses_is_paid() -> None:
    outcome = vickrey(book([3, 9, 5, 5]), 2)
    assert [(fill.trader[-1:], fill.money) for fill in outcome.bought] == [(b"1", 5), (b"2", 5)]
    assert vickrey(book([3, 9]), 2).paid == 0
    assert vickrey(book([3, 9]), 2, reserve=3).paid == 6
    assert vickrey(book([3, 9]), 1, reserve=10).bought == ()


def test_orders_of_several_units_are_refused() -> None:
    several = book([(5, 2)])
    for auction in (*by_seed(b""), optimal_single_price):
        with pytest.raises(InvalidBookError):
            auction(several)


def revenue_of_uniform_values(units: int, bidders: int, reserve: int) -> float:
    rng = Random(f"{units} {bidders} {reserve}")
    draws = (book([rng.randrange(ONE) for _ in range(bidders)]) for _ in range(12_000))
    return fmean(vickrey(each, units, reserve).paid for each in draws) / ONE


@pytest.mark.parametrize(("bidders", "expected"), CLOSED["myerson_uniform01"]["rev_n"].items())
def test_vickrey_with_myersons_reserve_on_uniform_values(bidders: str, expected: float) -> None:
    reserve = int(CLOSED["myerson_uniform01"]["reserve"] * ONE)
    earned = revenue_of_uniform_values(1, int(bidders), reserve)
    assert earned == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("units", "bidders"), [(1, 2), (1, 5), (2, 4), (3, 7)])
def test_vickrey_without_reserve_on_uniform_values(units: int, bidders: int) -> None:
    assert "k(n-k)/(n+1)" in CLOSED["k_unit_uniform"]
    expected = units * (bidders - units) / (bidders + 1)
    assert revenue_of_uniform_values(units, bidders, 0) == pytest.approx(expected, abs=0.02)
    if (units, bidders) == (1, 2):
        assert expected == pytest.approx(CLOSED["vickrey_no_reserve_uniform_n2"])


def test_the_constants_of_core() -> None:
    vickrey_words = next_true(lambda coin: core_auction(book([1, 2]), coin, 0).paid == 0)

    assert pytest.approx(CLOSED["core"]["ratio"], rel=1e-15) == CORE_RATIO
    assert pytest.approx(2 * (1 + log(2)), rel=1e-15) == CORE_RATIO
    assert vickrey_words / WORD == pytest.approx(CLOSED["core"]["p"], rel=1e-15)


def next_true(holds: Callable[[int], bool]) -> int:
    """The least word for which a rising predicate holds."""
    low, high = 0, WORD - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def expected_core(prices: list[int], offsets: int) -> float:
    """The mean revenue of CORE over its coin, and over the midpoints of cells of its offset."""
    values = np.array(prices, dtype=np.int64)
    shared = fmean(
        int(
            large_core_auction(values, SHARING_COIN, WORD * (2 * k + 1) // (2 * offsets))
            .clip(0)
            .sum()
        )
        for k in range(offsets)
    )
    by_coin = CLOSED["core"]["p"]
    alone = int(large_core_auction(values, VICKREY_COIN, 0).clip(0).sum())
    return by_coin * alone + (1 - by_coin) * shared


def earned(paid: Integers) -> int:
    return int(paid.clip(0).sum())


def test_core_is_as_competitive_as_promised_and_no_better() -> None:
    tight = [price * ONE for price in CLOSED["core"]["tight_instance"]]
    best = best_revenue_of_two(book(tight).bids)
    assert best / expected_core(tight, 64) == pytest.approx(CORE_RATIO, rel=1e-6)

    rng = Random(7)
    worst = 0.0
    for _ in range(1000):
        spread = rng.choice((2, 10, 1000))
        prices = [rng.randint(1, spread) * ONE for _ in range(rng.randint(2, 8))]
        ratio = best_revenue_of_two(book(prices).bids) / expected_core(prices, 16)
        worst = max(worst, ratio)
    assert worst <= CORE_RATIO * 1.04


def test_core_over_many_bidders_earns_far_more_than_its_promise() -> None:
    rng = np.random.default_rng(1)
    prices = rng.integers(1, ONE, 1000).tolist()
    assert best_revenue_of_two(book(prices).bids) / expected_core(prices, 64) < 3.4


def test_the_large_core_auction_is_the_exact_one() -> None:
    rng = Random(8)
    for number in range(3000):
        prices = random_bids(rng, 9, rng.choice((1, 3, 50, 10**9)))
        coin = rng.choice((VICKREY_COIN, SHARING_COIN, SHARING_COIN))
        offset = draw_word(number.to_bytes(2, "big"), b"offset")
        exact = core_auction(book(prices), coin, offset)
        paid = large_core_auction(np.array(prices, np.int64), coin, offset)
        assert fills(paid) == {fill.trader: fill.money for fill in exact.bought}


def fills(paid: Integers) -> dict[bytes, int]:
    names = book([0] * len(paid)).bids
    return {bid.trader: int(money) for bid, money in zip(names, paid, strict=True) if money >= 0}


def test_the_large_core_auction_refuses_what_64_bits_do_not_hold() -> None:
    assert large_core_auction(np.array([], np.int64), SHARING_COIN, 0).tolist() == []
    with pytest.raises(InvalidBookError):
        large_core_auction(np.array([2**62, 1], np.int64), SHARING_COIN, 0)


def test_profit_extraction_earns_the_smaller_half_of_what_was_possible() -> None:
    rng = Random(9)
    for number in range(2000):
        each = book(random_bids(rng, 8, 20))
        seed = number.to_bytes(32, "big")
        halves = [[], []]
        for bid in each.bids:
            halves[in_first_half(seed, bid.trader)].append(bid)
        least = min(best_revenue(half) for half in halves)
        both = 1 + (best_revenue(halves[0]) == best_revenue(halves[1]))
        paid = profit_extraction(each, seed).paid
        assert both * least <= paid <= both * least + len(each.bids)


def test_profit_extraction_is_four_competitive_and_no_better() -> None:
    tight = book([price * ONE for price in CLOSED["rspe"]["tight_instance"]])
    mean = fmean(profit_extraction(tight, seed).paid for seed in seeds(4000)) / ONE
    assert mean == pytest.approx(0.5, abs=0.03)
    assert CLOSED["rspe"]["expected"] == "1/2"
    assert best_revenue_of_two(tight.bids) / ONE / CLOSED["rspe"]["ratio"] == 0.5
    apart = {
        profit_extraction(tight, seed).paid
        for seed in seeds(50)
        if in_first_half(seed, tight.bids[0].trader) != in_first_half(seed, tight.bids[1].trader)
    }
    assert apart == {ONE}


def test_random_sampling_stays_within_its_proven_ratio() -> None:
    rng = Random(10)
    for _ in range(150):
        each = book([rng.randint(1, 20) * ONE for _ in range(rng.randint(2, 8))])
        mean = fmean(sampled_price(each, seed).paid for seed in seeds(150))
        assert best_revenue_of_two(each.bids) <= 4.68 * mean * 1.25


def test_the_deterministic_price_has_no_ratio() -> None:
    """Of ten bids of 10 and ninety of 1 it earns 10, where 100 was possible either way."""
    for scale in (1, 10):
        bids = [10 * scale] * 10 + [1] * (100 * scale - 10)
        each = book(bids)
        assert best_revenue_of_two(each.bids) == 100 * scale
        assert deterministic_price(each).paid <= 10


def hard_books(bidders: int) -> Iterator[Book]:
    """Two values, as many of the higher as there may be; and two bids among others of nothing."""
    yield book([ONE, 2 * ONE, *[0] * (bidders - 2)])
    for ratio in range(1, bidders + 1):
        for high in range(1, bidders + 1):
            yield book([ratio * ONE] * high + [ONE] * (bidders - high))


@pytest.mark.parametrize(("bidders", "bound"), CLOSED["lower_bound_n"].items())
@pytest.mark.parametrize("name", ["Vickrey", "DOP", "RSOP", "RSPE", "CORE"])
def test_no_truthful_auction_beats_the_lower_bound(name: str, bidders: str, bound: float) -> None:
    """Each falls behind by at least as much in some book; what does not, lies pay in."""
    assert float(lower_bound(int(bidders))) == pytest.approx(bound, rel=1e-12)
    draws: dict[str, list[Mechanism]] = {
        "Vickrey": [partial(vickrey, units=1)],
        "DOP": [deterministic_price],
        "RSOP": [partial(sampled_price, seed=each) for each in seeds(200)],
        "RSPE": [partial(profit_extraction, seed=each) for each in seeds(200)],
        "CORE": core_draws(Book()),
    }
    assert any(behind(draws[name], each) >= bound for each in hard_books(int(bidders)))
    best = [optimal_single_price]
    assert max(behind(best, each) for each in hard_books(int(bidders))) <= 1 < bound
    assert not is_truthful(best, book([1, 4]), price_lies(range(6)))


def behind(draws: list[Mechanism], orders: Book) -> float:
    ratio = competitive_ratio(draws, orders, lambda each: best_revenue_of_two(each.bids))
    return float("inf") if ratio is None else float(ratio)


def test_core_rounds_to_powers_of_its_base() -> None:
    """Of equal bids all share in the others' best revenue, rounded down to a rung of base c."""
    equal = book([ONE] * 9)
    for offset in (0, WORD // 3, WORD - 1):
        target = Ladder(Fraction(CLOSED["core"]["c"]), offset).round_down(8 * ONE)
        assert target <= core_auction(equal, SHARING_COIN, offset).paid < target + 9
