"""The claims that were made in a span of blocks, and what became of each."""

from dataclasses import dataclass

from contracts.addressbook import AddressBook
from contracts.chain import Chain
from contracts.claims import ClaimAccepted, ClaimPaid, Claims, ClaimVoided, decode_outcome
from contracts.events import decode_log, read_logs
from relay_mining import Claim, Hash32

EVENTS = ("ClaimSubmitted", "ClaimPaid", "ClaimVoided")


@dataclass(frozen=True, slots=True)
class PastClaim:
    """One accepted claim."""

    claim: Claim
    block: int
    """Where it was accepted."""
    end: ClaimPaid | ClaimVoided | None = None
    """How it was settled, in the blocks that were read; None where it was not."""

    @property
    def paid(self) -> int:
        """The supplier's share, in token base units; 0 while it is not paid."""
        return self.end.supplier_share if isinstance(self.end, ClaimPaid) else 0


async def read_claims(
    chain: Chain, book: AddressBook, first: int, last: int
) -> tuple[PastClaim, ...]:
    """All claims accepted in blocks `first` to `last`, both included, in the chain's order."""
    client = Claims(chain, book.claims)
    topics = [item.signature_hash for item in client.abi.events.values() if item.name in EVENTS]
    found: dict[Hash32, PastClaim] = {}
    for log in await read_logs(chain, [client.address], max(0, first), last, topics):
        event = decode_log("claims", client.abi, log)
        outcome = None if event is None else decode_outcome(event)
        if isinstance(outcome, ClaimAccepted):
            found[outcome.claim.id] = PastClaim(outcome.claim, log.block_number)
        elif isinstance(outcome, ClaimPaid | ClaimVoided) and outcome.claim_id in found:
            claimed = found[outcome.claim_id]
            found[outcome.claim_id] = PastClaim(claimed.claim, claimed.block, outcome)
    return tuple(found.values())
