"""What is known of one session: its facts, its open relays, its receipts and claims.

Units are compute units throughout.
"""

from collections import Counter
from dataclasses import dataclass, field

from relay_mining import Claim, Hash32, Receipt, SessionKey, SliceMeter, Verifier
from supplier.mining.facts import SessionFacts
from supplier.server.accounts import Relay


@dataclass(slots=True)
class Totals:
    """The funnel of one session, in units."""

    served: int = 0
    receipted: int = 0
    payable: int = 0
    lost: int = 0
    """Served, and never receipted before the claim was made, or receipted short."""
    relays: int = 0
    receipts: int = 0
    engines: Counter[str] = field(default_factory=Counter)
    """What was served by each engine; under no name where that is not known."""


@dataclass(slots=True)
class SessionBook:
    """One session: its facts, its meter, its open relays and the receipts it has."""

    facts: SessionFacts
    session_id: Hash32
    salt: Hash32
    salt_hash: Hash32
    verifier: Verifier
    meter: SliceMeter
    relays: dict[Hash32, Relay] = field(default_factory=dict)
    nonces: set[Hash32] = field(default_factory=set)
    receipts: set[Hash32] = field(default_factory=set)
    receipted_requests: set[Hash32] = field(default_factory=set)
    """Requests with at least one receipt."""
    receipted_parts: set[tuple[Hash32, Hash32]] = field(default_factory=set)
    """Request and response of every receipt."""
    done: set[Hash32] = field(default_factory=set)
    """Requests that this process served and that nothing more is owed for."""
    totals: Totals = field(default_factory=Totals)
    claims: list[Claim] = field(default_factory=list)
    """Claims made up for this session, the last one the one to send; at most one is accepted."""
    is_sealed: bool = False

    @property
    def key(self) -> SessionKey:
        """The session."""
        return self.facts.key

    def relay_of(self, receipt: Receipt) -> Relay | None:
        """The relay a receipt is for; None where this process knows nothing of the response."""
        relay = self.relays.get(receipt.request_hash)
        if relay is None or (relay.is_resumed and receipt.response_hash not in relay.parts):
            return None
        return relay


def part_of(receipt: Receipt) -> tuple[Hash32, Hash32]:
    """Which part of which relay a receipt is for: its request and its response."""
    return receipt.request_hash, receipt.response_hash
