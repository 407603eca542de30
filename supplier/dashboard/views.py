"""What the supplier's page asks for, from its books, its store and what the chain says of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from node.dashboard import Token, show_clock
from node.holding import Holding
from relay_mining import Address, Clock
from supplier.mining.session_book import SessionBook
from supplier.mining.store import SentAction, SessionRecord
from supplier.operation.earnings import Amounts, Earned, earn_closed, earn_open

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scene:
    """The node at one moment."""

    supplier: Address
    clock: Clock
    head: int
    now: float
    """Unix seconds."""
    token: Token
    engines: Sequence[Mapping[str, Any]]
    """As the health page has them."""
    open_relays: int
    sessions: tuple[SessionBook, ...]
    """Those that are not closed."""
    closed: Sequence[SessionRecord]
    actions: Sequence[SentAction]
    """Both newest first."""
    holdings: tuple[Holding, ...]
    holdings_block: int


def view_pulse(scene: Scene) -> Json:
    """What the page follows live."""
    return {
        "clock": show_clock(scene.clock, scene.head),
        "engines": list(scene.engines),
        "open_relays": scene.open_relays,
        "open_sessions": len(scene.sessions),
        "served": str(sum(each.totals.served for each in scene.sessions)),
        "receipted": str(sum(each.totals.receipted for each in scene.sessions)),
    }


def view_node(scene: Scene) -> Json:
    """The page."""
    still = [earn_open(each, scene.now) for each in scene.sessions]
    closed = [earn_closed(each) for each in scene.closed]
    newest = sorted(still, key=lambda each: -each.number)
    return {
        **view_pulse(scene),
        "supplier": "0x" + scene.supplier.hex(),
        "token": scene.token.show(),
        "funnel": show_amounts(add_up([*still, *closed])),
        "sessions": [show_earned(each) for each in (*newest, *closed)],
        "holdings": [show_holding(each) for each in scene.holdings],
        "holdings_block": scene.holdings_block,
        "actions": [show_action(each) for each in scene.actions],
    }


def add_up(earned: Iterable[Earned]) -> Amounts:
    """The sum of some sessions."""
    return sum((each.amounts for each in earned), Amounts())


def show_amounts(amounts: Amounts) -> Json:
    """Stages and reasons, as text."""
    return {name: str(getattr(amounts, name)) for name in Amounts.__slots__}


def show_earned(earned: Earned) -> Json:
    """One session."""
    return {
        "number": earned.number,
        "service": "0x" + earned.service,
        "gateway": "0x" + earned.gateway,
        "outcome": earned.outcome,
        **show_amounts(earned.amounts),
    }


def show_holding(holding: Holding) -> Json:
    """One balance."""
    return {
        "where": holding.where,
        "amount": str(holding.amount),
        "unit": holding.unit,
        "until": holding.until,
        "frees": holding.frees,
    }


def show_action(action: SentAction) -> Json:
    """One transaction of settlement."""
    return {
        "at": int(action.at),
        "block": action.block,
        "kind": action.kind,
        "number": action.number,
        "amount": action.amount,
        "transaction": "0x" + action.transaction if action.transaction else "",
        "gas_used": action.gas_used,
        "outcome": action.outcome,
    }
