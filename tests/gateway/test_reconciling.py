"""Receipts and claims agree within the sampling error, and what is beyond it is flagged."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.settlement.outbox import OwedReceipt
from gateway.settlement.reconciling import Finding, compare, sampling_error
from relay_mining import Claim, TrieRoot
from tests.factories import GATEWAY_SIGNER, SUPPLIER, a_hash, a_session

TAU = 1000


def an_owed(units: int, number: int = 7) -> OwedReceipt:
    name = f"{units} {number}"
    return OwedReceipt(
        a_session(number=number), GATEWAY_SIGNER.address, SUPPLIER, a_hash(name),
        a_hash("r" + name), a_hash("salt"), units,
    )  # fmt: skip


def a_claim(units: int, number: int = 7) -> Claim:
    root = TrieRoot(bytes(32), units, 1)
    return Claim(SUPPLIER, a_session(number=number), root, units, 1, TAU, 0, 1)


def find(units: list[int], claimed: int | None, now: int = 9) -> Finding:
    claims = {} if claimed is None else {(a_session(), SUPPLIER): a_claim(claimed)}
    (found,) = compare([an_owed(each) for each in units], claims, now)
    assert found.receipted == sum(units)
    return found.finding


@pytest.mark.parametrize(
    ("units", "claimed", "now", "expected"),
    [
        ([5000], 5000, 9, Finding.AGREES),
        ([5000], 5001, 9, Finding.CLAIMED_MORE),
        ([5000], 4999, 9, Finding.CLAIMED_LESS),
        ([5000], None, 8, Finding.OPEN),
        ([5000], None, 9, Finding.UNCLAIMED),
        ([], 1, 9, Finding.CLAIMED_MORE),
        ([10], 1000, 9, Finding.AGREES),
        ([10], 20_000, 9, Finding.CLAIMED_MORE),
        ([500] * 100, 50_000, 9, Finding.AGREES),
    ],
)
def test_findings(units: list[int], claimed: int | None, now: int, expected: Finding) -> None:
    numbered = [each + index for index, each in enumerate(units)]
    shift = sum(numbered) - sum(units)
    claim = None if claimed is None else claimed + shift
    assert find(numbered, claim, now) is expected


def test_every_session_and_supplier_is_compared_once() -> None:
    found = compare([an_owed(5000, 3), an_owed(6000, 4)], {(a_session(number=5), SUPPLIER):
                    a_claim(9, 5)}, 9)  # fmt: skip
    assert [each.session.number for each in found] == [3, 4, 5]
    assert [each.finding for each in found] == [
        Finding.UNCLAIMED, Finding.UNCLAIMED, Finding.CLAIMED_MORE,
    ]  # fmt: skip


def sample(units: list[int], rng: random.Random) -> int:
    return sum(max(each, TAU) for each in units if rng.random() * TAU < each)


@settings(max_examples=60)
@given(st.lists(st.integers(1, 3 * TAU), min_size=1, max_size=200), st.integers(0, 2**32))
def test_an_honest_claim_is_never_flagged(units: list[int], seed: int) -> None:
    rng, error = random.Random(seed), sampling_error(units, TAU)
    for _ in range(50):
        assert abs(sample(units, rng) - sum(units)) <= error


def test_a_tenth_too_much_is_flagged_where_there_is_enough_to_tell() -> None:
    units = [500] * 20_000
    assert sampling_error(units, TAU) < sum(units) // 20
