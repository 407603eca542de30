"""What the chain says of a market: claims, payments, slashes, and whether the money adds up."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from contracts import ClaimAccepted, ClaimPaid, ClaimVoided, Event, Market, Outcome, decode_outcome
from relay_mining import Address, Claim, Clock, Hash32


@dataclass(slots=True)
class SupplierTotals:
    """One supplier on the chain; units as claimed, amounts in token base units."""

    claims: int = 0
    units_claimed: int = 0
    value_claimed: int = 0
    proofs: int = 0
    paid: int = 0
    """What the supplier's payout address earned."""
    paid_in_all: int = 0
    """What its claims paid to everybody: supplier, source, gateway, protocol."""
    voided: int = 0
    slashed: int = 0


@dataclass(slots=True)
class ChainLedger:
    """Totals per supplier, folded from the events of the claims contract in their order."""

    suppliers: dict[Address, SupplierTotals] = field(
        default_factory=lambda: defaultdict(SupplierTotals)
    )
    open: dict[Hash32, Claim] = field(default_factory=dict)
    """Claims not settled yet; their values are locked in the escrow."""
    sessions: set[int] = field(default_factory=set)
    _owners: dict[Hash32, Address] = field(default_factory=dict)
    _accepted: list[tuple[int, int]] = field(default_factory=list)
    """The session and the block of every claim."""

    def fold(self, events: Iterable[Event]) -> list[Outcome]:
        """Take in events; return what they were."""
        outcomes = []
        for event in events:
            outcome = decode_outcome(event)
            if outcome is not None:
                self._take(outcome, event.block_number)
                outcomes.append(outcome)
        return outcomes

    def claim_delays(self, clock: Clock) -> list[int]:
        """Blocks from a session's end to each claim for it, in order of size."""
        return sorted(block - clock.start(number + 1) for number, block in self._accepted)

    def _take(self, outcome: Outcome, block: int) -> None:
        match outcome:
            case ClaimAccepted(claim):
                self._accept(claim)
                self._accepted.append((claim.session.number, block))
            case ClaimPaid():
                self._pay(outcome)
            case ClaimVoided(claim_id, bond):
                totals = self._settled(claim_id)
                totals.voided += 1
                totals.slashed += bond
            case _:
                return

    def _accept(self, claim: Claim) -> None:
        self.open[claim.id] = claim
        self._owners[claim.id] = claim.supplier
        self.sessions.add(claim.session.number)
        totals = self.suppliers[claim.supplier]
        totals.claims += 1
        totals.units_claimed += claim.root.sum
        totals.value_claimed += claim.value

    def _pay(self, paid: ClaimPaid) -> None:
        totals = self._settled(paid.claim_id)
        totals.paid += paid.supplier_share
        totals.paid_in_all += (
            paid.supplier_share + paid.source_share + paid.gateway_share + paid.protocol_share
        )

    def _settled(self, claim_id: Hash32) -> SupplierTotals:
        self.open.pop(claim_id, None)
        return self.suppliers[self._owners[claim_id]]


@dataclass(slots=True)
class ChainBooks:
    """All that the chain says at the end of a run."""

    ledger: ChainLedger = field(default_factory=ChainLedger)
    claims: dict[tuple[Address, Hash32], list[Claim]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """Those accepted, by supplier and session."""

    async def read(self, chain: Market) -> None:
        """Take in every event since the deployment."""
        events = chain.events(confirmations=0)
        while await events.is_behind():
            for outcome in self.ledger.fold((await events.read()).events):
                if isinstance(outcome, ClaimAccepted):
                    claim = outcome.claim
                    self.claims[claim.supplier, claim.session.id].append(claim)


@dataclass(frozen=True, slots=True)
class Conservation:
    """Property 1 at one block: what the contracts hold against what they owe."""

    held: int
    owed: int

    @property
    def holds(self) -> bool:
        """Whether every token has exactly one owner."""
        return self.held == self.owed


async def check_conservation(
    market: Market,
    block: int,
    ledger: ChainLedger,
    *,
    applications: Iterable[Address],
    suppliers: Iterable[Address],
    payees: Iterable[Address],
) -> Conservation:
    """Compare the contracts' token balances with escrow, stakes, locked claims and claimables."""
    held = await market.token.balance(market.book.escrow, block=block)
    held += await market.token.balance(market.book.registry, block=block)
    owed = sum(claim.value for claim in ledger.open.values())
    for application in applications:
        owed += (await market.escrow.account(application, block=block)).balance
    for supplier in suppliers:
        owed += (await market.registry.supplier(supplier, block=block)).stake
    for payee in set(payees):
        owed += await market.escrow.claimable(payee, block=block)
    return Conservation(held, owed)
