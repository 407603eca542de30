"""What a member of an allotted roster may claim is what its units cost, whoever else sells."""

from fractions import Fraction
from math import sqrt

import pytest

from relay_mining import RosterEntry, Shares, draw_shares, keccak, weigh_by_cost

SESSION_ID = keccak(b"session")
CAP = 1_000_003


def a_roster(*sold: tuple[int, int]) -> tuple[RosterEntry, ...]:
    """Suppliers that sold units at prices."""
    return tuple(
        RosterEntry(keccak(b"%d" % index)[:20], price, units)
        for index, (price, units) in enumerate(sold)
    )


def slices(shares: Shares) -> dict[int, int]:
    return {each.index: shares.slice(CAP, each) for each in shares.members}


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_suppliers_have_their_parts_outright(count: int) -> None:
    sold = a_roster(*((100 + index, 3 + index) for index in range(count)))
    paid = sum(each.unit_price * each.weight for each in sold)
    for seed in (b"1", b"2"):
        shares = draw_shares(weigh_by_cost(sold), keccak(seed), SESSION_ID, 5)
        assert slices(shares) == {
            index: CAP * each.unit_price * each.weight // paid for index, each in enumerate(sold)
        }


@pytest.mark.parametrize("members", [1, 3, 5])
def test_of_many_each_has_its_part_on_average_and_all_have_all(members: int) -> None:
    sold = a_roster((700, 1), (10, 100), (900, 7), (1, 1), (500, 3), (650, 8))
    paid = sum(each.unit_price * each.weight for each in sold)
    weighed, sessions = weigh_by_cost(sold), 4_000
    got = [0] * len(sold)
    for number in range(sessions):
        shares = draw_shares(weighed, keccak(b"%d" % number), SESSION_ID, members)
        assert sum(shares.parts) == shares.whole == members
        for member, part in zip(shares.members, shares.parts, strict=True):
            got[member.index] += part
    draws = sessions * members
    for each, hits in zip(sold, got, strict=True):
        part = Fraction(each.unit_price * each.weight, paid)
        spread = sqrt(float(draws * part * (1 - part)))
        assert abs(hits - draws * part) < 4.5 * spread  # one in 20,000 for all eighteen


def test_weights_keep_the_smallest_and_fit_a_roster() -> None:
    most = 2**25 - 1
    weighed = weigh_by_cost(a_roster((1, 1), *((2**64 - 1, most),) * 127))
    assert weighed[0].weight == 1
    assert sum(each.weight for each in weighed) < 2**32
    assert weigh_by_cost(()) == ()


def test_nobody_else_has_a_slice() -> None:
    shares = draw_shares(a_roster((1, 1), (1, 1)), keccak(b"s"), SESSION_ID, 1)
    (member,) = shares.members
    other = next(each for each in range(2) if each != member.index)
    with pytest.raises(ValueError, match="not in"):
        shares.slice(CAP, type(member)(other, 0))
