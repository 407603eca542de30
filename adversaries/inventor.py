"""A supplier that claims relays nobody asked for.

It serves honestly, and in its claims stand nine invented leaves for every real one, each built as
well as one can be without the gateway's key: a receipt of its own session whose coin comes out
payable, in a batch it signed itself. Caught in the proof: the contract recovers the signer of the
batch and finds that it is not the gateway. Without a proof the claim is void and its bond lost.

    python -m adversaries.inventor --config supplier.toml
"""

import hashlib
from collections.abc import Iterator, Sequence

from adversaries.cheat import Cheat, Line
from adversaries.program import serve
from relay_mining import (
    Leaf,
    MinedReceipt,
    Receipt,
    ReceiptBatch,
    Signer,
    is_payable,
    keccak,
    leaf_weight,
)
from supplier.mining.miner import Minable, MinedLeaf, Miner

INVENTED_PER_REAL = 9
CHEAT = Cheat(
    name="invented leaves",
    side="supplier",
    does="claims nine relays that nobody asked for with every real one",
    line=Line.CHALLENGE,
    check="Proof_BadBatchSignature",
)


class InventingMiner(Miner):
    """Adds invented leaves to those of every session, as far as the slice allows."""

    def leaves(self, session: Minable) -> Sequence[MinedLeaf]:
        """The real leaves, and others of work that was never done."""
        real = list(super().leaves(session))
        if not real:
            return real
        weight = sum(each.leaf.weight for each in real)
        room = session.facts.terms.slice_units - weight
        wanted = self.wanted(len(real))
        for invented in self._invent(session, weight // len(real)):
            if wanted == 0 or invented.leaf.weight > room:
                return real
            room -= invented.leaf.weight
            wanted -= 1
            real.append(invented)
        return real

    def wanted(self, real: int) -> int:
        """How many leaves to invent beside so many real ones."""
        return INVENTED_PER_REAL * real

    def _invent(self, session: Minable, units: int) -> Iterator[MinedLeaf]:
        forger = Signer(hashlib.sha256(b"forger" + session.session_id).digest())
        tau, salt = session.facts.terms.tau, session.salt
        number = 0
        while True:
            number += 1
            request = hashlib.sha256(session.session_id + number.to_bytes(8, "big")).digest()
            receipt = Receipt(
                session_id=session.session_id,
                supplier=self.supplier,
                request_hash=request,
                response_hash=hashlib.sha256(request).digest(),
                salt_hash=keccak(salt),
                units=units,
                secret=hashlib.sha256(b"secret" + request).digest(),
            )
            digest = self.domain.digest(receipt)
            if is_payable(digest, salt, units, tau):
                signature = forger.sign(self.domain.digest(ReceiptBatch(digest)))
                leaf = Leaf(digest, leaf_weight(units, tau))
                yield MinedLeaf(leaf, MinedReceipt(receipt, (), signature))


if __name__ == "__main__":
    serve(miner=InventingMiner)
