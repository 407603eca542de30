"""The claims of the market, folded from events: open ones, the last settled ones, by session."""

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from contracts import ClaimPaid, ClaimVoided, Event
from gateway.dashboard.rows import (
    CLAIMS_KEPT,
    OPEN_CLAIMS_MAX,
    SESSIONS_KEPT,
    ClaimRow,
    SessionRow,
    Totals,
)
from relay_mining import Claim, Clock, Hash32, challenge_seed, points_required

SEED_AFTER = 2
"""Sessions from a claim's to the one whose seed challenges it."""


@dataclass(slots=True)
class ClaimsBoard:
    """What became of every claim; `margins` are the parameter's values by their first epoch."""

    clock: Clock
    totals: Totals
    open: dict[Hash32, ClaimRow] = field(default_factory=dict)
    settled: deque[ClaimRow] = field(default_factory=lambda: deque(maxlen=CLAIMS_KEPT))
    sessions: OrderedDict[int, SessionRow] = field(default_factory=OrderedDict)
    margins: list[tuple[int, int]] = field(default_factory=list)
    _by_session: dict[int, list[ClaimRow]] = field(default_factory=dict)

    def session(self, number: int) -> SessionRow:
        """The row of a session, new where there is none."""
        row = self.sessions.get(number)
        if row is None:
            row = self.sessions[number] = SessionRow(number)
            if len(self.sessions) > SESSIONS_KEPT:
                del self.sessions[min(self.sessions)]
        return row

    def accept(self, claim: Claim, event: Event) -> ClaimRow | None:
        """Take a new claim; None where too many are open to show another."""
        row, totals = ClaimRow(claim, event.block_number, event.transaction_hash), self.totals
        if len(self.open) >= OPEN_CLAIMS_MAX:
            totals.left_out += 1
            return None
        self.open[claim.id] = row
        self._by_session.setdefault(claim.session.number, []).append(row)
        session = self.session(claim.session.number)
        session.claims += 1
        session.units += claim.root.sum
        session.value += claim.value
        totals.claims += 1
        totals.claims_open += 1
        totals.units += claim.root.sum
        totals.value_open += claim.value
        totals.bonds += claim.bond
        return row

    def write_seed(self, number: int, seed: Hash32) -> None:
        """Challenge the claims that a seed is for."""
        session = self.sessions.get(number - SEED_AFTER)
        for row in self._by_session.get(number - SEED_AFTER, ()):
            margin = self._margin(row.claim.session.number)
            if margin is None or session is None:
                continue
            own = challenge_seed(seed, row.claim.id)
            row.points = points_required(row.claim.value, row.claim.bond, margin, own)
            session.to_prove += row.points > 0
            session.points += row.points

    def pay(self, paid: ClaimPaid, event: Event) -> ClaimRow | None:
        """Close a claim with its shares; None for one that is not shown."""
        row = self._close(paid.claim_id, "paid", event)
        if row is None:
            return None
        row.shares = (
            paid.supplier_share, paid.source_share, paid.gateway_share, paid.protocol_share,
        )  # fmt: skip
        session, totals = self.session(row.claim.session.number), self.totals
        session.paid += 1
        session.value_paid += sum(row.shares)
        totals.claims_paid += 1
        totals.proofs += bool(row.points)
        totals.to_suppliers += paid.supplier_share
        totals.to_sources += paid.source_share
        totals.to_gateways += paid.gateway_share
        totals.to_protocol += paid.protocol_share
        return row

    def void(self, voided: ClaimVoided, event: Event) -> ClaimRow | None:
        """Close a claim whose proof never came; None for one that is not shown."""
        row = self._close(voided.claim_id, "voided", event)
        if row is None:
            return None
        session = self.session(row.claim.session.number)
        session.voided += 1
        session.bond_lost += voided.bond
        self.totals.claims_voided += 1
        return row

    def _close(self, claim_id: Hash32, state: str, event: Event) -> ClaimRow | None:
        row = self.open.pop(claim_id, None)
        if row is None:
            return None
        row.state, row.settled_block = state, event.block_number
        number = row.claim.session.number
        self._by_session[number].remove(row)
        if not self._by_session[number]:
            del self._by_session[number]
        self.settled.append(row)
        self.totals.claims_open -= 1
        self.totals.value_open -= row.claim.value
        self.totals.bonds -= row.claim.bond
        return row

    def _margin(self, number: int) -> int | None:
        epoch = self.clock.epoch_of(number)
        found = [margin for first, margin in self.margins if first <= epoch]
        return found[-1] if found else None
