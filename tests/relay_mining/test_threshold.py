"""The coin, the threshold and the weight, at their edges."""

from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_mining import UNITS_MAX, coin, compute_tau, is_payable, keccak, leaf_weight, threshold
from tests.factories import a_hash

UNITS = st.one_of(st.sampled_from([1, 2, UNITS_MAX - 1, UNITS_MAX]), st.integers(1, UNITS_MAX))


def test_the_coin_is_the_low_half_of_the_hash() -> None:
    digest = keccak(a_hash("h") + a_hash("salt"))
    assert coin(a_hash("h"), a_hash("salt")) == int.from_bytes(digest, "big") % 2**128


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_coin_of_other_lengths_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="receipt_hash"):
        coin(bytes(length), a_hash("salt"))
    with pytest.raises(ValueError, match="salt"):
        coin(a_hash("h"), bytes(length))


@pytest.mark.parametrize(
    ("slice_units", "leaves", "tau"),
    [(0, 4096, 1), (4095, 4096, 1), (4096, 4096, 1), (8191, 4096, 1), (8192, 4096, 2),
     (UNITS_MAX, 1, UNITS_MAX), (10, 11, 1)],
)  # fmt: skip
def test_tau_is_rounded_down_and_at_least_one(slice_units: int, leaves: int, tau: int) -> None:
    assert compute_tau(slice_units, leaves) == tau


@pytest.mark.parametrize(("slice_units", "leaves"), [(-1, 1), (UNITS_MAX + 1, 1), (1, 0)])
def test_tau_of_nothing_is_refused(slice_units: int, leaves: int) -> None:
    with pytest.raises(ValueError, match="is"):
        compute_tau(slice_units, leaves)


@given(units=UNITS, tau=UNITS)
def test_the_last_payable_coin_is_the_one_below_the_share(units: int, tau: int) -> None:
    first_lost = -(-(units << 128) // tau)  # the least x with x * tau >= units * 2^128
    for tossed, payable in ((first_lost - 1, True), (first_lost, False)):
        if tossed < 2**128:
            with patch.object(threshold, "coin", return_value=tossed):
                assert is_payable(a_hash("h"), a_hash("salt"), units, tau) is payable


@given(units=UNITS, tau=UNITS)
def test_a_relay_of_tau_or_more_is_always_payable(units: int, tau: int) -> None:
    assert leaf_weight(units, tau) == max(units, tau)
    if units >= tau:
        assert is_payable(a_hash(units), a_hash(tau), units, tau)


@pytest.mark.parametrize(("units", "tau"), [(0, 1), (UNITS_MAX + 1, 1), (1, 0), (-1, 1)])
def test_units_out_of_range_have_no_weight(units: int, tau: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        leaf_weight(units, tau)
    with pytest.raises(ValueError, match="outside"):
        is_payable(a_hash("h"), a_hash("salt"), units, tau)
