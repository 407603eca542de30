"""A whole session of signed receipts, mined, built into a trie and claimed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from relay_mining import (
    Claim,
    Leaf,
    LeafProof,
    MinedReceipt,
    ProofFault,
    Receipt,
    ReceiptBatch,
    RefusedProofError,
    SumTrie,
    TrieRoot,
    build_batch,
    build_leaf_proof,
    challenge_points,
    compute_value,
    keccak,
    mine_receipt,
    minimum_bond,
    verify_proof,
)
from tests.factories import DOMAIN, GATEWAY_SIGNER, SUPPLIER, a_hash, a_session

SALT = a_hash("salt")
TAU = 1_000
PRICE = 2_000_000
SEED = a_hash("challenge")


@dataclass(frozen=True)
class ClaimedSession:
    """A claim with everything its supplier keeps."""

    claim: Claim
    trie: SumTrie
    mined: Mapping[bytes, MinedReceipt]

    def leaf_proof(self, point: int) -> LeafProof:
        """The honest proof of one point."""
        opening = self.trie.open(point)
        return build_leaf_proof(opening, self.mined[opening.leaf.path])

    def proof(self, count: int = 3) -> tuple[LeafProof, ...]:
        """The honest proof of the first `count` challenged points."""
        points = challenge_points(SEED, count, self.claim.root.sum)
        return tuple(self.leaf_proof(point) for point in points)

    def verify(self, leaves: tuple[LeafProof, ...], count: int = 3) -> None:
        """Give the verdict on a proof."""
        verify_proof(self.claim, DOMAIN, GATEWAY_SIGNER.address, SALT, count, SEED, leaves)

    def fault(self, leaves: tuple[LeafProof, ...], count: int = 3) -> ProofFault | None:
        """The fault that a proof is refused for; None where it is accepted."""
        try:
            self.verify(leaves, count)
        except RefusedProofError as error:
            return error.fault
        return None


def a_mined_receipt(name: str | int, units: int, **changes: object) -> Receipt:
    """A receipt of the standard session."""
    receipt = Receipt(
        session_id=a_session().id,
        supplier=SUPPLIER,
        request_hash=a_hash(f"request {name}"),
        response_hash=a_hash(f"response {name}"),
        salt_hash=keccak(SALT),
        units=units,
        secret=a_hash(f"secret {name}"),
    )
    return replace(receipt, **changes)  # type: ignore[arg-type]


def in_a_batch(receipts: Iterable[Receipt]) -> dict[bytes, MinedReceipt]:
    """The receipts by their hash, in one batch that the gateway signed."""
    receipts = tuple(receipts)
    hashes = [DOMAIN.digest(receipt) for receipt in receipts]
    batch = build_batch(hashes)
    signature = GATEWAY_SIGNER.sign(DOMAIN.digest(ReceiptBatch(batch.root)))
    return {
        hash_: MinedReceipt(receipt, batch.path(index), signature)
        for index, (hash_, receipt) in enumerate(zip(hashes, receipts, strict=True))
    }


def a_claimed_session(
    units: Iterable[int] = (1, 999, 1_000, 1_001, 70_000) * 8, extra: Iterable[Leaf] = ()
) -> ClaimedSession:
    """A claim of receipts of these units, with `extra` leaves that no coin was tossed for."""
    mined = in_a_batch(a_mined_receipt(index, count) for index, count in enumerate(units))
    leaves = [
        leaf
        for hash_, receipt in mined.items()
        if (leaf := mine_receipt(hash_, receipt.receipt.units, SALT, TAU))
    ]
    return claim_trie(SumTrie.build([*leaves, *extra]), mined)


def claim_trie(
    trie: SumTrie, mined: Mapping[bytes, MinedReceipt], root: TrieRoot | None = None
) -> ClaimedSession:
    """The claim of a trie, or of a root that a cheat wrote by hand."""
    root = root or trie.root
    value = compute_value(root.sum, PRICE)
    claim = Claim(SUPPLIER, a_session(), root, value, minimum_bond(value, 10), TAU, 0, PRICE)
    return ClaimedSession(claim, trie, mined)
