"""The draw against successive weighted sampling, and each member's proof against the draw."""

from collections import Counter
from dataclasses import replace
from itertools import permutations

import pytest
from eth_abi import encode
from hypothesis import given
from hypothesis import strategies as st

from relay_mining import (
    DRAWS_MAX,
    DrawnMember,
    InvalidClaimError,
    RosterEntry,
    draw_members,
    is_member,
    keccak,
    verify_member,
)
from tests.factories import SUPPLIER, a_hash, a_roster, a_session, an_address

SESSION_ID = a_session().id
UINT32_MAX = 2**32 - 1
WEIGHTS = st.lists(
    st.one_of(st.sampled_from([1, 2, 1000, 10**7]), st.integers(1, 100)), min_size=1, max_size=12
)


def reference_hits(weights: list[int], seed: bytes) -> list[int]:
    """All 64 draws, by the words of the design and the ABI's own encoder."""
    draw_seed = keccak(encode(["bytes32", "bytes32"], [seed, SESSION_ID]))
    hits = []
    for draw in range(64):
        digest = keccak(encode(["bytes32", "uint256"], [draw_seed, draw]))
        point = int.from_bytes(digest, "big") % sum(weights)
        hits.append(next(i for i in range(len(weights)) if sum(weights[: i + 1]) > point))
    return hits


@given(WEIGHTS, st.integers(0, 2**64), st.integers(1, 12))
def test_members_are_the_first_distinct_hits(weights: list[int], seed: int, members: int) -> None:
    drawn = draw_members(a_roster(*weights), a_hash(seed), SESSION_ID, members)
    hits = reference_hits(weights, a_hash(seed))
    assert [member.index for member in drawn] == list(dict.fromkeys(hits))[:members]
    for member in drawn:
        assert hits.index(member.index) == member.draw
        assert list(member.earlier) == (hits[: member.draw] if member.draw >= members else [])


@given(WEIGHTS, st.integers(0, 2**64), st.integers(1, 12))
def test_the_verifier_agrees_with_the_draw_on_every_entry_and_draw(
    weights: list[int], seed: int, members: int
) -> None:
    roster = a_roster(*weights)
    hits = reference_hits(weights, a_hash(seed))
    drawn = draw_members(roster, a_hash(seed), SESSION_ID, members)
    indices = {member.index for member in drawn}
    for member in drawn:
        supplier = roster[member.index].supplier
        entry = verify_member(roster, a_hash(seed), SESSION_ID, members, supplier, member)
        assert entry == roster[member.index]
    for draw, index in enumerate(hits):
        earlier = tuple(hits[:draw]) if draw >= members else ()
        try:
            verify_member(
                roster,
                a_hash(seed),
                SESSION_ID,
                members,
                roster[index].supplier,
                DrawnMember(index, draw, earlier),
            )
        except InvalidClaimError:
            assert len(set(hits[:draw])) >= members
        else:
            assert index in indices
    for index, entry in enumerate(roster):
        is_drawn = is_member(roster, a_hash(seed), SESSION_ID, members, entry.supplier)
        assert is_drawn == (index in indices)


def late_member() -> tuple[tuple[RosterEntry, ...], bytes, DrawnMember, list[int]]:
    """A member drawn only after duplicates, with the seed that draws it so."""
    weights = [50, 1, 1]
    roster = a_roster(*weights)
    for seed in map(a_hash, range(1000)):
        for member in draw_members(roster, seed, SESSION_ID, 2):
            if member.draw >= 4:
                return roster, seed, member, reference_hits(weights, seed)
    raise AssertionError("no seed draws a member late")


def test_a_late_member_proves_the_duplicates_before_it() -> None:
    roster, seed, member, hits = late_member()
    supplier = roster[member.index].supplier
    verify_member(roster, seed, SESSION_ID, 2, supplier, member)
    other = (member.earlier[0] + 1) % 3
    next_draw = next(d for d in range(member.draw + 1, 64) if hits[d] not in (hits[0], hits[-1]))
    for lie in (
        replace(member, earlier=()),
        replace(member, earlier=member.earlier[:-1]),
        replace(member, earlier=(*member.earlier, member.index)),
        replace(member, earlier=(other, *member.earlier[1:])),
        replace(member, earlier=(-1, *member.earlier[1:])),
        replace(member, draw=0, earlier=()),
        replace(member, draw=64),
        replace(member, draw=-1),
        replace(member, index=3),
        replace(member, index=-1),
        replace(member, index=other),
        DrawnMember(hits[next_draw], next_draw, ()),
    ):
        with pytest.raises(InvalidClaimError):
            verify_member(roster, seed, SESSION_ID, 2, supplier, lie)


def test_another_supplier_session_or_seed_is_refused() -> None:
    roster, seed, member, _ = late_member()
    supplier = roster[member.index].supplier
    with pytest.raises(InvalidClaimError, match="not entry"):
        verify_member(roster, seed, SESSION_ID, 2, SUPPLIER, member)
    with pytest.raises(InvalidClaimError):
        verify_member(roster, seed, a_session(number=8).id, 2, supplier, member)
    with pytest.raises(InvalidClaimError):
        verify_member(roster, a_hash("another seed"), SESSION_ID, 2, supplier, member)
    with pytest.raises(InvalidClaimError, match="not entry"):
        verify_member((), seed, SESSION_ID, 2, supplier, member)


def test_an_early_draw_needs_no_proof_and_takes_none() -> None:
    roster = a_roster(1, 1, 1)
    member = draw_members(roster, a_hash(0), SESSION_ID, 3)[0]
    supplier = roster[member.index].supplier
    with pytest.raises(InvalidClaimError, match="instead of 0"):
        verify_member(roster, a_hash(0), SESSION_ID, 3, supplier, replace(member, earlier=(0,)))


def test_a_roster_of_one_serves_alone() -> None:
    roster = a_roster(5)
    for members in (1, 3, 255):
        assert draw_members(roster, a_hash(0), SESSION_ID, members) == (DrawnMember(0, 0),)


def test_an_empty_roster_has_no_members() -> None:
    assert draw_members((), a_hash(0), SESSION_ID, 3) == ()
    assert not is_member((), a_hash(0), SESSION_ID, 3, SUPPLIER)


def test_everyone_serves_where_the_roster_is_no_larger_than_the_draw() -> None:
    roster = a_roster(3, 1, 2)
    for members in (3, 4, 255):
        for seed in range(50):
            drawn = draw_members(roster, a_hash(seed), SESSION_ID, members)
            assert {member.index for member in drawn} == {0, 1, 2}


def test_draws_end_where_a_weight_is_too_small_to_be_hit() -> None:
    roster = a_roster(UINT32_MAX - 1, 1)
    drawn = draw_members(roster, a_hash(0), SESSION_ID, 2)
    assert drawn == (DrawnMember(0, 0),)
    hits = (0,) * (DRAWS_MAX - 1)
    with pytest.raises(InvalidClaimError, match="does not hit"):
        verify_member(
            roster, a_hash(0), SESSION_ID, 2, an_address(1), DrawnMember(1, DRAWS_MAX - 1, hits)
        )


def test_zero_and_overflowing_weights_are_refused() -> None:
    for wrong in ({"weight": 0}, {"weight": 2**32}, {"unit_price": 0}, {"unit_price": 2**64}):
        with pytest.raises(ValueError, match="outside"):
            RosterEntry(**({"supplier": SUPPLIER, "unit_price": 1, "weight": 1} | wrong))
    with pytest.raises(ValueError, match="total weight"):
        draw_members(a_roster(UINT32_MAX, 1), a_hash(0), SESSION_ID, 1)
    with pytest.raises(ValueError, match="members"):
        draw_members(a_roster(1), a_hash(0), SESSION_ID, 0)


def test_ordered_draws_have_the_distribution_of_successive_sampling() -> None:
    weights, members, rounds = [5, 3, 1, 1], 2, 8000
    roster = a_roster(*weights)
    seen = Counter(
        tuple(m.index for m in draw_members(roster, a_hash(seed), SESSION_ID, members))
        for seed in range(rounds)
    )
    statistic = 0.0
    outcomes = list(permutations(range(len(weights)), members))
    for first, second in outcomes:
        total = sum(weights)
        chance = weights[first] / total * weights[second] / (total - weights[first])
        expected = rounds * chance
        statistic += (seen[first, second] - expected) ** 2 / expected
    assert sum(seen[outcome] for outcome in outcomes) == rounds
    assert statistic < 31.26  # chi-square, 11 degrees of freedom: one in a thousand is above
