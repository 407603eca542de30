"""What events of `Auction` change: rounds with their posted prices, revealed orders, clearings."""

from collections.abc import Mapping
from typing import Any

from contracts import Event, OrderSide
from gateway.dashboard.market_model import MarketModel
from gateway.dashboard.rows import BOOKS_KEPT, ORDERS_KEPT, ROUNDS_KEPT, BookOrder, RoundRow

Values = Mapping[str, Any]


def open_market(model: MarketModel, event: Event, values: Values) -> None:
    """A service's auction gets its first price."""
    _post(model, event, values["service"], values["price"])


def open_round(model: MarketModel, event: Event, values: Values) -> None:
    """A round has its first order, and so its price; what is old makes room."""
    service = model.services.get(values["service"])
    if service is None:
        return
    if values["price"] != service.posted:
        _post(model, event, service.id, values["price"])
    epoch = values["epoch"]
    service.rounds[epoch] = RoundRow(epoch, values["price"])
    for old in sorted(service.rounds)[:-ROUNDS_KEPT]:
        del service.rounds[old]
    for old in sorted(service.rounds)[:-BOOKS_KEPT]:
        service.rounds[old].asks.clear()
        service.rounds[old].bids.clear()


def reveal(model: MarketModel, event: Event, values: Values) -> None:
    """An order is open; beyond the bound only its sums count."""
    row = _find(model, values)
    if row is None:
        return
    price, quantity, _ = values["terms"]
    is_ask = values["side"] == OrderSide.ASK
    if values["isIn"] and is_ask:
        row.supply += quantity
    elif values["isIn"]:
        row.demand += quantity
    orders = row.asks if is_ask else row.bids
    if len(orders) >= ORDERS_KEPT:
        model.totals.left_out += 1
        return
    orders[values["trader"]] = BookOrder(price, quantity, values["isIn"])


def clear(model: MarketModel, event: Event, values: Values) -> None:
    """A clearing has become the roster of its epoch."""
    row = _find(model, values)
    if row is None:
        return
    row.procured, row.paid = values["procured"], values["paid"]
    model.note(
        event, "cleared", service=values["service"], epoch=row.epoch,
        units=row.procured, amount=row.paid,
    )  # fmt: skip


def _post(model: MarketModel, event: Event, service_id: bytes, price: int) -> None:
    service = model.services.get(service_id)
    if service is not None:
        service.posted = price
        model.note(event, "posted", service=service_id, price=price)


def _find(model: MarketModel, values: Values) -> RoundRow | None:
    service = model.services.get(values["service"])
    return None if service is None else service.rounds.get(values["epoch"])
