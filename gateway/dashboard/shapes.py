"""The JSON of single things: ids as 0x hex, money and units as decimal text, blocks as numbers."""

from dataclasses import fields
from typing import Any

from gateway.dashboard.rows import Activity, ClaimRow, ServiceRow, SessionRow, SupplierRow, Totals
from gateway.routing.standing import Standing
from relay_mining import Address

Json = dict[str, Any]

SPARK_POINTS = 32


def show_id(value: bytes) -> str:
    """0x hex; empty for nothing."""
    return "0x" + value.hex() if value else ""


def show_totals(totals: Totals) -> Json:
    """All sums, as text."""
    return {each.name: str(getattr(totals, each.name)) for each in fields(totals)}


def show_session(row: SessionRow) -> Json:
    """All claims for one session number."""
    return {
        "number": row.number,
        "claims": row.claims,
        "open": row.claims - row.paid - row.voided,
        "paid": row.paid,
        "voided": row.voided,
        "to_prove": row.to_prove,
        "points": row.points,
        "units": str(row.units),
        "value": str(row.value),
        "value_paid": str(row.value_paid),
        "bond_lost": str(row.bond_lost),
    }


def show_claim(row: ClaimRow) -> Json:
    """One claim."""
    claim = row.claim
    return {
        "id": show_id(claim.id),
        "supplier": show_id(claim.supplier),
        "service": show_id(claim.session.service),
        "application": show_id(claim.session.application),
        "gateway": show_id(claim.session.gateway),
        "session": claim.session.number,
        "block": row.block,
        "transaction": show_id(row.transaction),
        "state": row.state,
        "settled_block": row.settled_block,
        "points": row.points,
        "leaves": claim.root.count,
        "units": str(claim.root.sum),
        "value": str(claim.value),
        "bond": str(claim.bond),
        "price": str(claim.price),
        "earned": str(row.shares[0]),
    }


def show_service(row: ServiceRow) -> Json:
    """One service as a list shows it; of an auction, asks of its book and the posted prices."""
    if row.is_auctioned:
        asks = row.book.asks.values() if row.book else ()
        prices = sorted(each.price for each in asks)
        path = [row.rounds[epoch].price for epoch in sorted(row.rounds)]
    else:
        prices = sorted(row.asks.values())
        path = [each.median for each in row.path]
    return {
        "id": show_id(row.id),
        "name": row.name,
        "source": show_id(row.source),
        "source_bps": row.source_bps,
        "has_market": row.is_auctioned,
        "posted": str(row.posted) if row.posted else None,
        "weights": {
            "request": str(row.weights.request),
            "input": str(row.weights.input),
            "cached": str(row.weights.cached),
            "output": str(row.weights.output),
        },
        "asks": len(prices),
        "low": str(prices[0]) if prices else None,
        "median": str(prices[(len(prices) - 1) // 2]) if prices else None,
        "high": str(prices[-1]) if prices else None,
        "path": [str(each) for each in path[-SPARK_POINTS:]],
        "roster": {
            "epoch": row.roster[0], "entries": row.roster[1], "weight": row.roster[2],
        },
        "claims": row.claims,
        "units": str(row.units),
        "value": str(row.value),
    }  # fmt: skip


def show_supplier(row: SupplierRow, standing: Standing) -> Json:
    """One supplier as a list shows it."""
    return {
        "id": show_id(row.id),
        "url": row.url,
        "stake": str(row.stake),
        "bonds": str(row.bonds),
        "low": str(min(row.asks.values())) if row.asks else None,
        "services": len(row.asks),
        "claims": row.claims,
        "claims_paid": row.claims_paid,
        "claims_voided": row.claims_voided,
        "units": str(row.units),
        "earned": str(row.earned),
        "slashed": str(row.slashed),
        "last_session": row.last_session,
        "standing": show_standing(row.id, standing)["state"],
    }


def show_standing(supplier: Address, standing: Standing) -> Json:
    """How far this gateway trusts a supplier now; one it never met is `new`."""
    word = standing.word(supplier)
    state = standing.states.get(supplier)
    if state is None:
        return {"state": "new" if word == "good" else word}
    return {
        "state": word,
        "in_flight": state.in_flight,
        "faults": state.faults,
        "reserved": str(state.reserved),
        "owed": str(state.owed),
        "receipted": str(state.receipted),
    }


def show_activity(row: Activity) -> Json:
    """One thing that happened."""
    return {
        "number": row.number,
        "block": row.block,
        "kind": row.kind,
        "transaction": show_id(row.transaction),
        **{name: _show_fact(value) for name, value in row.facts.items()},
    }


def _show_fact(value: object) -> object:
    if isinstance(value, bytes):
        return show_id(value)
    return value if isinstance(value, int) and abs(value) < 1 << 31 else str(value)
