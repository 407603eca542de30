"""Proofs: opening the challenged points of a claim. The reference of the contract's verdict.

A leaf is rebuilt from what the proof brings (request, response, units, secret) and what the claim
and the salt fix (session, supplier, salt hash, threshold); its receipt hash is its place in the
trie. So a receipt of another session, supplier or salt, one with other units, and one that sits
where its key does not belong all lead to another root. Nothing else of a relay goes on the chain.

The checks run in the order of `ProofFault`, count and salt once, the others leaf by leaf; the
first that fails gives the verdict, in Solidity alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from relay_mining.challenge import challenge_points
from relay_mining.claim import Claim
from relay_mining.faults import ProofFault, RefusedProofError
from relay_mining.hashing import keccak
from relay_mining.messages import Domain, Receipt
from relay_mining.mining import MinedReceipt, mine_receipt, verify_batch
from relay_mining.sum_trie import NODE_BYTES, LeafOpening, SumTrie, fold_siblings, hash_leaf
from relay_mining.types import UNITS_MAX, Address, Hash32, Signature


@dataclass(frozen=True, slots=True)
class LeafProof:
    """One opened leaf: its receipt, less what the claim and the salt already fix.

    `siblings` holds 48 bytes each, from the leaf up.
    """

    request_hash: Hash32
    response_hash: Hash32
    units: int
    secret: Hash32
    batch_path: tuple[Hash32, ...]
    batch_signature: Signature
    siblings: bytes


def build_leaf_proof(opening: LeafOpening, mined: MinedReceipt) -> LeafProof:
    """Return the proof of an opened leaf from the receipt it stands for."""
    receipt = mined.receipt
    return LeafProof(
        request_hash=receipt.request_hash,
        response_hash=receipt.response_hash,
        units=receipt.units,
        secret=receipt.secret,
        batch_path=mined.batch_path,
        batch_signature=mined.batch_signature,
        siblings=b"".join(opening.siblings),
    )


def build_proof(
    trie: SumTrie, challenge_seed: Hash32, count: int, mined: Mapping[Hash32, MinedReceipt]
) -> tuple[LeafProof, ...]:
    """Return one leaf proof for each of the `count` challenged points, in their order.

    `mined` holds the claim's receipts by their hash.
    """
    openings = map(trie.open, challenge_points(challenge_seed, count, trie.root.sum))
    return tuple(build_leaf_proof(opening, mined[opening.leaf.path]) for opening in openings)


def verify_proof(
    claim: Claim,
    domain: Domain,
    gateway_signer: Address,
    salt: Hash32,
    count: int,
    challenge_seed: Hash32,
    leaves: tuple[LeafProof, ...],
    *,
    salt_hash: Hash32 | None = None,
) -> None:
    """Check that `leaves` open the `count` challenged points of a claim, in their order.

    `gateway_signer` is the key on record for the session; `count` comes from `points_required`.
    A `salt_hash` seen before, where there is one, must be the salt's.

    Raises:
        InvalidProofError: with the `ProofFault` of the first rule that is broken.
    """
    if len(leaves) != count:
        raise RefusedProofError(ProofFault.WRONG_LEAF_COUNT, f"{len(leaves)} leaves, not {count}")
    if len(salt) != 32 or salt_hash not in (None, keccak(salt)):
        raise RefusedProofError(ProofFault.SALT_MISMATCH, "not the salt that was committed to")
    if not count:
        return
    points = challenge_points(challenge_seed, count, claim.root.sum)
    for point, leaf in zip(points, leaves, strict=True):
        _verify_leaf_proof(claim, domain, gateway_signer, salt, point, leaf)


def _verify_leaf_proof(
    claim: Claim, domain: Domain, signer: Address, salt: Hash32, point: int, proof: LeafProof
) -> None:
    mined = MinedReceipt(
        rebuild_receipt(claim, salt, proof), proof.batch_path, proof.batch_signature
    )
    receipt_hash = domain.digest(mined.receipt)
    leaf = mine_receipt(receipt_hash, proof.units, salt, claim.tau)
    if leaf is None:
        raise RefusedProofError(ProofFault.NOT_PAYABLE, f"receipt {receipt_hash.hex()}")
    key = int.from_bytes(receipt_hash, "big")
    node, start = fold_siblings(hash_leaf(leaf), key, split_siblings(proof.siblings))
    if node != claim.root.encode():
        raise RefusedProofError(ProofFault.ROOT_MISMATCH, "the siblings lead to another root")
    if not start <= point < start + leaf.weight:
        raise RefusedProofError(
            ProofFault.POINT_NOT_COVERED,
            f"the leaf covers [{start}, {start + leaf.weight}), not {point}",
        )
    verify_batch(mined, domain, receipt_hash, signer)


def rebuild_receipt(claim: Claim, salt: Hash32, proof: LeafProof) -> Receipt:
    """Return the receipt that a leaf proof stands for under a claim and its salt.

    Raises:
        InvalidProofError: with the fault UnitsOutOfRange.
    """
    if not 0 < proof.units <= UNITS_MAX:
        raise RefusedProofError(ProofFault.UNITS_OUT_OF_RANGE, f"{proof.units} units")
    return Receipt(
        session_id=claim.session.id,
        supplier=claim.supplier,
        request_hash=proof.request_hash,
        response_hash=proof.response_hash,
        salt_hash=keccak(salt),
        units=proof.units,
        secret=proof.secret,
    )


def split_siblings(siblings: bytes) -> tuple[bytes, ...]:
    """Return the siblings of a proof, 48 bytes each.

    Raises:
        InvalidProofError: with the fault MalformedSiblings.
    """
    if len(siblings) % NODE_BYTES:
        raise RefusedProofError(ProofFault.MALFORMED_SIBLINGS, f"{len(siblings)} bytes")
    return tuple(siblings[at : at + NODE_BYTES] for at in range(0, len(siblings), NODE_BYTES))
