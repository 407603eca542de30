"""A supplier that invents a little in every claim, beside a second one of the same owner.

A small bad share is seldom drawn, and the owner's gains are split over many claims and identities.
But every claim has a bond of its own: what escapes in the mean is less than the bonds that do not.

    python -m adversaries.splitter --config supplier.toml
"""

from adversaries.cheat import Cheat, Line
from adversaries.inventor import InventingMiner
from adversaries.program import serve

REAL_PER_INVENTED = 8
CHEAT = Cheat(
    name="split over small claims and identities",
    side="supplier",
    does="one of two suppliers of one owner: claims an invented relay with every eight real ones",
    line=Line.CHALLENGE,
    check="Proof_BadBatchSignature",
)


class SplittingMiner(InventingMiner):
    """Adds one invented leaf for a handful of real ones."""

    def wanted(self, real: int) -> int:
        """One for every eight, rounded up."""
        return -(-real // REAL_PER_INVENTED)


if __name__ == "__main__":
    serve(miner=SplittingMiner)
