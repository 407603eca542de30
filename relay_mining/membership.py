"""Who serves a session: `members` suppliers drawn by weight, without replacement.

Draw `d` of a session hits a point of the roster's running sum of weights; a hit on a supplier
already drawn is skipped. That is successive weighted sampling without replacement, and it lets the
contract check one member by one point, without the draws of the others (`verify_member`).
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from relay_mining.errors import InvalidClaimError
from relay_mining.hashing import keccak, word
from relay_mining.types import (
    ADDRESS_BYTES,
    HASH_BYTES,
    UINT32_MAX,
    UINT64_MAX,
    Address,
    Hash32,
    require_bytes,
    require_range,
)

DRAWS_MAX = 64
"""Draws of a session; members not found by then are not drawn."""


@dataclass(frozen=True, slots=True)
class RosterEntry:
    """A supplier of a service for one epoch: its price and its weight in every draw.

    `unit_price` is token base units for a million compute units.
    """

    supplier: Address
    unit_price: int
    weight: int

    def __post_init__(self) -> None:
        require_bytes("supplier", self.supplier, ADDRESS_BYTES)
        require_range("unit_price", self.unit_price, 1, UINT64_MAX)
        require_range("weight", self.weight, 1, UINT32_MAX)


@dataclass(frozen=True, slots=True)
class DrawnMember:
    """A member of a session and what shows it: which draw hits its place in the roster.

    `earlier` holds the roster indices of all draws before, and is empty where `draw` is below the
    number of members: so early a draw makes a member whatever came before.
    """

    index: int
    draw: int
    earlier: tuple[int, ...] = ()


def draw_members(
    entries: Sequence[RosterEntry], seed: Hash32, session_id: Hash32, members: int
) -> tuple[DrawnMember, ...]:
    """Return the members of a session in the order of their draws; `seed` is that of n-1.

    Fewer than `members` where the roster has fewer, or where DRAWS_MAX draws do not find them.
    """
    require_range("members", members, 1, 2**8 - 1)
    draws = Draws(entries, seed, session_id)
    drawn: list[DrawnMember] = []
    hits: list[int] = []
    seen: set[int] = set()
    wanted = min(members, len(entries))
    for draw in range(DRAWS_MAX):
        if len(drawn) == wanted:
            break
        index = draws.hit(draw)
        if index not in seen:
            seen.add(index)
            drawn.append(DrawnMember(index, draw, tuple(hits) if draw >= members else ()))
        hits.append(index)
    return tuple(drawn)


def verify_member(
    entries: Sequence[RosterEntry],
    seed: Hash32,
    session_id: Hash32,
    members: int,
    supplier: Address,
    member: DrawnMember,
) -> RosterEntry:
    """Return the roster entry that makes `supplier` a member, checked as the contract does.

    Raises InvalidClaimError for anything the contract's `verifyMember` reverts on.
    """
    require_range("members", members, 1, 2**8 - 1)
    if not 0 <= member.index < len(entries) or entries[member.index].supplier != supplier:
        raise InvalidClaimError(f"0x{supplier.hex()} is not entry {member.index} of the roster")
    if not 0 <= member.draw < DRAWS_MAX:
        raise InvalidClaimError(f"there is no draw {member.draw}")
    draws = Draws(entries, seed, session_id)
    if draws.hit(member.draw) != member.index:
        raise InvalidClaimError(f"draw {member.draw} does not hit entry {member.index}")
    _verify_earlier(draws, members, member)
    return entries[member.index]


def is_member(
    entries: Sequence[RosterEntry],
    seed: Hash32,
    session_id: Hash32,
    members: int,
    supplier: Address,
) -> bool:
    """Whether a supplier is drawn for a session."""
    drawn = draw_members(entries, seed, session_id, members)
    return any(entries[member.index].supplier == supplier for member in drawn)


def _verify_earlier(draws: "Draws", members: int, member: DrawnMember) -> None:
    needed = member.draw if member.draw >= members else 0
    if len(member.earlier) != needed:
        raise InvalidClaimError(f"{len(member.earlier)} earlier draws instead of {needed}")
    for draw, index in enumerate(member.earlier):
        if draws.hit(draw) != index:
            raise InvalidClaimError(f"draw {draw} does not hit entry {index}")
    if len(set(member.earlier)) >= members:
        raise InvalidClaimError(f"{members} members are drawn before draw {member.draw}")


class Draws:
    """The draws of one session over one roster; internal to the package."""

    __slots__ = ("_cumulative", "_draw_seed")

    def __init__(self, entries: Sequence[RosterEntry], seed: Hash32, session_id: Hash32) -> None:
        require_bytes("seed", seed, HASH_BYTES)
        require_bytes("session_id", session_id, HASH_BYTES)
        self._cumulative = list(accumulate(entry.weight for entry in entries))
        if entries:
            require_range("total weight", self._cumulative[-1], 1, UINT32_MAX)
        self._draw_seed = keccak(seed + session_id)

    def hit(self, draw: int) -> int:
        """The roster index a draw hits: the first whose cumulative weight exceeds its point."""
        digest = keccak(self._draw_seed + word(draw))
        return bisect_right(self._cumulative, int.from_bytes(digest, "big") % self._cumulative[-1])
