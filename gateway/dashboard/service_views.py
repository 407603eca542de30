"""What is asked of services: all of them, and the book and the price path of one."""

from heapq import nlargest

from gateway.dashboard.auction_views import view_auction
from gateway.dashboard.market_views import SERVICES_SHOWN, Scene
from gateway.dashboard.rows import ServiceRow
from gateway.dashboard.shapes import Json, show_id, show_service
from relay_mining import Hash32

BOOK_SHOWN = 250


def view_service(scene: Scene, service: Hash32) -> Json | None:
    """The book and the price path of one service; None where there is none."""
    row = scene.model.services.get(service)
    if row is None:
        return None
    current = scene.session
    caps = [
        each.cap_at(current) for key, each in scene.model.delegations.items() if key[2] == service
    ]
    roster = scene.rosters.get(row.id, ())
    return {
        **show_service(row),
        "version": scene.model.version,
        "token": scene.token.show(),
        "trades": [
            [number, str(each.units), str(each.value)]
            for number, each in sorted(row.trades.items())
        ],
        "demand": {"delegations": sum(cap > 0 for cap in caps), "capped": str(sum(caps))},
        **(
            view_auction(row, scene.model.clock, roster, scene.model.suppliers)
            if row.is_auctioned
            else _view_asks(row, scene)
        ),
    }


def view_services(scene: Scene) -> Json:
    """All services there is room for, the busiest first."""
    rows = nlargest(SERVICES_SHOWN, scene.model.services.values(), key=lambda row: row.units)
    return {
        "version": scene.model.version,
        "token": scene.token.show(),
        "services": [show_service(each) for each in rows],
    }


def _view_asks(row: ServiceRow, scene: Scene) -> Json:
    """Posted asks: as they stood when sessions began, and as they stand."""
    return {
        "path": [
            [each.session, str(each.low), str(each.median), str(each.high)] for each in row.path
        ],
        "book": _book(row, scene),
    }


def _book(row: ServiceRow, scene: Scene) -> list[Json]:
    weights = {each.supplier: each for each in scene.rosters.get(row.id, ())}
    cheapest = sorted(row.asks.items(), key=lambda item: (item[1], item[0]))[:BOOK_SHOWN]
    shown = []
    for supplier, price in cheapest:
        entry, owner = weights.get(supplier), scene.model.suppliers.get(supplier)
        shown.append(
            {
                "supplier": show_id(supplier),
                "price": str(price),
                "weight": entry.weight if entry else 0,
                "price_now": str(entry.unit_price) if entry else None,
                "stake": str(owner.stake if owner else 0),
            }
        )
    return shown
