"""Sealed orders kept on the disk from before they are committed until they are revealed.

An order whose salt is forgotten cannot be revealed, and its bond is lost.
"""

import json
import os
from pathlib import Path
from typing import Any

from contracts.auction_values import OrderKey, OrderSide, OrderTerms, SealedOrder


class SealedOrders:
    """A small file of orders, written anew as a whole; `keep` returns when it is durable."""

    def __init__(self, path: Path) -> None:
        """Read what is there (ValueError or KeyError for a file of something else)."""
        self._path = path
        raw = json.loads(path.read_bytes()) if path.exists() else []
        self._orders = {order.key: order for order in map(_decode, raw)}

    def find(self, key: OrderKey) -> SealedOrder | None:
        """A kept order."""
        return self._orders.get(key)

    def keep(self, order: SealedOrder) -> None:
        """Keep an order, in place of another of the same key."""
        self._orders[order.key] = order
        self._write()

    def forget_before(self, epoch: int) -> None:
        """Drop the orders of rounds that nobody can reveal any more."""
        kept = {key: order for key, order in self._orders.items() if key.epoch >= epoch}
        if len(kept) < len(self._orders):
            self._orders = kept
            self._write()

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".draft")
        data = json.dumps([_encode(each) for each in self._orders.values()]).encode()
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _encode(order: SealedOrder) -> dict[str, Any]:
    key, terms = order.key, order.terms
    return {
        "service": key.service.hex(),
        "epoch": key.epoch,
        "side": int(key.side),
        "trader": key.trader.hex(),
        "price": terms.price,
        "quantity": terms.quantity,
        "gateway": terms.gateway.hex(),
        "salt": order.salt.hex(),
    }


def _decode(raw: dict[str, Any]) -> SealedOrder:
    read = bytes.fromhex
    key = OrderKey(
        read(raw["service"]), int(raw["epoch"]), OrderSide(raw["side"]), read(raw["trader"])
    )
    terms = OrderTerms(int(raw["price"]), int(raw["quantity"]), read(raw["gateway"]))
    return SealedOrder(key, terms, read(raw["salt"]))
