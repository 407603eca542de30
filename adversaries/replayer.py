"""A supplier that claims the receipts of past sessions again in every new one.

The session is in every receipt, and the contract rebuilds the receipt with the claim's own.

    python -m adversaries.replayer --config supplier.toml
"""

from collections.abc import Sequence

from adversaries.cheat import Cheat, Line
from adversaries.program import serve
from relay_mining import Address, Domain, Hash32
from supplier.mining.miner import Minable, MinedLeaf, Miner
from supplier.mining.receipt_log import ReceiptLog

CHEAT = Cheat(
    name="replayed receipts",
    side="supplier",
    does="claims the receipts of earlier sessions again",
    line=Line.CHALLENGE,
    check="Proof_NotPayable|Proof_RootMismatch",
)


class ReplayingMiner(Miner):
    """Keeps what it once claimed, and claims it with every later session."""

    def __init__(self, supplier: Address, domain: Domain, log: ReceiptLog) -> None:
        super().__init__(supplier, domain, log)
        self._kept: dict[Hash32, tuple[int, MinedLeaf]] = {}

    def leaves(self, session: Minable) -> Sequence[MinedLeaf]:
        """The real leaves, and those of earlier sessions as far as the slice allows."""
        number, real = session.facts.key.number, list(super().leaves(session))
        room = session.facts.terms.slice_units - sum(each.leaf.weight for each in real)
        for each in real:
            self._kept[each.leaf.path] = (number, each)
        for earlier, each in self._kept.values():
            if earlier < number and each.leaf.weight <= room:
                room -= each.leaf.weight
                real.append(each)
        return real


if __name__ == "__main__":
    serve(miner=ReplayingMiner)
