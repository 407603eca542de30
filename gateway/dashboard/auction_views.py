"""The book and the price path of an auctioned service, as its rounds' events tell them."""

from collections.abc import Mapping

from gateway.dashboard.rows import BookOrder, RoundRow, ServiceRow, SupplierRow
from gateway.dashboard.shapes import Json, show_id
from relay_mining import Address, Clock, RosterEntry


def view_auction(
    row: ServiceRow, clock: Clock, roster: tuple[RosterEntry, ...],
    suppliers: Mapping[Address, SupplierRow],
) -> Json:  # fmt: skip
    """What takes the place of posted asks on the page of a service.

    `path` has a point for each round: the first session of its epoch, the posted price, and what a
    unit cost on average (rounded up), or null where nothing was cleared. `book` has the asks of the
    newest round that has revealed orders, the cheapest first, and `bids` its bids, the highest
    first.
    """
    book = row.book
    rounds = [row.rounds[epoch] for epoch in sorted(row.rounds)]
    return {
        "path": [
            [each.epoch * clock.epoch_sessions, str(each.price), _mean(each)] for each in rounds
        ],
        "round": show_round(book) if book else None,
        "book": _asks(book, roster, suppliers) if book else [],
        "bids": _bids(book) if book else [],
    }


def show_round(row: RoundRow) -> Json:
    """The sums of a round."""
    return {
        "epoch": row.epoch,
        "price": str(row.price),
        "supply": row.supply,
        "demand": row.demand,
        "procured": row.procured,
        "paid": str(row.paid),
        "mean": _mean(row),
    }


def _mean(row: RoundRow) -> str | None:
    return str(-(-row.paid // row.procured)) if row.procured else None


def _asks(
    book: RoundRow, roster: tuple[RosterEntry, ...], suppliers: Mapping[Address, SupplierRow]
) -> list[Json]:
    entries = {each.supplier: each for each in roster}
    shown = []
    for supplier, ask in sorted(book.asks.items(), key=lambda item: (item[1].price, item[0])):
        entry, owner = entries.get(supplier), suppliers.get(supplier)
        shown.append(
            {
                "supplier": show_id(supplier),
                **_show_order(ask),
                "weight": entry.weight if entry else 0,
                "price_now": str(entry.unit_price) if entry else None,
                "stake": str(owner.stake if owner else 0),
            }
        )
    return shown


def _bids(book: RoundRow) -> list[Json]:
    by_price = sorted(book.bids.items(), key=lambda item: (-item[1].price, item[0]))
    return [{"application": show_id(each), **_show_order(bid)} for each, bid in by_price]


def _show_order(order: BookOrder) -> Json:
    return {"price": str(order.price), "quantity": order.quantity, "in": order.is_in}
