"""What the events of `Escrow`, `Claims` and `Parameters` change: escrows, delegations, claims."""

from collections.abc import Mapping
from typing import Any

from contracts import ClaimAccepted, ClaimPaid, ClaimVoided, Event, decode_outcome
from gateway.dashboard.market_model import MarketModel
from gateway.dashboard.rows import (
    DELEGATIONS_MAX,
    SESSIONS_KEPT,
    ClaimRow,
    DelegationRow,
    Trade,
)
from relay_mining import Address, Claim

Values = Mapping[str, Any]


def deposit(model: MarketModel, event: Event, values: Values) -> None:
    """Money comes into an escrow."""
    application, amount = values["application"], values["amount"]
    _add_escrow(model, application, amount)
    model.note(event, "deposit", application=application, amount=amount)


def request_withdraw(model: MarketModel, event: Event, values: Values) -> None:
    """Money is asked back: from now on it pays for nothing."""
    _add_escrow(model, values["application"], -values["amount"])


def refund(model: MarketModel, event: Event, values: Values) -> None:
    """A voided claim's value and bond come back."""
    _add_escrow(model, values["application"], values["amount"])


def delegate(model: MarketModel, event: Event, values: Values) -> None:
    """An application lets a gateway spend, or no more."""
    key = (values["application"], values["gateway"], values["service"])
    old = model.delegations.get(key)
    if old is None and len(model.delegations) >= DELEGATIONS_MAX:
        model.totals.left_out += 1
        return
    start, cap_before = values["fromSession"], 0
    if old is not None:
        cap_before = old.cap if old.from_session < start else old.cap_before
    model.delegations[key] = DelegationRow(values["cap"], values["feeBps"], start, cap_before)
    model.note(event, "delegate", application=key[0], service=key[2], amount=values["cap"])


def take_outcome(model: MarketModel, event: Event, values: Values) -> None:
    """A claim is accepted, paid or voided."""
    match decode_outcome(event):
        case ClaimAccepted(claim):
            if model.claims.accept(claim, event):
                _accepted(model, event, claim)
        case ClaimPaid() as paid:
            row = model.claims.pay(paid, event)
            if row is not None:
                _paid(model, event, row)
        case ClaimVoided() as voided:
            row = model.claims.void(voided, event)
            if row is not None:
                _voided(model, event, row)


def write_seed(model: MarketModel, event: Event, values: Values) -> None:
    """A session's seed is known, and with it what must be proved."""
    model.claims.write_seed(values["number"], values["seed"])


def schedule_values(model: MarketModel, event: Event, values: Values) -> None:
    """Parameters from an epoch on; the margin decides how many leaves a claim opens."""
    first, margin_bps = values["fromEpoch"], values["values"][2]
    others = [each for each in model.claims.margins if each[0] != first]
    model.claims.margins = [*others, (first, margin_bps)]


def set_paused(model: MarketModel, event: Event, values: Values) -> None:
    """New sessions stop, or open again."""
    model.is_paused = values["paused"]
    model.note(event, "paused" if model.is_paused else "unpaused")


def _accepted(model: MarketModel, event: Event, claim: Claim) -> None:
    _add_escrow(model, claim.session.application, -claim.value)
    supplier = model.suppliers.get(claim.supplier)
    if supplier is not None:
        supplier.claims += 1
        supplier.units += claim.root.sum
        supplier.bonds += claim.bond
        supplier.last_session = max(supplier.last_session, claim.session.number)
    _trade(model, claim)
    _note_claim(model, event, "claim", claim, amount=claim.value)


def _paid(model: MarketModel, event: Event, row: ClaimRow) -> None:
    supplier = model.suppliers.get(row.claim.supplier)
    if supplier is not None:
        supplier.claims_paid += 1
        supplier.earned += row.shares[0]
        supplier.bonds -= row.claim.bond
    _note_claim(model, event, "paid", row.claim, amount=sum(row.shares), points=row.points or 0)


def _voided(model: MarketModel, event: Event, row: ClaimRow) -> None:
    supplier = model.suppliers.get(row.claim.supplier)
    if supplier is not None:
        supplier.claims_voided += 1
        supplier.bonds -= row.claim.bond
    _note_claim(model, event, "voided", row.claim, amount=row.claim.value)


def _note_claim(model: MarketModel, event: Event, kind: str, claim: Claim, **facts: object) -> None:
    session = claim.session
    model.note(
        event, kind, supplier=claim.supplier, service=session.service, session=session.number,
        **facts,
    )  # fmt: skip


def _trade(model: MarketModel, claim: Claim) -> None:
    row = model.services.get(claim.session.service)
    if row is None:
        return
    trade = row.trades.setdefault(claim.session.number, Trade())
    trade.units += claim.root.sum
    trade.value += claim.value
    row.claims += 1
    row.units += claim.root.sum
    row.value += claim.value
    if len(row.trades) > SESSIONS_KEPT:
        del row.trades[min(row.trades)]


def _add_escrow(model: MarketModel, application: Address, amount: int) -> None:
    model.totals.escrow += amount
    if application in model.escrows or len(model.escrows) < DELEGATIONS_MAX:
        model.escrows[application] = model.escrows.get(application, 0) + amount
