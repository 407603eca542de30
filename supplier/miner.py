"""Mining a finished session: from the receipt log to the trie of a claim, and to its bond.

`Miner` is the seam at which a supplier decides what it claims. Subclass it and pass the subclass
to `supplier.app.run` to study a supplier that does something else.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from relay_mining import (
    Address,
    Claim,
    Domain,
    Hash32,
    Leaf,
    LeafProof,
    MinedReceipt,
    SumTrie,
    build_leaf_proof,
    challenge_points,
    compute_value,
    minimum_bond,
    verify_leaf,
)
from relay_mining.errors import InvalidProofError
from supplier.books import SessionBook
from supplier.errors import OperatorError
from supplier.receipt_log import ReceiptLog

PERCENT = 100


@dataclass(frozen=True, slots=True)
class MinedLeaf:
    """A leaf of the claim, and the receipt it stands for."""

    leaf: Leaf
    mined: MinedReceipt


@dataclass(frozen=True, slots=True)
class Bonding:
    """Bounds on the bond of one claim, in token base units."""

    percent: int
    """Of the claim's value: 100 is a bond as large as the value."""
    free: int
    """Stake that backs nothing else."""
    cap: int
    """What the owner lets the operator put at risk for this session; 0 is nothing."""


class Miner:
    """Makes the leaves, claims and proofs of a supplier's sessions from its log."""

    def __init__(self, supplier: Address, domain: Domain, log: ReceiptLog) -> None:
        self.supplier = supplier
        self.domain = domain
        self.log = log

    def leaves(self, session: SessionBook) -> Sequence[MinedLeaf]:
        """The payable receipts of a session, each of which the contract would accept.

        The contract's own predicate runs again here, over what the log says and the gateway key
        on record: a leaf that would fail on chain never enters a claim.
        """
        facts, tau = session.facts, session.facts.terms.tau
        found: list[MinedLeaf] = []
        for record in self.log.receipts(facts.key.number, session.session_id):
            mined = record.mined(self.supplier, session.salt)
            try:
                leaf = verify_leaf(mined, self.domain, facts.gateway_signer, session.salt, tau)
            except InvalidProofError:
                continue  # not payable, or signed by a key that is not on record
            found.append(MinedLeaf(leaf, mined))
        return found

    def trie(self, session: SessionBook) -> tuple[SumTrie, dict[Hash32, MinedReceipt]]:
        """The trie of a session and its receipts by their hash."""
        leaves = self.leaves(session)
        trie = SumTrie.build(each.leaf for each in leaves)
        return trie, {each.leaf.path: each.mined for each in leaves}

    def claim(self, session: SessionBook, trie: SumTrie, bonding: Bonding) -> Claim:
        """The claim for a trie; raises OperatorError where the free stake bonds none."""
        facts = session.facts
        value = compute_value(trie.root.sum, facts.terms.price)
        return Claim(
            supplier=self.supplier,
            session=facts.key,
            root=trie.root,
            value=value,
            bond=choose_bond(value, facts.bond_ratio_max, bonding),
            tau=facts.terms.tau,
            fee_bps=facts.fee_bps,
            price=facts.terms.price,
        )

    def proof(
        self, session: SessionBook, challenge_seed: Hash32, count: int
    ) -> tuple[LeafProof, ...]:
        """The opened leaves of the `count` points that were drawn, in their order."""
        trie, mined = self.trie(session)
        openings = [
            trie.open(point) for point in challenge_points(challenge_seed, count, trie.root.sum)
        ]
        return tuple(build_leaf_proof(each, mined[each.leaf.path]) for each in openings)


def choose_bond(value: int, bond_ratio_max: int, bonding: Bonding) -> int:
    """The bond of a claim worth `value`: what the settings want, within what is allowed.

    Raises OperatorError where free stake or the owner's cap lie below the least bond.
    """
    least = minimum_bond(value, bond_ratio_max)
    most = min(bonding.free, bonding.cap)
    if most < least:
        raise OperatorError(
            f"a claim of {value} needs a bond of {least}; free stake is {bonding.free} and the "
            f"owner's cap for a session {bonding.cap}: stake more or raise the cap"
        )
    wanted = -(-value * bonding.percent // PERCENT)
    return max(least, min(wanted, most))
