"""Policies that choose a supplier: what each prefers, bounds, and spreads."""

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import NoSupplierError
from gateway.routing.affinity import load_bound, prefix_affinity
from gateway.routing.balancer import ALIKE, Candidate, Policy, power_of_two, prefer_good
from gateway.routing.owners import OwnerShares
from gateway.routing.weighted import weight_of, weighted
from tests.factories import an_address

POLICIES = {
    "power_of_two": power_of_two(random.Random(3)),
    "weighted": weighted(random.Random(3)),
    "prefix": prefix_affinity,
}
CANDIDATES = st.lists(
    st.builds(
        Candidate,
        index=st.just(0),
        in_flight=st.integers(0, 100),
        is_good=st.booleans(),
        price=st.integers(0, 10**6),
        supplier=st.binary(min_size=20, max_size=20),
        seconds=st.floats(0, 10_000),
        has_room=st.booleans(),
    ),
    min_size=1,
    max_size=12,
).map(lambda found: [replace(each, index=i) for i, each in enumerate(found)])


def some(*seconds: float, price: int = 1) -> list[Candidate]:
    return [
        Candidate(i, 0, price=price, supplier=an_address(i), seconds=each)
        for i, each in enumerate(seconds)
    ]


def count(policy: Policy, candidates: list[Candidate], times: int) -> Counter[int]:
    return Counter(policy(candidates, b"head").index for _ in range(times))


@pytest.mark.parametrize("name", POLICIES)
@given(candidates=CANDIDATES, head=st.binary(max_size=100))
def test_a_policy_chooses_one_of_those_given(
    name: str, candidates: list[Candidate], head: bytes
) -> None:
    assert POLICIES[name](candidates, head) in candidates


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_without_candidates_says_so(name: str) -> None:
    with pytest.raises(NoSupplierError):
        POLICIES[name]([])


@given(CANDIDATES)
def test_nobody_is_preferred_to_who_is_good_and_has_room(candidates: list[Candidate]) -> None:
    best = prefer_good(candidates)
    good = [each for each in candidates if each.is_good]
    roomy = [each for each in good if each.has_room]

    assert list(best) == (roomy or good or candidates)


@given(CANDIDATES)
def test_two_choices_never_take_the_one_predicted_to_be_slowest(
    candidates: list[Candidate],
) -> None:
    slowest = max(candidates, key=lambda each: each.seconds)
    others = [each.seconds for each in candidates if each is not slowest]
    if others and slowest.seconds > ALIKE * max(others):
        assert power_of_two(random.Random(5))(candidates) is not slowest


def test_of_two_alike_the_less_loaded_is_taken_and_then_the_cheaper() -> None:
    one, other = some(1.0, 1.05)
    choose = power_of_two(random.Random(1))

    assert choose([replace(one, in_flight=3), other]).index == 1
    assert choose([replace(one, price=5), replace(other, price=4)]).index == 1
    assert choose([replace(one, price=4), replace(other, price=5)]).index == 0


def test_twice_as_slow_counts_for_four_times_as_dear() -> None:
    (slow,), (fast,) = some(2.0, price=1), some(1.0, price=4)

    assert weight_of(slow) == weight_of(fast)
    chosen = count(weighted(random.Random(2)), some(1.0, 2.0, 4.0), 21_000)
    expected = {0: 16_000, 1: 4_000, 2: 1_000}
    for index, times in expected.items():
        # five standard errors of a share of so many trials
        assert abs(chosen[index] - times) <= 5 * (times * (1 - times / 21_000)) ** 0.5


@given(CANDIDATES, st.binary(max_size=64))
def test_affinity_never_loads_anybody_beyond_the_bound(
    candidates: list[Candidate], head: bytes
) -> None:
    loads = [each.in_flight for each in candidates]

    chosen = prefix_affinity(candidates, head)

    assert chosen.in_flight + 1 <= load_bound(loads)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=64))
def test_somebody_is_always_below_the_bound(loads: list[int]) -> None:
    assert min(loads) < load_bound(loads)
    assert load_bound(loads) * len(loads) < 1.25 * (sum(loads) + 1) + len(loads)


def test_heads_that_are_equal_meet_and_others_spread() -> None:
    candidates = some(1, 1, 1, 1)
    chosen = Counter(prefix_affinity(candidates, b"%d" % i).index for i in range(4_000))

    assert all(abs(each - 1_000) <= 5 * (4_000 * 0.25 * 0.75) ** 0.5 for each in chosen.values())
    assert len({prefix_affinity(candidates, b"one").index for _ in range(20)}) == 1


@given(st.sets(st.binary(min_size=20, max_size=20), min_size=2, max_size=10), st.binary())
def test_who_leaves_moves_only_what_was_its_own(suppliers: set[bytes], head: bytes) -> None:
    candidates = [Candidate(i, 0, supplier=each) for i, each in enumerate(sorted(suppliers))]
    chosen = prefix_affinity(candidates, head)
    for gone in candidates:
        if gone is not chosen:
            left = [each for each in candidates if each is not gone]
            assert prefix_affinity(left, head) is chosen


@given(st.lists(st.integers(0, 3), max_size=600))
def test_owners_shares_add_up_to_what_is_known(choices: list[int]) -> None:
    shares = OwnerShares(0.5)
    for each in choices:
        shares.note(an_address(each))
    total = sum(shares.share(an_address(each)) for each in range(4))

    assert 0.0 <= total <= 1.0
    assert all((shares.share(an_address(i)) > 0) == (i in choices) for i in range(4))


@pytest.mark.parametrize("share_max", [0.5, 0.75])
def test_an_owner_that_always_wins_is_held_to_its_share(share_max: float) -> None:
    shares, won = OwnerShares(share_max), Counter[str]()
    for _ in range(5_000):
        who = "second" if shares.is_over(an_address("first")) else "first"
        shares.note(an_address(who))
        won[who] += 1

    assert won["first"] / 5_000 == pytest.approx(share_max, abs=0.01)


def test_shares_go_on_for_ever() -> None:
    shares = OwnerShares(0.5)
    for turn in range(100_000):  # far beyond where an unbounded weight overflows
        shares.note(an_address(turn % 2))

    assert shares.share(an_address(0)) == pytest.approx(0.5, abs=0.01)
