"""A supplier that claims every receipt many times, at several places of its trie.

A receipt's hash is its leaf's path, so a second leaf of the same receipt can only be misplaced:
its siblings, folded along the receipt's own path, lead to another root.

    python -m adversaries.copier --config supplier.toml
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from adversaries.cheat import Cheat, Line
from adversaries.program import serve
from supplier.mining.miner import Minable, MinedLeaf, Miner

COPIES = 9
CHEAT = Cheat(
    name="duplicated, misplaced leaves",
    side="supplier",
    does="claims every receipt nine more times, under paths of its own choice",
    line=Line.CHALLENGE,
    check="Proof_RootMismatch",
)


class CopyingMiner(Miner):
    """Adds copies of every leaf, as far as the slice allows."""

    def leaves(self, session: Minable) -> Sequence[MinedLeaf]:
        """The real leaves, and copies of them where they do not belong."""
        real = super().leaves(session)
        weight = sum(each.leaf.weight for each in real)
        copies = min(COPIES, session.facts.terms.slice_units // weight - 1) if weight else 0
        return [*real, *(_move(each, number) for each in real for number in range(copies))]


def _move(mined: MinedLeaf, number: int) -> MinedLeaf:
    path = hashlib.sha256(mined.leaf.path + bytes([number])).digest()
    return replace(mined, leaf=replace(mined.leaf, path=path))


if __name__ == "__main__":
    serve(miner=CopyingMiner)
