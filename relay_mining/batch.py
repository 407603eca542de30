"""Receipt batches: one signature over the Merkle root of many receipt hashes.

The tree is OpenZeppelin's `MerkleProof`: an inner node hashes its two children in sorted order, so
a path needs no directions, and an odd node moves up as it is. Leaves are EIP-712 digests, whose
preimage is 66 bytes, so no inner node, of 64 bytes, passes for one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from relay_mining.errors import InvalidProofError
from relay_mining.hashing import keccak
from relay_mining.mining import BATCH_PATH_MAX, fold_batch_path
from relay_mining.types import HASH_BYTES, Hash32, require_bytes

BATCH_SIZE_MAX = 2**BATCH_PATH_MAX
"""Receipts of a batch: no path is longer than BATCH_PATH_MAX."""


@dataclass(frozen=True, slots=True)
class BatchTree:
    """All levels of a batch's tree, the leaves first."""

    levels: tuple[tuple[Hash32, ...], ...]

    @property
    def root(self) -> Hash32:
        """What the gateway signs; of a single receipt, its hash."""
        return self.levels[-1][0]

    def path(self, index: int) -> tuple[Hash32, ...]:
        """The siblings of a leaf from the bottom up (IndexError where there is no such leaf)."""
        if not 0 <= index < len(self.levels[0]):
            raise IndexError(f"leaf {index} of {len(self.levels[0])}")
        siblings = []
        for level in self.levels[:-1]:
            if index ^ 1 < len(level):
                siblings.append(level[index ^ 1])
            index >>= 1
        return tuple(siblings)


def build_batch(hashes: Sequence[Hash32]) -> BatchTree:
    """Return the tree over 1 to BATCH_SIZE_MAX receipt hashes, in their order (else ValueError)."""
    if not 1 <= len(hashes) <= BATCH_SIZE_MAX:
        raise ValueError(f"a batch of {len(hashes)} receipts")
    for value in hashes:
        require_bytes("receipt hash", value, HASH_BYTES)
    levels = [tuple(hashes)]
    while len(levels[-1]) > 1:
        levels.append(_parents(levels[-1]))
    return BatchTree(tuple(levels))


def verify_batch_path(leaf: Hash32, path: Sequence[Hash32], root: Hash32) -> None:
    """Refuse a path that does not lead from a receipt hash to the root (InvalidProofError)."""
    if len(path) > BATCH_PATH_MAX:
        raise InvalidProofError(f"a batch path of {len(path)} hashes")
    if any(len(value) != HASH_BYTES for value in (leaf, *path)):
        raise InvalidProofError("a batch path with a hash that is not 32 bytes")
    if fold_batch_path(leaf, path) != root:
        raise InvalidProofError("the batch path leads to another root")


def _parents(level: tuple[Hash32, ...]) -> tuple[Hash32, ...]:
    pairs = zip(level[::2], level[1::2], strict=False)
    parents = [keccak(a + b if a < b else b + a) for a, b in pairs]
    if len(level) % 2:
        parents.append(level[-1])
    return tuple(parents)
