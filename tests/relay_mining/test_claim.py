"""What a claim is worth, what backs it, and what the contract would refuse of it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_mining import (
    AMOUNT_MAX,
    UNITS_MAX,
    InvalidClaimError,
    TrieRoot,
    compute_value,
    keccak,
    minimum_bond,
    verify_claim,
)
from tests.factories import SUPPLIER, a_session
from tests.relay_mining.claimed import PRICE, a_claimed_session


def test_the_id_is_the_hash_of_supplier_and_session() -> None:
    claim = a_claimed_session().claim
    assert claim.id == keccak(bytes(12) + SUPPLIER + a_session().id)
    assert replace(claim, value=1).id == claim.id
    assert replace(claim, session=a_session(number=8)).id != claim.id


@given(units=st.integers(0, UNITS_MAX), price=st.integers(1, 2**32))
def test_a_value_rounds_down(units: int, price: int) -> None:
    value = compute_value(units, price)
    assert value * 10**6 <= units * price < (value + 1) * 10**6


def test_a_value_that_does_not_fit_is_refused() -> None:
    assert compute_value(999_999, 1) == 0
    with pytest.raises(InvalidClaimError, match="does not fit"):
        compute_value(UNITS_MAX, 2**64 - 1)
    for units, price in ((-1, 1), (2**64, 1), (1, 0), (1, 2**64)):
        with pytest.raises(ValueError, match="outside"):
            compute_value(units, price)


@given(value=st.integers(0, AMOUNT_MAX), ratio=st.integers(1, 65_535))
def test_a_bond_rounds_up_and_is_at_least_one(value: int, ratio: int) -> None:
    bond = minimum_bond(value, ratio)
    assert bond >= 1
    assert bond * ratio >= value
    assert bond == 1 or (bond - 1) * ratio < value


def test_a_claim_is_checked_before_gas_is_spent_on_it() -> None:
    claim = a_claimed_session().claim
    verify_claim(claim, claim.value, 10)
    refused = [
        (replace(claim, value=claim.value + 1), claim.value + 1, 10),
        (claim, claim.value - 1, 10),
        (replace(claim, bond=claim.value // 10 - 1), claim.value, 10),
        (replace(claim, bond=AMOUNT_MAX + 1), claim.value, 10),
        (replace(claim, root=TrieRoot(bytes(32), 0, 0), value=0), claim.value, 10),
        (replace(claim, root=TrieRoot(bytes(32), 1, 1), value=0, price=999_999), 1, 10),
        (replace(claim, root=TrieRoot(bytes(32), 5, 6), value=5 * PRICE // 10**6), 100, 10),
        (replace(claim, root=TrieRoot(bytes(32), UNITS_MAX + 1, 1)), claim.value, 10),
    ]
    for bad, slice_amount, ratio in refused:
        with pytest.raises(InvalidClaimError):
            verify_claim(bad, slice_amount, ratio)
