"""What the read model holds of each thing; money in token base units, and bounds on how many."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from relay_mining import Address, Claim, Hash32, UnitWeights

SUPPLIERS_MAX = 10_000
SERVICES_MAX = 1_000
DELEGATIONS_MAX = 10_000
OPEN_CLAIMS_MAX = 50_000
CLAIMS_KEPT = 5_000
"""Settled claims that are shown; totals go on."""
SESSIONS_KEPT = 256
PRICES_KEPT = 256
ACTIVITY_KEPT = 200
ROUNDS_KEPT = 64
"""Of each auctioned service, with their prices and sums."""
BOOKS_KEPT = 2
"""The newest rounds, whose orders are kept: while one takes orders, those before it are known."""
ORDERS_KEPT = 128
"""Of each side of a round."""
TEXT_MAX = 160
"""Characters kept of what a stranger wrote."""

DelegationKey = tuple[Address, Address, Hash32]
"""Application, gateway, service."""


@dataclass(frozen=True, slots=True)
class PricePoint:
    """The asks of a service as they stood when a session began; per million compute units."""

    session: int
    low: int
    median: int
    high: int


@dataclass(slots=True)
class Trade:
    """What was claimed of a service in one session."""

    units: int = 0
    value: int = 0


@dataclass(frozen=True, slots=True)
class BookOrder:
    """An order as it was revealed: units in millions of compute units, the price for each."""

    price: int
    quantity: int
    is_in: bool
    """Whether it accepts the posted price, and so takes part."""


@dataclass(slots=True)
class RoundRow:
    """A round of a service's auction that had an order; sums are of the orders that take part."""

    epoch: int
    """That it fills."""
    price: int
    """Posted: what a bidder pays for a unit."""
    supply: int = 0
    demand: int = 0
    procured: int = 0
    """Units; 0 until it is cleared."""
    paid: int = 0
    """What they cost."""
    asks: dict[Address, BookOrder] = field(default_factory=dict)
    bids: dict[Address, BookOrder] = field(default_factory=dict)


@dataclass(slots=True)
class ServiceRow:
    """A listed service and its asks, or its rounds."""

    id: Hash32
    name: str
    source: Address
    weights: UnitWeights
    source_bps: int
    market: Address
    asks: dict[Address, int] = field(default_factory=dict)
    path: deque[PricePoint] = field(default_factory=lambda: deque(maxlen=PRICES_KEPT))
    trades: dict[int, Trade] = field(default_factory=dict)
    """By session, the last ones."""
    roster: tuple[int, int, int] = (0, 0, 0)
    """Epoch, entries and total weight of the newest roster."""
    claims: int = 0
    units: int = 0
    value: int = 0
    is_quoted: bool = False
    """Whether `path` ends with the asks as they are."""
    posted: int = 0
    """The newest posted price of its auction; 0 where it has none."""
    rounds: dict[int, RoundRow] = field(default_factory=dict)
    """By the epoch they fill, the last ones."""

    @property
    def is_auctioned(self) -> bool:
        """Whether a contract sets its prices."""
        return any(self.market)

    @property
    def book(self) -> RoundRow | None:
        """The newest round of which an order is revealed; None before there is one."""
        revealed = (each for each in self.rounds.values() if each.asks or each.bids)
        return max(revealed, key=lambda each: each.epoch, default=None)


@dataclass(slots=True)
class SupplierRow:
    """A registered supplier."""

    id: Address
    owner: Address = b""
    operator: Address = b""
    payout: Address = b""
    url: str = ""
    since_block: int = 0
    stake: int = 0
    unstaking: int = 0
    bonds: int = 0
    """Stake behind open claims."""
    bond_cap: int = 0
    asks: dict[Hash32, int] = field(default_factory=dict)
    claims: int = 0
    claims_paid: int = 0
    claims_voided: int = 0
    units: int = 0
    earned: int = 0
    """Its shares of paid claims."""
    slashed: int = 0
    last_session: int = -1


@dataclass(slots=True)
class ClaimRow:
    """One accepted claim and what became of it."""

    claim: Claim
    block: int
    transaction: Hash32
    state: str = "open"
    """`open`, `paid` or `voided`."""
    points: int | None = None
    """Leaves its challenge opens; None until the seed is written, 0 needs no proof."""
    settled_block: int = 0
    shares: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Of supplier, source, gateway and protocol."""


@dataclass(slots=True)
class SessionRow:
    """All claims for one session number."""

    number: int
    claims: int = 0
    paid: int = 0
    voided: int = 0
    units: int = 0
    value: int = 0
    value_paid: int = 0
    bond_lost: int = 0
    to_prove: int = 0
    """Claims whose challenge opens a leaf."""
    points: int = 0


@dataclass(frozen=True, slots=True)
class DelegationRow:
    """What an application lets a gateway spend, from a session on."""

    cap: int
    fee_bps: int
    from_session: int
    cap_before: int = 0

    def cap_at(self, session: int) -> int:
        """The cap in force in a session."""
        return self.cap if session >= self.from_session else self.cap_before


@dataclass(frozen=True, slots=True)
class Activity:
    """One thing that happened, for people to see."""

    number: int
    block: int
    kind: str
    transaction: Hash32
    facts: Mapping[str, object]


@dataclass(slots=True)
class Totals:
    """Sums over all that ever happened."""

    escrow: int = 0
    """Of all applications: what is not locked by claims nor leaving."""
    stake: int = 0
    bonds: int = 0
    claims: int = 0
    claims_open: int = 0
    claims_paid: int = 0
    claims_voided: int = 0
    proofs: int = 0
    """Claims that were paid on a proof."""
    units: int = 0
    value_open: int = 0
    to_suppliers: int = 0
    to_sources: int = 0
    to_gateways: int = 0
    to_protocol: int = 0
    slashed: int = 0
    left_out: int = 0
    """Things that are not shown because there are too many."""


def clip(text: str) -> str:
    """A stranger's text, no longer than is shown."""
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"
