"""A supplier that writes larger weights into its claim than its receipts have.

python -m adversaries.inflator --config supplier.toml
"""

from collections.abc import Sequence
from dataclasses import replace

from adversaries.cheat import Cheat, Line
from adversaries.program import serve
from supplier.mining.miner import Minable, MinedLeaf, Miner

FACTOR_MAX = 10
CHEAT = Cheat(
    name="inflated leaves",
    side="supplier",
    does="claims ten times the weight of every real relay",
    line=Line.CHALLENGE,
    check="Proof_RootMismatch",
    is_all_bad=True,
)


class InflatingMiner(Miner):
    """Multiplies the weight of every leaf, as far as the slice allows."""

    def leaves(self, session: Minable) -> Sequence[MinedLeaf]:
        """The real leaves with weights that no receipt has."""
        real = super().leaves(session)
        weight = sum(each.leaf.weight for each in real)
        if not weight:
            return real
        factor = min(FACTOR_MAX, session.facts.terms.slice_units // weight)
        return [
            replace(each, leaf=replace(each.leaf, weight=each.leaf.weight * factor))
            for each in real
        ]


if __name__ == "__main__":
    serve(miner=InflatingMiner)
