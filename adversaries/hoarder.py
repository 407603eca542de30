"""A supplier that claims the receipts which the coin left out, too, at the weight of the others.

python -m adversaries.hoarder --config supplier.toml
"""

from collections.abc import Sequence

from adversaries.cheat import Cheat, Line
from adversaries.program import serve
from relay_mining import Leaf, leaf_weight
from supplier.mining.miner import Minable, MinedLeaf, Miner

CHEAT = Cheat(
    name="unpayable leaves",
    side="supplier",
    does="claims the receipts that the coin left out as if it had kept them",
    line=Line.CHALLENGE,
    check="Proof_NotPayable",
)


class HoardingMiner(Miner):
    """Takes every receipt of the log for payable."""

    def leaves(self, session: Minable) -> Sequence[MinedLeaf]:
        """A leaf for every receipt, whatever its coin says."""
        tau = session.facts.terms.tau
        found: list[MinedLeaf] = []
        for record in self.log.receipts(session.facts.key.number, session.session_id):
            mined = record.mined(self.supplier, session.salt)
            leaf = Leaf(self.domain.digest(mined.receipt), leaf_weight(record.units, tau))
            found.append(MinedLeaf(leaf, mined))
        return found


if __name__ == "__main__":
    serve(miner=HoardingMiner)
