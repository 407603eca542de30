"""The verifiers of the trie, of batches and of whole proofs: only what is true passes.

An opening or a proof is written as bytes, edited, read back, and verified; where it is accepted, it
must be the honest one.
"""

import struct

from relay_mining import (
    InvalidProofError,
    Leaf,
    LeafOpening,
    LeafProof,
    SumTrie,
    build_batch,
    challenge_points,
    verify_batch_path,
    verify_opening,
)
from tests.factories import a_hash
from tests.fuzz.target import Target
from tests.relay_mining.claimed import SEED, a_claimed_session

NODE = 48
HASH = 32
_OPENING = struct.Struct(">Q32sQQ")
_PROOF = struct.Struct(">32s32sQ32s65sB")
WEIGHTS = (1, 1, 2, 1_000, 1_000, 1_500, 70_000, 2**40, 1, 5)
TRIE = SumTrie.build([Leaf(a_hash(index), weight) for index, weight in enumerate(WEIGHTS)])
POINTS = (0, TRIE.root.sum // 2, TRIE.root.sum - 1)
CLAIMED = a_claimed_session()
(POINT,) = challenge_points(SEED, 1, CLAIMED.claim.root.sum)
(PROOF,) = CLAIMED.proof(1)
HASHES = tuple(a_hash(index) for index in range(11))
BATCH = build_batch(HASHES)


def _split(data: bytes, size: int) -> tuple[bytes, ...]:
    return tuple(data[at : at + size] for at in range(0, len(data), size))


def _write_opening(point: int) -> bytes:
    opening = TRIE.open(point)
    leaf = opening.leaf
    return _OPENING.pack(point, leaf.path, leaf.weight, opening.start) + b"".join(opening.siblings)


def verify_edited_opening(data: bytes) -> bool:
    """Whether the trie's verifier took an opening."""
    if len(data) < _OPENING.size:
        return False
    point, path, weight, start = _OPENING.unpack_from(data)
    opening = LeafOpening(Leaf(path, weight), _split(data[_OPENING.size :], NODE), start)
    try:
        verify_opening(TRIE.root, point, opening)
    except InvalidProofError:
        return False
    assert opening == TRIE.open(point), "an opening that is not the trie's"
    return True


def _write_proof(proof: LeafProof) -> bytes:
    fixed = _PROOF.pack(
        proof.request_hash, proof.response_hash, proof.units, proof.secret, proof.batch_signature,
        len(proof.batch_path),
    )  # fmt: skip
    return fixed + b"".join(proof.batch_path) + proof.siblings


def verify_edited_proof(data: bytes) -> bool:
    """Whether the proof's verifier took a leaf."""
    if len(data) < _PROOF.size:
        return False
    request, response, units, secret, signature, count = _PROOF.unpack_from(data)
    end = _PROOF.size + HASH * count
    path = _split(data[_PROOF.size : end], HASH)
    proof = LeafProof(request, response, units, secret, path, signature, data[end:])
    try:
        CLAIMED.verify((proof,), 1)
    except InvalidProofError:
        return False
    assert proof == PROOF, "a proof that is not the claim's"
    return True


def verify_edited_path(data: bytes) -> bool:
    """Whether a batch's verifier took a path."""
    leaf, *path = _split(data, HASH) or (b"",)
    try:
        verify_batch_path(leaf, path, BATCH.root)
    except InvalidProofError:
        return False
    assert leaf in HASHES or not path, "a path to a hash that is not in the batch"
    return True


TARGETS = (
    Target("trie opening", tuple(map(_write_opening, POINTS)), verify_edited_opening),
    Target("leaf proof", (_write_proof(PROOF),), verify_edited_proof),
    Target(
        "batch path",
        tuple(HASHES[index] + b"".join(BATCH.path(index)) for index in (0, 5, 10)),
        verify_edited_path,
    ),
)
