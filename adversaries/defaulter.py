"""A supplier that claims and never proves, in the hope that nobody insists.

Its claims are honest; what it tries is whether a required proof can be withheld for free. Nor does
it settle: the gateway does, for whose application the bond is.

    python -m adversaries.defaulter --config supplier.toml
"""

from adversaries.cheat import Cheat, Line
from adversaries.program import serve
from relay_mining import Hash32, LeafProof
from supplier.mining.miner import Minable, Miner

CHEAT = Cheat(
    name="never proves",
    side="supplier",
    does="claims what it served and opens no leaf",
    line=Line.CHALLENGE,
    check="Proof_WrongLeafCount",
    is_all_bad=True,
)


class DefaultingMiner(Miner):
    """Opens nothing."""

    def proof(self, session: Minable, challenge_seed: Hash32, count: int) -> tuple[LeafProof, ...]:
        """No leaves, whatever is challenged."""
        return ()


if __name__ == "__main__":
    serve(miner=DefaultingMiner)
