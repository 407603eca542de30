"""What the public pages ask for, computed from the model as it stands; each answer is bounded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from heapq import nlargest
from itertools import islice

from gateway.dashboard.follower import Rosters
from gateway.dashboard.market_model import MarketModel
from gateway.dashboard.rows import ClaimRow, SessionRow, SupplierRow
from gateway.dashboard.shapes import (
    Json,
    show_activity,
    show_claim,
    show_id,
    show_service,
    show_session,
    show_standing,
    show_supplier,
    show_totals,
)
from gateway.routing.sessions import Session
from gateway.routing.standing import Standing
from node.dashboard import Token, show_clock
from relay_mining import Address, Hash32

SERVICES_SHOWN = 50
SESSIONS_SHOWN = 48
OWN_SESSIONS_SHOWN = 50
CLAIMS_SHOWN = 15
SUPPLIER_CLAIMS_SHOWN = 60
ACTIVITY_SHOWN = 30
STAGES = ("serving", "claiming", "proving", "settled")
"""Of the running session and the ones before it."""

ORDERS: Mapping[str, Callable[[SupplierRow], int]] = {
    "earned": lambda row: row.earned,
    "stake": lambda row: row.stake,
    "claims": lambda row: row.claims,
    "slashed": lambda row: row.slashed,
    "price": lambda row: -min(row.asks.values(), default=1 << 128),
    "recent": lambda row: row.last_session,
}


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything public at one moment."""

    model: MarketModel
    rosters: Rosters
    standing: Standing
    sessions: tuple[Session, ...]
    """Those that this gateway serves now."""
    head_block: int
    token: Token
    gateway: Address

    @property
    def session(self) -> int:
        """The running session; -1 before the first."""
        clock, block = self.model.clock, self.head_block
        return clock.session_at(block) if block >= clock.genesis_block else -1


def view_pulse(scene: Scene) -> Json:
    """What every page follows live: where the clock stands, the sums, what happened last."""
    model = scene.model
    latest = list(islice(reversed(model.activity), ACTIVITY_SHOWN))
    return {
        "version": model.version,
        "clock": show_clock(model.clock, scene.head_block),
        "totals": show_totals(model.totals),
        "paused": model.is_paused,
        "stages": view_stages(scene),
        "in_flight": sum(each.in_flight for each in scene.standing.states.values()),
        "activity": [show_activity(each) for each in latest],
    }


def view_stages(scene: Scene) -> list[Json]:
    """The running session and the three before it, each with what its claims have come to."""
    current = scene.session
    sessions = scene.model.claims.sessions
    return [
        {"stage": stage, **show_session(sessions.get(current - age) or SessionRow(current - age))}
        for age, stage in enumerate(STAGES)
        if current - age >= 0
    ]


def view_market(scene: Scene) -> Json:
    """The market page."""
    model = scene.model
    current = scene.session
    services = nlargest(SERVICES_SHOWN, model.services.values(), key=lambda row: row.units)
    history = list(islice(reversed(model.claims.sessions.values()), SESSIONS_SHOWN))
    capped = [each.cap_at(current) for each in model.delegations.values()]
    return {
        **view_pulse(scene),
        "token": scene.token.show(),
        "gateway": show_id(scene.gateway),
        "counts": {
            "services": len(model.services),
            "suppliers": len(model.suppliers),
            "delegations": sum(cap > 0 for cap in capped),
            "capped": str(sum(capped)),
        },
        "services": [show_service(each) for each in services],
        "sessions": [view_own(each, scene) for each in scene.sessions[:OWN_SESSIONS_SHOWN]],
        "history": [show_session(each) for each in reversed(history)],
        "claims": [show_claim(each) for each in _latest_claims(model, CLAIMS_SHOWN)],
    }


def view_own(session: Session, scene: Scene) -> Json:
    """A session that this gateway serves, with its members."""
    return {
        "id": show_id(session.id),
        "number": session.key.number,
        "model": session.service.name,
        "service": show_id(session.key.service),
        "application": show_id(session.key.application),
        "cap": str(session.cap),
        "members": [
            {
                "supplier": show_id(each.supplier),
                "price": str(each.terms.price),
                "slice": str(each.terms.slice_amount),
                "standing": show_standing(each.supplier, scene.standing),
            }
            for each in session.members
        ],
    }


def view_suppliers(scene: Scene, order: str, find: str, offset: int, limit: int) -> Json:
    """A stretch of the list of suppliers, the largest first; `find` is part of an id or URL."""
    key = ORDERS.get(order, ORDERS["earned"])
    rows = [each for each in scene.model.suppliers.values() if _matches(each, find.lower())]
    rows.sort(key=key, reverse=True)
    return {
        "total": len(rows),
        "offset": offset,
        "suppliers": [
            show_supplier(each, scene.standing) for each in rows[offset : offset + limit]
        ],
    }


def view_supplier(scene: Scene, supplier: Address) -> Json | None:
    """What is public of one supplier; None where there is none."""
    row = scene.model.suppliers.get(supplier)
    if row is None:
        return None
    claims = _claims_of(scene.model, supplier)
    return {
        **show_supplier(row, scene.standing),
        "version": scene.model.version,
        "token": scene.token.show(),
        "owner": show_id(row.owner),
        "operator": show_id(row.operator),
        "payout": show_id(row.payout),
        "since_block": row.since_block,
        "unstaking": str(row.unstaking),
        "bond_cap": str(row.bond_cap),
        "standing": show_standing(supplier, scene.standing),
        "asks": [_show_ask(each, row, scene) for each in row.asks],
        "claims_shown": [show_claim(each) for each in claims],
    }


def _show_ask(service: Hash32, row: SupplierRow, scene: Scene) -> Json:
    listed = scene.model.services.get(service)
    entries = {each.supplier: each.weight for each in scene.rosters.get(service, ())}
    weight = entries.get(row.id, 0)
    return {
        "service": show_id(service),
        "name": listed.name if listed else "",
        "price": str(row.asks[service]),
        "weight": weight,
        "weight_total": sum(entries.values()),
    }


def _matches(row: SupplierRow, find: str) -> bool:
    return not find or find in show_id(row.id) or find in row.url.lower()


def _latest_claims(model: MarketModel, count: int) -> list[ClaimRow]:
    """The claims that came or ended last."""
    board = model.claims
    recent = [
        *islice(reversed(board.settled), count),
        *islice(reversed(board.open.values()), count),
    ]
    return nlargest(count, recent, key=lambda row: max(row.block, row.settled_block))


def _claims_of(model: MarketModel, supplier: Address) -> list[ClaimRow]:
    found = [each for each in model.claims.open.values() if each.claim.supplier == supplier]
    found += [each for each in model.claims.settled if each.claim.supplier == supplier]
    return nlargest(SUPPLIER_CLAIMS_SHOWN, found, key=lambda row: row.block)
