"""The market as its events tell it: a pure fold, bounded in memory, the same from the same events.

What is not shown for want of room is counted in `totals.left_out`. What strangers wrote is kept
short, and is never more than text.
"""

from collections import deque
from dataclasses import dataclass, field
from statistics import median_low

from contracts import Event
from gateway.dashboard.claims_board import ClaimsBoard
from gateway.dashboard.rows import (
    ACTIVITY_KEPT,
    Activity,
    DelegationKey,
    DelegationRow,
    PricePoint,
    ServiceRow,
    SupplierRow,
    Totals,
)
from relay_mining import Address, Clock, Hash32


@dataclass(slots=True)
class MarketModel:
    """Services, suppliers, delegations, claims and money, as of the last event."""

    clock: Clock
    version: int = 0
    """Grows with every event that is taken in."""
    block: int = 0
    services: dict[Hash32, ServiceRow] = field(default_factory=dict)
    suppliers: dict[Address, SupplierRow] = field(default_factory=dict)
    delegations: dict[DelegationKey, DelegationRow] = field(default_factory=dict)
    escrows: dict[Address, int] = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)
    activity: deque[Activity] = field(default_factory=lambda: deque(maxlen=ACTIVITY_KEPT))
    claims: ClaimsBoard = field(init=False)
    is_paused: bool = False
    _session: int = -1

    def __post_init__(self) -> None:
        self.claims = ClaimsBoard(self.clock, self.totals)

    def reach(self, block: int) -> None:
        """Go on to a block; at a new session, quote the services whose asks changed."""
        self.block = max(self.block, block)
        session = self.clock.session_at(block) if block >= self.clock.genesis_block else -1
        if session == self._session:
            return
        self._session = session
        for service in self.services.values():
            if service.asks and not service.is_quoted:
                service.is_quoted = True
                service.path.append(quote(service, session))

    def note(self, event: Event, kind: str, **facts: object) -> None:
        """Keep something for people to see."""
        self.activity.append(
            Activity(self.version, event.block_number, kind, event.transaction_hash, facts)
        )


def quote(service: ServiceRow, session: int) -> PricePoint:
    """The asks of a service as they stand; of an even number, the lower of the middle two."""
    prices = service.asks.values()
    return PricePoint(session, min(prices), median_low(prices), max(prices))
