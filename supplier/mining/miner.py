"""Mining a finished session: from the receipt log to the trie of a claim, and to its bond.

`Miner` is the seam at which a supplier decides what it claims. Subclass it and pass the subclass
to `supplier.app.run` to study a supplier that does something else.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from relay_mining import (
    Address,
    Domain,
    Hash32,
    InvalidProofError,
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
from supplier.mining.facts import SessionFacts
from supplier.mining.records import Receipted
from supplier.mining.session_book import SessionBook

PERCENT = 100


class ReceiptSource(Protocol):
    """Wherever the receipts of a session are kept."""

    def receipts(self, number: int, session_id: Hash32) -> Iterator[Receipted]:
        """The receipts of session `number` that count, each once."""
        ...


class Minable(Protocol):
    """A session as far as its leaves and proofs go."""

    @property
    def facts(self) -> SessionFacts:
        """What the session opened with."""
        ...

    @property
    def salt(self) -> Hash32:
        """What its responses commit to."""
        ...

    @property
    def session_id(self) -> Hash32:
        """The session."""
        ...


@dataclass(frozen=True, slots=True)
class MinedLeaf:
    """A leaf of the claim, and the receipt it stands for."""

    leaf: Leaf
    mined: MinedReceipt


class Miner:
    """Makes the leaves, claims and proofs of a supplier's sessions from its log."""

    def __init__(self, supplier: Address, domain: Domain, log: ReceiptSource) -> None:
        self.supplier = supplier
        self.domain = domain
        self.log = log

    def leaves(self, session: Minable) -> Sequence[MinedLeaf]:
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

    def trie(self, session: Minable) -> tuple[SumTrie, dict[Hash32, MinedReceipt]]:
        """The trie of a session and its receipts by their hash."""
        leaves = self.leaves(session)
        trie = SumTrie.build(each.leaf for each in leaves)
        return trie, {each.leaf.path: each.mined for each in leaves}

    def estimate(self, session: SessionBook) -> int:
        """What a claim for the session will be worth, in token base units."""
        return compute_value(session.meter.weight, session.facts.terms.price)

    def proof(self, session: Minable, challenge_seed: Hash32, count: int) -> tuple[LeafProof, ...]:
        """The opened leaves of the `count` points that were drawn, in their order."""
        trie, mined = self.trie(session)
        openings = [
            trie.open(point) for point in challenge_points(challenge_seed, count, trie.root.sum)
        ]
        return tuple(build_leaf_proof(each, mined[each.leaf.path]) for each in openings)


def allocate_bonds(
    values: Sequence[int], bond_ratio_max: int, free: int, percent: int
) -> list[int | None]:
    """A bond for each claim, in token base units; None where `free` stake bonds it no more.

    Each wants `percent` of its value (rounded up). Where that is more than half of the free
    stake, all get their least bond and share what is left of the half, so that the claims of the
    next session, which come before these are paid, find stake too. Bigger claims go first.
    """
    bonds: list[int | None] = [None] * len(values)
    left = free
    for index in sorted(range(len(values)), key=lambda each: -values[each]):
        least = minimum_bond(values[index], bond_ratio_max)
        if least <= left:
            bonds[index] = least
            left -= least
    spare = max(0, free // 2 - (free - left))
    wishes = [
        max(0, -(-value * percent // PERCENT) - bond) if bond is not None else 0
        for value, bond in zip(values, bonds, strict=True)
    ]
    wished = sum(wishes)
    if wished == 0:
        return bonds
    given = min(spare, wished)
    return [
        None if bond is None else bond + wish * given // wished
        for bond, wish in zip(bonds, wishes, strict=True)
    ]
