"""A Merkle tree over leaves in line that sums counts, units and costs from left to right.

A leaf's opening says what stands before it, so a few leaves tell where a line of orders ends and
what its first units cost. The sums of both children are under a node's hash (G. Maxwell's summation
tree), so leaves that open stand at places of their own among as many as the root counts. The shape
follows from the count alone, so a line of leaves has one root. Mirrors
`contracts/src/libraries/SortedSumTree.sol`, byte for byte.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from pricing.draws import keccak

COUNT_MAX, UNITS_MAX, COST_MAX = 2**32 - 1, 2**64 - 1, 2**128 - 1
DEPTH_MAX = 32


class ClearingFault(Enum):
    """What is wrong with an opening or a clearing; named as the contract's errors are."""

    TOO_DEEP = "Tree_TooDeep"
    SUMS_OUT_OF_RANGE = "Tree_SumsOutOfRange"
    ROOT_MISMATCH = "Tree_RootMismatch"
    WRONG_SHAPE = "Tree_ShapeMismatch"
    WRONG_SALE_COUNT = "Clearing_WrongSaleCount"
    SALE_OUT_OF_ORDER = "Clearing_SaleOutOfOrder"
    NOT_SOLD = "Clearing_NotSold"
    NOT_COVERED = "Clearing_NotCovered"
    NOTHING_SOLD = "Clearing_NothingSold"
    PRICE_OUT_OF_RANGE = "Clearing_PriceOutOfRange"


class InvalidClearingError(ValueError):
    """An opening or a clearing that does not hold; `fault` says why."""

    def __init__(self, fault: ClearingFault) -> None:
        super().__init__(fault.value)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Sums:
    """Leaves, their units, and what those cost."""

    count: int = 0
    units: int = 0
    cost: int = 0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.count + other.count, self.units + other.units, self.cost + other.cost)

    def encode(self) -> int:
        """`count * 2^192 + units * 2^128 + cost` (OverflowError where one does not fit)."""
        fits = self.count <= COUNT_MAX and self.units <= UNITS_MAX and self.cost <= COST_MAX
        if not fits:
            raise OverflowError(f"sums beyond their width: {self}")
        return self.count << 192 | self.units << 128 | self.cost


@dataclass(frozen=True, slots=True)
class Leaf:
    """One order in line: its key (32 bytes, ascending), its units and what they cost."""

    key: bytes
    units: int
    cost: int = 0

    @property
    def sums(self) -> Sums:
        """The leaf alone."""
        return Sums(1, self.units, self.cost)


@dataclass(frozen=True, slots=True)
class Sibling:
    """A node beside the way up: its digest, and its sums as `Sums.encode` packs them."""

    digest: bytes
    sums: int


@dataclass(frozen=True, slots=True)
class Opening:
    """The way from a leaf up; bit i of `lefts` says that sibling i stands on the left."""

    lefts: int = 0
    siblings: tuple[Sibling, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """A digest and what is under it; with `sums` of zero and a zero digest, nothing."""

    digest: bytes = bytes(32)
    sums: Sums = Sums()


class SortedSumTree:
    """The tree of leaves in the sequence given; honest ones ascend by key."""

    def __init__(self, leaves: Sequence[Leaf]) -> None:
        self._leaves = tuple(leaves)
        self._nodes: dict[tuple[int, int], Node] = {}
        self.root = self._build(0, len(leaves)) if leaves else Node()

    def open(self, position: int) -> Opening:
        """The opening of the leaf at a position (IndexError where there is none)."""
        if not 0 <= position < len(self._leaves):
            raise IndexError(position)
        lefts, siblings = 0, []
        for low, middle, high, is_right in _descend(position, len(self._leaves)):
            beside = self._nodes[(low, middle) if is_right else (middle, high)]
            siblings.append((is_right, Sibling(beside.digest, beside.sums.encode())))
        for index, (is_left, _) in enumerate(reversed(siblings)):
            lefts |= is_left << index
        return Opening(lefts, tuple(each for _, each in reversed(siblings)))

    def _build(self, low: int, high: int) -> Node:
        if high - low == 1:
            leaf = self._leaves[low]
            node = Node(_leaf_digest(leaf.key, leaf.sums.encode()), leaf.sums)
        else:
            middle = (low + high + 1) // 2
            left, right = self._build(low, middle), self._build(middle, high)
            digest = _inner_digest(
                Sibling(left.digest, left.sums.encode()), Sibling(right.digest, right.sums.encode())
            )
            node = Node(digest, left.sums + right.sums)
        self._nodes[low, high] = node
        return node


def verify_place(root: Node, leaf: Leaf, opening: Opening) -> Sums:
    """What stands before a leaf (InvalidClearingError where its opening leads elsewhere)."""
    if len(opening.siblings) > DEPTH_MAX:
        raise InvalidClearingError(ClearingFault.TOO_DEEP)
    own = leaf.sums.encode()
    digest, sums, before = _leaf_digest(leaf.key, own), own, 0
    for index, sibling in enumerate(opening.siblings):
        if sibling.sums >> 224:
            raise InvalidClearingError(ClearingFault.SUMS_OUT_OF_RANGE)
        reached = Sibling(digest, sums)
        if opening.lefts >> index & 1:
            before += sibling.sums
            digest = _inner_digest(sibling, reached)
        else:
            digest = _inner_digest(reached, sibling)
        sums += sibling.sums
    if (digest, sums) != (root.digest, root.sums.encode()):
        raise InvalidClearingError(ClearingFault.ROOT_MISMATCH)
    found = _decode(before)
    upto = found + leaf.sums
    is_within = (
        upto.units <= root.sums.units
        and upto.cost <= root.sums.cost
        and upto.count <= root.sums.count
    )
    if not is_within:
        raise InvalidClearingError(ClearingFault.SUMS_OUT_OF_RANGE)
    turns = [is_right for *_, is_right in _descend(found.count, root.sums.count)]
    lefts = sum(is_right << index for index, is_right in enumerate(reversed(turns)))
    if (lefts, len(turns)) != (opening.lefts, len(opening.siblings)):
        raise InvalidClearingError(ClearingFault.WRONG_SHAPE)
    return found


def _descend(position: int, count: int) -> Iterator[tuple[int, int, int, bool]]:
    """The nodes above a leaf from the root down: low, middle, high, and whether it turns right."""
    low, high = 0, count
    while high - low > 1:
        middle = (low + high + 1) // 2
        is_right = position >= middle
        yield low, middle, high, is_right
        low, high = (middle, high) if is_right else (low, middle)


def _decode(packed: int) -> Sums:
    return Sums(packed >> 192, packed >> 128 & UNITS_MAX, packed & COST_MAX)


def _leaf_digest(key: bytes, sums: int) -> bytes:
    return keccak(b"\0" + key + sums.to_bytes(32, "big"))


def _inner_digest(left: Sibling, right: Sibling) -> bytes:
    parts = (each.digest + each.sums.to_bytes(32, "big") for each in (left, right))
    return keccak(b"\1" + b"".join(parts))
