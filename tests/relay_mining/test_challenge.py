"""How many points a claim must open, and which, with the rounding against the claimant."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_mining import AMOUNT_MAX, challenge_points, challenge_seed, keccak, points_required
from tests.factories import a_hash

R_MIN = bytes(32)
R_MAX = b"\xff" * 32


def test_the_seed_binds_the_claim() -> None:
    assert challenge_seed(a_hash(1), a_hash(2)) == keccak(a_hash(1) + a_hash(2))
    for seed, claim in ((b"", a_hash(1)), (a_hash(1), bytes(33))):
        with pytest.raises(ValueError, match="bytes"):
            challenge_seed(seed, claim)


@pytest.mark.parametrize(
    ("value", "bond", "least", "most"),
    [(0, 1, 0, 0), (10, 10, 1, 1), (10, 11, 0, 1), (11, 10, 1, 2), (1, AMOUNT_MAX, 0, 1),
     (AMOUNT_MAX, 1, AMOUNT_MAX, AMOUNT_MAX), (100, 10, 10, 10)],
)  # fmt: skip
def test_the_number_of_points_at_its_edges(value: int, bond: int, least: int, most: int) -> None:
    assert points_required(value, bond, 10_000, R_MIN) == least
    assert points_required(value, bond, 10_000, R_MAX) == most


@given(
    value=st.integers(1, AMOUNT_MAX),
    bond=st.integers(1, AMOUNT_MAX),
    margin=st.integers(10_000, 40_000),
)
def test_the_expected_number_is_never_below_the_rate(value: int, bond: int, margin: int) -> None:
    low, high = (points_required(value, bond, margin, r) for r in (R_MIN, R_MAX))
    assert high - low in (0, 1)
    rate = -(-(margin * value << 64) // (10_000 * bond))
    lucky = rate & (2**64 - 1)  # how many of the 2^64 draws give one point more
    expected = low + Fraction(lucky, 2**64)
    assert 0 <= expected - Fraction(margin * value, 10_000 * bond) < Fraction(1, 2**64)


def test_only_the_low_64_bits_of_the_seed_decide_the_number() -> None:
    half = (1 << 63).to_bytes(8, "big")
    assert points_required(1, 2, 10_000, bytes(24) + half) == 1
    assert points_required(1, 2, 10_000, b"\xff" * 24 + (int.from_bytes(half) - 1).to_bytes(8)) == 0


@pytest.mark.parametrize(
    ("value", "bond", "margin"),
    [(-1, 1, 10_000), (AMOUNT_MAX + 1, 1, 10_000), (1, 0, 10_000), (1, 1, 9_999)],
)
def test_numbers_no_claim_has_are_refused(value: int, bond: int, margin: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        points_required(value, bond, margin, R_MIN)


def test_points_are_the_hashes_of_their_index() -> None:
    points = challenge_points(a_hash("seed"), 5, 1_000)
    for index, point in enumerate(points):
        digest = keccak(a_hash("seed") + index.to_bytes(32, "big"))
        assert point == int.from_bytes(digest, "big") % 1_000
    assert challenge_points(a_hash("seed"), 3, 1) == (0, 0, 0)
    assert challenge_points(a_hash("seed"), 0, 1) == ()
    for total in (0, 2**64):
        with pytest.raises(ValueError, match="total"):
            challenge_points(a_hash("seed"), 1, total)
