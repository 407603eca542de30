"""No cheat gains in expectation: any bad share, any split over claims, bonds small and large."""

from fractions import Fraction
from random import Random
from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_mining import challenge_points, escape_probability, expected_gain, points_required
from tests.factories import a_hash

MARGINS = (10_000, 11_000, 20_000)


def exact_gain(bad: int, total: int, value: int, bond: int, margin_bps: int) -> Fraction:
    """Expected gain beyond honest work of a claim with `bad` of its `total` weight unopenable.

    The rate is taken as the contract rounds it: up to a multiple of 2^-64.
    """
    rate = Fraction(-(-(margin_bps * value << 64) // (10_000 * bond)), 2**64)
    share = Fraction(bad, total)
    whole = rate.numerator // rate.denominator
    escape = (1 - share) ** whole * (1 - (rate - whole) * share)
    return escape * share * value - (1 - escape) * bond


@given(
    total=st.integers(1, 10**6),
    bad=st.floats(0, 1),
    value=st.integers(1, 10**6),
    ratio=st.fractions(Fraction(1, 50), 50),
    margin=st.sampled_from(MARGINS),
)
def test_no_share_gains_in_one_claim(
    total: int, bad: float, value: int, ratio: Fraction, margin: int
) -> None:
    bond = max(1, int(value / ratio))
    for weight in {0, 1, min(total, round(bad * total)), total - 1, total}:
        gain = exact_gain(weight, total, value, bond, margin)
        assert gain <= 0
        if weight and margin > 10_000:
            assert gain < 0


@given(
    data=st.lists(
        st.tuples(st.integers(1, 1000), st.floats(0, 1), st.integers(1, 5_000)),
        min_size=1,
        max_size=8,
    )
)
def test_no_split_over_claims_and_identities_gains(data: list[tuple[int, float, int]]) -> None:
    gains = [exact_gain(round(f * 1000), 1000, v, p, 10_000) for v, f, p in data]
    assert sum(gains) <= 0


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.999, 1.0, 1.001, 2.5, 10.0])
def test_the_bound_of_the_protocol_holds_for_every_share(ratio: float) -> None:
    for step in range(1_001):
        share = step / 1_000
        escape = escape_probability(share, ratio)
        assert escape <= 1 / (1 + ratio * share) + 1e-12
        assert expected_gain(share, ratio, 1.0, 1.0) <= 1e-12


def test_without_the_random_fraction_a_small_claim_would_gain() -> None:
    """Why `points_required` draws its fraction: rounding down opens nothing below the bond."""
    value, bond = 999, 1_000
    assert value * 1 // bond == 0  # never opened: the whole value is gained
    assert exact_gain(1, 1, value, bond, 10_000) <= 0


@pytest.mark.parametrize("share", [0.02, 0.3, 1.0])
@pytest.mark.parametrize(("value", "bond"), [(300, 1_000), (1_000, 1_000), (3_700, 1_000)])
def test_monte_carlo_over_the_contracts_own_draw(value: int, bond: int, share: float) -> None:
    """Play the challenge itself: seeds, number of points, points on the line of the sum."""
    total, margin = 1_000_003, 12_000
    bad = round(share * total)
    played = []
    for trial in range(2_500):
        seed = a_hash(f"{value} {share} {trial}")
        count = points_required(value, bond, margin, seed)
        caught = any(point < bad for point in challenge_points(seed, count, total))
        played.append(-bond if caught else share * value)
    error = stdev(played) / len(played) ** 0.5 if len(set(played)) > 1 else 0.0
    expected = float(exact_gain(bad, total, value, bond, margin))
    assert abs(fmean(played) - expected) <= 4 * error + 1e-9
    assert fmean(played) <= 4 * error


def test_monte_carlo_over_many_identities() -> None:
    rng = Random(7)
    rounds = []
    for trial in range(400):
        gain = 0.0
        for claim in range(rng.randint(1, 6)):
            value, bond, share = rng.randint(1, 3_000), rng.randint(300, 3_000), rng.random()
            seed = a_hash(f"{trial} {claim}")
            count = points_required(value, bond, 10_000, seed)
            bad = round(share * 2**40)
            caught = any(point < bad for point in challenge_points(seed, count, 2**40))
            gain += -bond if caught else share * value
        rounds.append(gain)
    assert fmean(rounds) <= 3 * stdev(rounds) / len(rounds) ** 0.5


def test_points_find_leaves_that_were_invented_close_together() -> None:
    """Points are drawn by weight: a bad tenth is hit by a tenth of them, wherever it lies."""
    total, count = 10**9, 4_000
    points = challenge_points(a_hash("seed"), count, total)
    for start in (0, total // 3, total - total // 10):
        hits = sum(start <= point < start + total // 10 for point in points)
        assert abs(hits - count / 10) < 4 * (count * 0.09) ** 0.5
