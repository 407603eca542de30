"""Consensus estimates: the rungs, the rounding, how often it agrees and what it costs."""

from fractions import Fraction
from itertools import pairwise
from math import floor, log
from random import Random
from statistics import fmean

import pytest

from pricing import WORD, Ladder, best_base, draw_word
from tests.pricing.worked import WORKED

OFFSETS = [WORD * (2 * place + 1) // 4096 for place in range(2048)]
"""The midpoints of as many equal cells of [0, 1)."""


def test_rungs_of_base_two_without_offset_are_the_powers_of_two() -> None:
    assert Ladder(Fraction(2), 0).rungs(2**70) == tuple(2**power for power in range(71))


def test_rungs_are_the_powers_rounded_down() -> None:
    rng = Random(1)
    for base in (Fraction(2), Fraction(3, 2), Fraction(10101, 10000), Fraction(53567, 10000)):
        for offset in (1, WORD // 2, WORD * 9 // 10, rng.randrange(WORD)):
            rungs = Ladder(base, offset).rungs(10**6)
            steps = range(floor(log(10**6, base) - offset / WORD) + 1)
            powers = [float(base) ** (step + offset / WORD) for step in steps]
            assert set(rungs) == {floor(power) for power in powers}
            assert list(rungs) == sorted(set(rungs))


@pytest.mark.parametrize("amount", [0, 1, 2, 3, 7, 8, 9, 10**6, 2**62, 2**96])
def test_rounding_down_loses_less_than_one_step(amount: int) -> None:
    for base in (Fraction(2), Fraction(3, 2), Fraction(5)):
        for offset in OFFSETS[::128]:
            rounded = Ladder(base, offset).round_down(amount)
            assert rounded <= amount
            assert (rounded + 1) * base > amount or rounded == 0
            assert rounded > 0 or amount < base


def test_a_rung_rounds_to_itself_and_one_less_to_the_rung_below() -> None:
    ladder = Ladder(Fraction(3, 2), OFFSETS[7])
    rungs = ladder.rungs(10**9)
    for lower, rung in pairwise(rungs):
        assert ladder.round_down(rung) == rung
        assert ladder.round_down(rung - 1) == lower


@pytest.mark.parametrize(("base", "ratio"), [(2, 1.3), (4, 1.5), (5, 4.9)])
def test_amounts_within_a_ratio_agree_as_often_as_promised(base: int, ratio: float) -> None:
    high = 10**12
    low = int(high / ratio)
    agreed = [
        (ladder := Ladder(Fraction(base), offset)).round_down(high) == ladder.round_down(low)
        for offset in OFFSETS
    ]
    assert sum(agreed) / len(agreed) == pytest.approx(1 - log(ratio, base), abs=2e-3)


@pytest.mark.parametrize(("ratio", "best"), WORKED["closed_forms"]["rho_table"].items())
def test_what_an_estimate_is_worth_where_it_agrees(ratio: str, best: tuple[float, float]) -> None:
    formula = "(1/rho-1/c)/ln c, optimum ln c+1=c/rho gives payoff 1/c"
    assert WORKED["closed_forms"]["consensus_payoff"] == formula
    base, payoff = best
    rho = float(ratio)

    assert float(best_base(Fraction(ratio))) == pytest.approx(base, abs=2e-4)
    assert log(base) + 1 == pytest.approx(base / rho, abs=1e-4)
    measured = measured_payoff(base, rho)
    assert measured == pytest.approx(payoff, rel=5e-3)
    assert measured == pytest.approx((1 / rho - 1 / base) / log(base), rel=5e-3)
    assert measured == pytest.approx(1 / base, rel=5e-3)
    assert measured_payoff(base * 1.3, rho) < payoff
    assert measured_payoff(1 + (base - 1) / 2, rho) < payoff


def measured_payoff(base: float, rho: float) -> float:
    """The mean estimate of an amount as its share, counted where `amount / rho` has the same."""
    amount, exact = 10**6, Fraction(base).limit_denominator(10**6)
    estimates = [Ladder(exact, offset).round_down(amount) for offset in OFFSETS[::4]]
    return fmean(found * (found <= amount / rho) for found in estimates) / amount


def test_draws_are_words_that_depend_on_seed_and_label() -> None:
    words = {draw_word(seed, label) for seed in (b"a", b"b") for label in (b"coin", b"offset")}

    assert len(words) == 4
    assert all(0 <= word < WORD for word in words)
    assert draw_word(b"a", b"coin") == draw_word(b"a", b"coin")
    mean = sum(draw_word(bytes([k // 256, k % 256]), b"u") for k in range(4000)) / 4000 / WORD
    assert mean == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("base", "offset"), [(1, 0), (Fraction(1, 2), 0), (2, -1), (2, WORD)])
def test_a_ladder_needs_a_base_above_one_and_an_offset_below_the_word(
    base: Fraction, offset: int
) -> None:
    with pytest.raises(ValueError, match="no ladder"):
        Ladder(Fraction(base), offset)


def test_a_best_base_is_asked_for_revenues_that_differ() -> None:
    assert 1 < best_base(Fraction(100_001, 100_000)) < Fraction(101, 100)
    assert best_base(Fraction(1000)) > 1000
    with pytest.raises(ValueError, match="ratio"):
        best_base(Fraction(1))
