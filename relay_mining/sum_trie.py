"""Sparse Merkle sum trie over the relays mined in one session.

    leaf   digest = sha256(0x00 || path32 || value || be64(weight) || be64(1))
    inner  digest = sha256(0x01 || left48 || right48 || be64(sum) || be64(count))
    node   = digest || be64(sum) || be64(count)          empty = 48 zero bytes

Bit i of a path is its i-th most significant; a subtree with one leaf *is* that leaf, and a
prefix shared by two or more leaves is hashed as the chain of inner nodes with empty siblings.
A key fixes its position, so every bad leaf (invented, inflated, duplicated, misplaced) is bad
by itself when it is opened. Leaves in order of their paths lie one after another on the line
`[0, sum)`; a point of that line selects the one leaf that covers it.

The trie is built once, in bulk: a branch sits between two neighbours of the sorted keys, at the
depth of their common prefix, so one pass with a stack (the Cartesian tree of the prefix lengths)
makes every branch when both of its sides are complete.

Source: the node format of pokt-network/smt (sum trie, sha256, no value hasher); the tree of the
prefix lengths after G. Gawrychowski and others, as in linear-time suffix trees.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from relay_mining.errors import InvalidClaimError, UnitsOverflowError
from relay_mining.faults import ProofFault, RefusedProofError

PATH_BYTES = 32
DEPTH_MAX = 8 * PATH_BYTES
NODE_BYTES = 48
SUM_MAX = 2**64 - 1
EMPTY = bytes(NODE_BYTES)
_ONE = (1).to_bytes(8, "big")
_RECORD = PATH_BYTES + 8


@dataclass(frozen=True, slots=True)
class Leaf:
    """One payable relay: path = receipt hash (32 bytes), weight in compute units, value empty."""

    path: bytes
    weight: int
    value: bytes = b""


@dataclass(frozen=True, slots=True)
class TrieRoot:
    """A commitment to every leaf, the sum of their weights and their number."""

    digest: bytes
    sum: int
    count: int

    def encode(self) -> bytes:
        """Return the 48 bytes of the root node."""
        return self.digest + self.sum.to_bytes(8, "big") + self.count.to_bytes(8, "big")


@dataclass(frozen=True, slots=True)
class LeafOpening:
    """A leaf, its siblings from the leaf up (48 bytes each) and where its range starts."""

    leaf: Leaf
    siblings: tuple[bytes, ...]
    start: int


def hash_leaf(leaf: Leaf) -> bytes:
    """Return the 48-byte node of a leaf."""
    tail = leaf.weight.to_bytes(8, "big") + _ONE
    return sha256(b"\x00" + leaf.path + leaf.value + tail).digest() + tail


def hash_inner(left: bytes, right: bytes) -> bytes:
    """Return the 48-byte node above two nodes whose sums are known to fit 64 bits."""
    both = int.from_bytes(left[32:], "big") + int.from_bytes(right[32:], "big")
    tail = both.to_bytes(16, "big")  # sum and count in one addition: neither carries
    return sha256(b"\x01" + left + right + tail).digest() + tail


class SumTrie:
    """The trie of one session: built once, then asked for openings; ~150 bytes a leaf.

    Raises:
        InvalidClaimError: two leaves share a path, or one is not 32 bytes.
        UnitsOverflowError: a weight or the sum does not fit 64 bits.
    """

    __slots__ = ("_branches", "_depths", "_ends", "_left", "_records", "_right", "_values", "root")

    def __init__(self, leaves: Iterable[Leaf]) -> None:
        self._values: dict[bytes, bytes] = {}
        records = sorted(self._encode(leaves))
        self._records = b"".join(records)
        self._ends = array("Q", _running_sums(records))
        count = len(records)
        self._depths = array("H", bytes(2 * count))
        self._left = array("q", bytes(8 * count))
        self._right = array("q", bytes(8 * count))
        self._branches = bytearray(NODE_BYTES * count)
        del records
        top = self._build() if count else EMPTY
        self.root = TrieRoot(top[:32], int.from_bytes(top[32:40], "big"), count)

    @classmethod
    def build(cls, leaves: Iterable[Leaf]) -> "SumTrie":
        """Return the trie of `leaves`, in any order, read once."""
        return cls(leaves)

    def __len__(self) -> int:
        return self.root.count

    def leaf(self, index: int) -> Leaf:
        """Return the `index`-th leaf in the order of paths."""
        record = self._records[index * _RECORD : (index + 1) * _RECORD]
        path = record[:PATH_BYTES]
        weight = int.from_bytes(record[PATH_BYTES:], "big")
        return Leaf(path, weight, self._values.get(path, b""))

    def leaves(self) -> Iterator[Leaf]:
        """Yield every leaf in the order of paths."""
        return (self.leaf(index) for index in range(len(self)))

    def open(self, point: int) -> LeafOpening:
        """Return the opening of the leaf whose range covers `point` (in weight, < sum).

        Raises:
            ValueError: the point lies outside of the trie.
        """
        if not 0 <= point < self.root.sum:
            raise ValueError(f"{point=} lies outside [0, {self.root.sum})")
        index = bisect_right(self._ends, point)
        leaf = self.leaf(index)
        return LeafOpening(leaf, self._siblings(index), self._ends[index] - leaf.weight)

    def _encode(self, leaves: Iterable[Leaf]) -> Iterator[bytes]:
        for leaf in leaves:
            if len(leaf.path) != PATH_BYTES:
                raise InvalidClaimError(f"a path has {len(leaf.path)} bytes, not {PATH_BYTES}")
            if not 0 <= leaf.weight <= SUM_MAX:
                raise UnitsOverflowError(f"a weight of {leaf.weight} does not fit 64 bits")
            if leaf.value:
                self._values[leaf.path] = leaf.value
            yield leaf.path + leaf.weight.to_bytes(8, "big")

    def _build(self) -> bytes:
        """Fill the branches and return the root node.

        Branch j separates leaf j-1 from leaf j. On the stack lie the branches whose right side
        is still growing, each with its finished left side. Children are signed: branch j as j,
        leaf i as ~i. This loop is the whole cost of a claim, hence the local names.
        """
        records, values, depths = self._records, self._values, self._depths
        left, right, branches = self._left, self._right, self._branches
        open_branches: list[tuple[int, int, bytes]] = []  # depth, branch, left node
        key_before = 0
        node, below, child = EMPTY, DEPTH_MAX, 0
        for index in range(len(depths) + 1):
            if index < len(depths):
                record = records[index * _RECORD : (index + 1) * _RECORD]
                key = int.from_bytes(record[:PATH_BYTES], "big")
                depth = DEPTH_MAX - (key ^ key_before).bit_length() if index else -1
            else:
                depth = -1
            while open_branches and open_branches[-1][0] > depth:
                above, branch, left_node = open_branches.pop()
                if below > above + 1 and child >= 0:
                    node = _lift(node, key_before, below, above + 1)
                node = hash_inner(left_node, node)
                at = branch * NODE_BYTES
                branches[at : at + NODE_BYTES] = node
                right[branch] = child
                below, child = above, branch
            if index == len(depths):
                break
            if index:
                if below > depth + 1 and child >= 0:
                    node = _lift(node, key_before, below, depth + 1)
                open_branches.append((depth, index, node))
                depths[index], left[index] = depth, child
            path = record[:PATH_BYTES]
            tail = record[PATH_BYTES:] + _ONE
            value = values.get(path, b"") if values else b""
            node = sha256(b"\x00" + path + value + tail).digest() + tail
            below, child, key_before = DEPTH_MAX, ~index, key
        left[0] = child  # branch 0 does not exist: its slot holds the top of the trie
        return _lift(node, key_before, below, 0) if child >= 0 else node

    def _siblings(self, index: int) -> tuple[bytes, ...]:
        """Collect the siblings of a leaf on the way down from the top, then turn them round."""
        found: list[bytes] = []
        node = self._left[0]
        while node >= 0:
            depth = self._depths[node]
            found.extend([EMPTY] * (depth - len(found)))
            inside, outside = self._left[node], self._right[node]
            if index >= node:
                inside, outside = outside, inside
            found.append(self._node(outside, depth + 1))
            node = inside
        return tuple(reversed(found))

    def _node(self, child: int, depth: int) -> bytes:
        if child < 0:
            return hash_leaf(self.leaf(~child))
        node = bytes(self._branches[child * NODE_BYTES : (child + 1) * NODE_BYTES])
        key = int.from_bytes(self._records[child * _RECORD : child * _RECORD + PATH_BYTES], "big")
        return _lift(node, key, self._depths[child], depth)


def verify_opening(root: TrieRoot, point: int, opening: LeafOpening) -> None:
    """Check that `opening` is the leaf of `root` that covers `point`.

    The number of siblings is the depth of the leaf; sibling j from the leaf up hangs at depth
    d-1-j, on the side that the path's bit at that depth leaves free.

    Raises:
        InvalidProofError: with the fault MalformedSiblings, SumOverflow, PathMismatch,
            RootMismatch or PointNotCovered.
    """
    leaf, siblings = opening.leaf, opening.siblings
    if len(leaf.path) != PATH_BYTES:
        raise RefusedProofError(ProofFault.PATH_MISMATCH, f"a path of {len(leaf.path)} bytes")
    if not 0 <= leaf.weight <= SUM_MAX:
        raise RefusedProofError(ProofFault.SUM_OVERFLOW, f"a weight of {leaf.weight}")
    node, start = fold_siblings(hash_leaf(leaf), int.from_bytes(leaf.path, "big"), siblings)
    if node != root.encode():
        raise RefusedProofError(ProofFault.ROOT_MISMATCH, "the siblings lead to another root")
    if opening.start != start:
        raise RefusedProofError(
            ProofFault.POINT_NOT_COVERED, f"the leaf starts at {start}, not {opening.start}"
        )
    if not start <= point < start + leaf.weight:
        raise RefusedProofError(
            ProofFault.POINT_NOT_COVERED,
            f"the leaf covers [{start}, {start + leaf.weight}), not {point}",
        )


def fold_siblings(node: bytes, key: int, siblings: tuple[bytes, ...]) -> tuple[bytes, int]:
    """Return the node reached from a leaf node through its siblings, and the leaf's start.

    Raises:
        InvalidProofError: with the fault MalformedSiblings or SumOverflow.
    """
    depth = len(siblings)
    if depth > DEPTH_MAX:
        raise RefusedProofError(ProofFault.MALFORMED_SIBLINGS, f"{depth} siblings")
    start = 0
    for sibling in siblings:
        if len(sibling) != NODE_BYTES:
            raise RefusedProofError(
                ProofFault.MALFORMED_SIBLINGS, f"a sibling of {len(sibling)} bytes"
            )
        depth -= 1
        _refuse_overflow(node, sibling)
        if key >> (DEPTH_MAX - 1 - depth) & 1:
            start += int.from_bytes(sibling[32:40], "big")
            node = hash_inner(sibling, node)
        else:
            node = hash_inner(node, sibling)
    return node, start


def _refuse_overflow(node: bytes, sibling: bytes) -> None:
    for field in (slice(32, 40), slice(40, 48)):
        total = int.from_bytes(node[field], "big") + int.from_bytes(sibling[field], "big")
        if total > SUM_MAX:
            raise RefusedProofError(ProofFault.SUM_OVERFLOW, f"{total} does not fit 64 bits")


def _lift(node: bytes, key: int, depth: int, to: int) -> bytes:
    """Return the node at depth `to` of a branch at `depth` whose way up has no other leaf."""
    for above in range(depth - 1, to - 1, -1):
        right = key >> (DEPTH_MAX - 1 - above) & 1
        node = hash_inner(EMPTY, node) if right else hash_inner(node, EMPTY)
    return node


def _running_sums(records: list[bytes]) -> Iterator[int]:
    total, path_before = 0, b""
    for record in records:
        path = record[:PATH_BYTES]
        if path == path_before:
            raise InvalidClaimError(f"two leaves share the path {path.hex()}")
        total += int.from_bytes(record[PATH_BYTES:], "big")
        if total > SUM_MAX:
            raise UnitsOverflowError(f"a sum of {total} does not fit 64 bits")
        path_before = path
        yield total
