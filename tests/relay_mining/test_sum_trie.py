"""The trie against golden roots of pokt-network/smt, a slow definition, and liars."""

import hashlib
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_mining import (
    EMPTY,
    InvalidClaimError,
    Leaf,
    LeafOpening,
    ProofFault,
    RefusedProofError,
    SumTrie,
    TrieRoot,
    UnitsOverflowError,
    hash_leaf,
    verify_opening,
)
from relay_mining.sum_trie import hash_inner

VECTORS = Path(__file__).parents[1] / "vectors" / "smst_roots.json"
GOLDEN = json.loads(VECTORS.read_text())["roots"]
SUM_MAX = 2**64 - 1


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def golden_leaves(case: dict[str, Any]) -> list[Leaf]:
    """The leaves of a vector, made by the rule its name states where they are not listed."""
    if "leaves" in case:
        return [
            Leaf(bytes.fromhex(leaf["path"]), leaf["weight"], bytes.fromhex(leaf["value_hex"]))
            for leaf in case["leaves"]
        ]
    if case["name"].startswith("bench_style"):
        keys = [index.to_bytes(8, "big") for index in range(case["n_leaves"])]
        return [Leaf(sha256(key), index, key) for index, key in enumerate(keys)]
    values = [b"relay-%d" % index for index in range(case["n_leaves"])]
    return [Leaf(sha256(sha256(value)), 100, value) for value in values]


def slow_node(leaves: list[Leaf], depth: int = 0) -> bytes:
    """The definition of the format, bit by bit."""
    if not leaves:
        return EMPTY
    if len(leaves) == 1:
        return hash_leaf(leaves[0])
    sides: tuple[list[Leaf], list[Leaf]] = ([], [])
    for leaf in leaves:
        sides[leaf.path[depth // 8] >> (7 - depth % 8) & 1].append(leaf)
    return hash_inner(slow_node(sides[0], depth + 1), slow_node(sides[1], depth + 1))


def close_paths(rng: Random, count: int) -> list[bytes]:
    """Paths that share prefixes of every length, the last bit included."""
    paths = {rng.randbytes(32)}
    while len(paths) < count:
        key = int.from_bytes(rng.choice(sorted(paths)), "big")
        paths.add((key ^ (1 << rng.choice([0, 1, 7, 8, 128, 254, 255]))).to_bytes(32, "big"))
    return sorted(paths, key=lambda _: rng.random())


@pytest.mark.parametrize("case", GOLDEN, ids=[case["name"].split()[0] for case in GOLDEN])
def test_golden_roots(case: dict[str, Any]) -> None:
    root = SumTrie.build(golden_leaves(case)).root
    assert root.encode().hex() == case["root"]
    assert (root.sum, root.count) == (case["sum"], case["count"])


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 24))
def test_a_bulk_build_equals_the_definition_and_opens_everywhere(seed: int, count: int) -> None:
    rng = Random(seed)
    paths = close_paths(rng, count) if seed % 2 else [rng.randbytes(32) for _ in range(count)]
    leaves = [Leaf(path, rng.choice([0, 1, 2, 10**6])) for path in paths]
    trie = SumTrie.build(leaves)
    assert trie.root.encode() == slow_node(leaves)
    start = 0
    for leaf in sorted(leaves, key=lambda leaf: leaf.path):
        for point in {start, start + leaf.weight - 1} if leaf.weight else ():
            opening = trie.open(point)
            assert (opening.leaf, opening.start) == (leaf, start)
            verify_opening(trie.root, point, opening)
        start += leaf.weight
    assert list(trie.leaves()) == sorted(leaves, key=lambda leaf: leaf.path)


def test_two_paths_that_differ_in_the_last_bit_are_256_deep() -> None:
    trie = SumTrie.build([Leaf(bytes(32), 3), Leaf(bytes(31) + b"\x01", 4)])
    opening = trie.open(3)
    assert len(opening.siblings) == 256
    verify_opening(trie.root, 3, opening)
    too_deep = LeafOpening(opening.leaf, (*opening.siblings, EMPTY), opening.start)
    assert fault_of(trie.root, 3, too_deep) is ProofFault.MALFORMED_SIBLINGS


def test_a_range_ends_before_the_next_begins() -> None:
    trie = SumTrie.build(Leaf(sha256(bytes([index])), 5) for index in range(9))
    for point in range(45):
        opening = trie.open(point)
        verify_opening(trie.root, point, opening)
        for other in {opening.start - 1, opening.start + 5}:
            assert fault_of(trie.root, other, opening) is ProofFault.POINT_NOT_COVERED
    for point in (-1, 45, 2**64):
        with pytest.raises(ValueError, match="outside"):
            trie.open(point)


def test_an_empty_trie_has_nothing_to_open() -> None:
    trie = SumTrie.build([])
    assert trie.root == TrieRoot(bytes(32), 0, 0)
    with pytest.raises(ValueError, match="outside"):
        trie.open(0)


def test_duplicates_and_malformed_leaves_are_refused() -> None:
    path = sha256(b"path")
    with pytest.raises(InvalidClaimError, match="two leaves"):
        SumTrie.build([Leaf(path, 1), Leaf(path, 2)])
    with pytest.raises(InvalidClaimError, match="31 bytes"):
        SumTrie.build([Leaf(path[:31], 1)])
    for weight in (-1, SUM_MAX + 1):
        with pytest.raises(UnitsOverflowError):
            SumTrie.build([Leaf(path, weight)])
    with pytest.raises(UnitsOverflowError, match="sum"):
        SumTrie.build([Leaf(path, SUM_MAX), Leaf(bytes(32), 1)])
    assert SumTrie.build([Leaf(path, SUM_MAX - 1), Leaf(bytes(32), 1)]).root.sum == SUM_MAX


def fault_of(root: TrieRoot, point: int, opening: LeafOpening) -> ProofFault | None:
    try:
        verify_opening(root, point, opening)
    except RefusedProofError as error:
        return error.fault
    return None


def a_trie(count: int = 40) -> SumTrie:
    return SumTrie.build(Leaf(sha256(b"%d" % index), index + 1) for index in range(count))


def test_every_changed_bit_of_an_opening_is_refused() -> None:
    trie = a_trie()
    opening = trie.open(400)
    for level, sibling in enumerate(opening.siblings):
        for bit in (0, 255, 256, 319, 320, 383):
            changed = (int.from_bytes(sibling, "big") ^ (1 << 383 - bit)).to_bytes(48, "big")
            siblings = (*opening.siblings[:level], changed, *opening.siblings[level + 1 :])
            fault = fault_of(trie.root, 400, LeafOpening(opening.leaf, siblings, opening.start))
            assert fault in (ProofFault.ROOT_MISMATCH, ProofFault.SUM_OVERFLOW)


def test_a_leaf_opened_where_its_key_does_not_belong_is_refused() -> None:
    trie = a_trie()
    opening = trie.open(400)
    key = int.from_bytes(opening.leaf.path, "big")
    for depth in range(len(opening.siblings)):
        path = (key ^ (1 << 255 - depth)).to_bytes(32, "big")
        moved = LeafOpening(Leaf(path, opening.leaf.weight), opening.siblings, opening.start)
        assert fault_of(trie.root, 400, moved) is ProofFault.ROOT_MISMATCH


@pytest.mark.parametrize("cut", [0, 47, 49, 96])
def test_siblings_of_another_length_are_refused(cut: int) -> None:
    trie = a_trie()
    opening = trie.open(400)
    siblings = (opening.siblings[0][:cut].ljust(cut, b"\0"), *opening.siblings[1:])
    fault = fault_of(trie.root, 400, LeafOpening(opening.leaf, siblings, opening.start))
    assert fault is ProofFault.MALFORMED_SIBLINGS


def test_sums_and_counts_that_wrap_are_refused() -> None:
    leaf = Leaf(bytes(32), 2)
    for tail in (SUM_MAX - 1 << 64 | 1, 1 << 64 | SUM_MAX):
        sibling = bytes(32) + tail.to_bytes(16, "big")
        opening = LeafOpening(leaf, (sibling,), 0)
        root = TrieRoot(bytes(32), 1, 2)
        assert fault_of(root, 0, opening) is ProofFault.SUM_OVERFLOW


def test_a_start_that_is_not_the_leafs_is_refused() -> None:
    trie = a_trie()
    opening = trie.open(400)
    moved = LeafOpening(opening.leaf, opening.siblings, opening.start + 1)
    assert fault_of(trie.root, 400, moved) is ProofFault.POINT_NOT_COVERED
    long_path = LeafOpening(Leaf(bytes(33), 1), (), 0)
    assert fault_of(trie.root, 0, long_path) is ProofFault.PATH_MISMATCH
    heavy = LeafOpening(Leaf(bytes(32), SUM_MAX + 1), (), 0)
    assert fault_of(trie.root, 0, heavy) is ProofFault.SUM_OVERFLOW
