"""Mining: from signed receipts to the leaves of a claim.

A supplier runs the contract's own leaf predicate before it logs a receipt and again before it
claims: a receipt that looks good and fails on the chain must never enter a claim. `verify_leaf` is
that predicate; the verifier of proofs calls the same function.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from relay_mining.errors import SignatureMismatchError
from relay_mining.faults import ProofFault, RefusedProofError
from relay_mining.hashing import keccak
from relay_mining.messages import Domain, Receipt, ReceiptBatch
from relay_mining.signing import recover
from relay_mining.sum_trie import Leaf
from relay_mining.threshold import is_payable, leaf_weight
from relay_mining.types import UNITS_MAX, Address, Hash32, Signature

BATCH_PATH_MAX = 16
"""Most hashes between a receipt and the root of its batch."""


@dataclass(frozen=True, slots=True)
class MinedReceipt:
    """A receipt with its way to the batch root that the gateway signed."""

    receipt: Receipt
    batch_path: tuple[Hash32, ...]
    batch_signature: Signature


def mine_receipt(receipt_hash: Hash32, units: int, salt: Hash32, tau: int) -> Leaf | None:
    """Return the leaf of a payable receipt, None for one that the coin leaves out.

    Raises:
        InvalidProofError: with the fault UnitsOutOfRange, for no units or 2^63 and more.
    """
    _refuse_units(units)
    if not is_payable(receipt_hash, salt, units, tau):
        return None
    return Leaf(receipt_hash, leaf_weight(units, tau))


def verify_leaf(
    mined: MinedReceipt, domain: Domain, gateway_signer: Address, salt: Hash32, tau: int
) -> Leaf:
    """Return the leaf that a receipt stands for, as the contract would accept it.

    Raises:
        InvalidProofError: with the fault SaltMismatch, UnitsOutOfRange, NotPayable, PathMismatch
            or BadBatchSignature, checked in this order.
    """
    verify_salt(mined.receipt, salt)
    receipt_hash = domain.digest(mined.receipt)
    leaf = mine_receipt(receipt_hash, mined.receipt.units, salt, tau)
    if leaf is None:
        raise RefusedProofError(ProofFault.NOT_PAYABLE, f"receipt {receipt_hash.hex()}")
    verify_batch(mined, domain, receipt_hash, gateway_signer)
    return leaf


def verify_salt(receipt: Receipt, salt: Hash32) -> None:
    """Check that a receipt commits to `salt`, or raise InvalidProofError (SaltMismatch)."""
    if keccak(salt) != receipt.salt_hash:
        raise RefusedProofError(ProofFault.SALT_MISMATCH, "the receipt commits to another salt")


def verify_batch(
    mined: MinedReceipt, domain: Domain, receipt_hash: Hash32, gateway_signer: Address
) -> None:
    """Check that the gateway signed a batch holding the receipt.

    Raises:
        InvalidProofError: with the fault PathMismatch (a path longer than 16) or
            BadBatchSignature.
    """
    if len(mined.batch_path) > BATCH_PATH_MAX:
        raise RefusedProofError(
            ProofFault.PATH_MISMATCH, f"a batch path of {len(mined.batch_path)} hashes"
        )
    digest = domain.digest(ReceiptBatch(fold_batch_path(receipt_hash, mined.batch_path)))
    try:
        signer = recover(digest, mined.batch_signature)
    except SignatureMismatchError as error:
        raise RefusedProofError(ProofFault.BAD_BATCH_SIGNATURE, str(error)) from error
    if signer != gateway_signer:
        raise RefusedProofError(ProofFault.BAD_BATCH_SIGNATURE, f"signed by 0x{signer.hex()}")


def fold_batch_path(leaf: Hash32, path: Iterable[Hash32]) -> Hash32:
    """Return the batch root reached from a receipt's hash: keccak over sorted pairs."""
    node = leaf
    for sibling in path:
        node = keccak(node + sibling if node < sibling else sibling + node)
    return node


def _refuse_units(units: int) -> None:
    if not 0 < units <= UNITS_MAX:
        raise RefusedProofError(ProofFault.UNITS_OUT_OF_RANGE, f"{units} units in one receipt")
