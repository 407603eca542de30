"""What events of `Registry` and `Sessions` change: services, asks, suppliers, stake, rosters."""

from collections.abc import Mapping
from typing import Any

from contracts import Event
from gateway.dashboard.market_model import MarketModel
from gateway.dashboard.rows import SERVICES_MAX, SUPPLIERS_MAX, ServiceRow, SupplierRow, clip
from relay_mining import Address, UnitWeights

Values = Mapping[str, Any]


def list_service(model: MarketModel, event: Event, values: Values) -> None:
    """A new service; beyond the bound it is only counted."""
    source, _, request, given, cached, written, source_bps, market, name = values["value"]
    if len(model.services) >= SERVICES_MAX:
        model.totals.left_out += 1
        return
    weights = UnitWeights(request, given, cached, written)
    row = ServiceRow(values["service"], clip(name), source, weights, source_bps, market)
    model.services[row.id] = row
    model.note(event, "service", service=row.id)


def set_listing(model: MarketModel, event: Event, values: Values) -> None:
    """An ask is posted, changed, or renewed as it was."""
    service = model.services.get(values["service"])
    supplier = model.suppliers.get(values["supplier"])
    if service is None or supplier is None:
        return
    price = values["unitPrice"]
    before = service.asks.get(supplier.id)
    service.asks[supplier.id] = supplier.asks[service.id] = price
    if before != price:
        service.is_quoted = False
        model.note(event, "ask", supplier=supplier.id, service=service.id, price=price)


def remove_listing(model: MarketModel, event: Event, values: Values) -> None:
    """An ask is withdrawn."""
    service = model.services.get(values["service"])
    supplier = model.suppliers.get(values["supplier"])
    if service is None or supplier is None:
        return
    service.asks.pop(supplier.id, None)
    supplier.asks.pop(service.id, None)
    service.is_quoted = False
    model.note(event, "ask_removed", supplier=supplier.id, service=service.id)


def set_roster(model: MarketModel, event: Event, values: Values) -> None:
    """A roster is built."""
    service = model.services.get(values["service"])
    if service is not None:
        service.roster = (values["epoch"], values["count"], values["totalWeight"])


def register_supplier(model: MarketModel, event: Event, values: Values) -> None:
    """A new supplier; beyond the bound it is only counted."""
    if len(model.suppliers) >= SUPPLIERS_MAX:
        model.totals.left_out += 1
        return
    row = SupplierRow(values["supplier"], values["owner"], since_block=event.block_number)
    model.suppliers[row.id] = row
    model.note(event, "supplier", supplier=row.id)


def accept_supplier(model: MarketModel, event: Event, values: Values) -> None:
    """A supplier changes hands."""
    row = model.suppliers.get(values["supplier"])
    if row is not None:
        row.owner = values["newOwner"]


def set_operator(model: MarketModel, event: Event, values: Values) -> None:
    """An operator key, shown as soon as it is set."""
    row = model.suppliers.get(values["supplier"])
    if row is not None:
        row.operator = values["operator"]


def set_payout(model: MarketModel, event: Event, values: Values) -> None:
    """Who is paid."""
    row = model.suppliers.get(values["supplier"])
    if row is not None:
        row.payout = values["payout"]


def set_url(model: MarketModel, event: Event, values: Values) -> None:
    """Where a supplier says it is."""
    row = model.suppliers.get(values["supplier"])
    if row is not None:
        row.url = clip(values["url"])


def set_bond_cap(model: MarketModel, event: Event, values: Values) -> None:
    """What an operator may put at risk for a session."""
    row = model.suppliers.get(values["supplier"])
    if row is not None:
        row.bond_cap = values["bondCapPerSession"]


def stake(model: MarketModel, event: Event, values: Values) -> None:
    """Stake comes in."""
    _add_stake(model, event, "stake", values["supplier"], values["amount"])


def request_unstake(model: MarketModel, event: Event, values: Values) -> None:
    """Stake is asked back; it backs claims until it leaves."""
    row = model.suppliers.get(values["supplier"])
    if row is not None:
        row.unstaking += values["amount"]


def finish_unstake(model: MarketModel, event: Event, values: Values) -> None:
    """Stake leaves."""
    row = _add_stake(model, event, "unstake", values["supplier"], -values["amount"])
    if row is not None:
        row.unstaking = max(0, row.unstaking - values["amount"])


def slash_bond(model: MarketModel, event: Event, values: Values) -> None:
    """A bond is lost."""
    model.totals.slashed += values["amount"]
    row = _add_stake(model, event, "slash", values["supplier"], -values["amount"])
    if row is not None:
        row.slashed += values["amount"]


def _add_stake(
    model: MarketModel, event: Event, kind: str, supplier: Address, amount: int
) -> SupplierRow | None:
    model.totals.stake += amount
    row = model.suppliers.get(supplier)
    if row is not None:
        row.stake += amount
        model.note(event, kind, supplier=supplier, amount=abs(amount))
    return row
