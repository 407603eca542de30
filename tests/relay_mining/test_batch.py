import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_mining import (
    BATCH_SIZE_MAX,
    InvalidProofError,
    build_batch,
    keccak,
    verify_batch_path,
)
from tests.factories import a_hash

SIZES = st.one_of(st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65]), st.integers(1, 130))


def hashes_of(count: int) -> list[bytes]:
    return [a_hash(index) for index in range(count)]


def reference_root(nodes: list[bytes]) -> bytes:
    """Root by recursion on pairs, in the words of OpenZeppelin's commutative hash."""
    if len(nodes) == 1:
        return nodes[0]
    pairs = [nodes[at : at + 2] for at in range(0, len(nodes), 2)]
    return reference_root([keccak(b"".join(sorted(p))) if len(p) == 2 else p[0] for p in pairs])


@given(SIZES)
def test_every_receipt_has_a_path_to_the_root(count: int) -> None:
    hashes = hashes_of(count)
    tree = build_batch(hashes)
    assert tree.root == reference_root(hashes)
    for index, value in enumerate(hashes):
        path = tree.path(index)
        assert len(path) <= (count - 1).bit_length() <= 16
        verify_batch_path(value, path, tree.root)


def test_a_batch_of_one_is_its_receipt() -> None:
    tree = build_batch([a_hash(0)])
    assert tree.root == a_hash(0)
    assert tree.path(0) == ()


def test_an_odd_receipt_moves_up_as_it_is() -> None:
    tree = build_batch(hashes_of(3))
    assert len(tree.path(0)) == len(tree.path(1)) == 2
    assert tree.path(2) == (keccak(b"".join(sorted(hashes_of(2)))),)


def test_the_largest_batch_has_paths_of_sixteen() -> None:
    tree = build_batch([index.to_bytes(32, "big") for index in range(BATCH_SIZE_MAX)])
    path = tree.path(BATCH_SIZE_MAX - 1)
    assert len(path) == 16
    verify_batch_path((BATCH_SIZE_MAX - 1).to_bytes(32, "big"), path, tree.root)


@pytest.mark.parametrize("count", [0, BATCH_SIZE_MAX + 1])
def test_batches_outside_the_limits_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="a batch of"):
        build_batch([bytes(32)] * count)


def test_a_hash_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="31 bytes"):
        build_batch([a_hash(0), bytes(31)])


@pytest.mark.parametrize("index", [-1, 5])
def test_there_is_no_path_to_what_is_not_in_the_batch(index: int) -> None:
    with pytest.raises(IndexError):
        build_batch(hashes_of(5)).path(index)


@given(SIZES, st.data())
def test_a_path_proves_nothing_else(count: int, data: st.DataObject) -> None:
    hashes = hashes_of(count)
    tree = build_batch(hashes)
    index = data.draw(st.integers(0, count - 1))
    path = tree.path(index)
    lies = [
        (a_hash("not in it"), path, tree.root),
        (hashes[index], path, a_hash("another root")),
        (hashes[index], (*path, a_hash("more")), tree.root),
    ]
    if path:
        lies += [
            (hashes[index], path[:-1], tree.root),
            (hashes[index], (a_hash("a lie"), *path[1:]), tree.root),
            (tree.root, path, tree.root),
        ]
    for leaf, siblings, root in lies:
        with pytest.raises(InvalidProofError):
            verify_batch_path(leaf, siblings, root)


def test_an_inner_node_is_refused_by_length_and_a_long_path_by_count() -> None:
    tree = build_batch(hashes_of(2))
    preimage = b"".join(sorted(hashes_of(2)))
    with pytest.raises(InvalidProofError, match="32 bytes"):
        verify_batch_path(preimage, (), tree.root)
    with pytest.raises(InvalidProofError, match="of 17 hashes"):
        verify_batch_path(a_hash(0), (bytes(32),) * 17, tree.root)
    with pytest.raises(InvalidProofError, match="32 bytes"):
        verify_batch_path(a_hash(0), (bytes(33),), tree.root)
