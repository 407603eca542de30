"""The usage ledger: one durable line a try and a recount, written after the client has its answer.

It reads events only. Lines are JSON; those of one moment are written and synced together.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from gateway.budgets import Spending
from gateway.observation import Event, Observation, Recount, Result
from node.append_log import AppendLog

FLUSH_S = 0.2
PENDING_MAX = 100_000
LINES_MAX = 500
"""Lines of one record."""


@dataclass(slots=True)
class SupplierUsage:
    """Totals of one supplier, since the ledger began."""

    tries: int = 0
    requests: int = 0
    """Answers clients received, whole or up to where they left."""
    faults: int = 0
    client_aborts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    units_served: int = 0
    """As the supplier signed them."""
    units_receipted: int = 0
    """As the gateway recounted and receipted them."""
    receipts: int = 0
    overclaims: int = 0
    cost: int = 0
    """Of the units receipted, and of those served that are not recounted yet; in millionths of a
    token base unit."""


@dataclass(slots=True)
class Ledger:
    """Durable lines and running totals; `observe` never waits."""

    log: AppendLog
    totals: dict[str, SupplierUsage] = field(default_factory=dict)
    keys: dict[str, SupplierUsage] = field(default_factory=dict)
    spending: defaultdict[str, Spending] = field(default_factory=lambda: defaultdict(Spending))
    """Of each key, what its budgets are held against."""
    now: Callable[[], float] = time.time
    dropped: int = 0
    """Lines lost to a disk that cannot keep up."""
    _pending: list[dict[str, object]] = field(default_factory=list)

    def observe(self, event: Event) -> None:
        """Count an event and have it written soon."""
        line = _line(event, int(self.now()))
        self._count(line)
        if len(self._pending) >= PENDING_MAX:
            self.dropped += 1
            return
        self._pending.append(line)

    def replay(self, records: Iterable[bytes]) -> None:
        """Rebuild the totals from a log's records."""
        for record in records:
            for line in orjson.loads(record):
                self._count(line)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_S)
            await self.flush()

    async def flush(self) -> None:
        """Make everything observed so far durable."""
        if self._pending:
            lines, self._pending = self._pending, []
            await self.log.append_many(
                [orjson.dumps(lines[i : i + LINES_MAX]) for i in range(0, len(lines), LINES_MAX)]
            )

    def summary(self) -> dict[str, object]:
        """Totals by supplier and by key, and over all; what each key has spent lately."""
        return {
            "suppliers": {name: asdict(each) for name, each in sorted(self.totals.items())},
            "keys": {name: asdict(each) for name, each in sorted(self.keys.items())},
            "total": asdict(_sum(self.totals.values())),
            "spending": {
                name: each.shown(int(self.now())) for name, each in sorted(self.spending.items())
            },
        }

    def _count(self, line: dict[str, Any]) -> None:
        cost = _cost(line)
        for book, name in ((self.totals, line["supplier"]), (self.keys, line["key"])):
            usage = book.get(name)
            if usage is None:
                usage = book[name] = SupplierUsage()
            _add(usage, line)
            usage.cost += cost
        self.spending[line["key"]].charge(cost, line["time"])


def _line(event: Event, now: int) -> dict[str, object]:
    line: dict[str, object] = {
        "time": now,
        "supplier": "0x" + event.supplier.hex(),
        "application": "0x" + event.session.application.hex(),
        "service": "0x" + event.session.service.hex(),
        "session": event.session.number,
        "model": event.model,
        "key": event.key_id,
        "input_tokens": event.input_tokens,
        "output_tokens": event.output_tokens,
        "price": event.price,
    }
    if isinstance(event, Observation):
        return line | {
            "kind": "try",
            "disposition": event.result.value,
            "is_answer": event.is_answer,
            "is_stream": event.is_stream,
            "units": event.units,
            "latency_ms": round(event.latency_s * 1000, 2),
            "detail": event.detail,
        }
    return line | {
        "kind": "recount",
        "disposition": "overclaim" if event.is_overclaim else "receipted",
        "request": "0x" + event.request_hash.hex(),
        "units": event.units_claimed,
        "units_receipted": event.units_receipted,
    }


def _cost(line: dict[str, Any]) -> int:
    """What a try cost as signed, or what its recount takes back of that; in millionths.

    Lines from before prices were written down cost nothing.
    """
    price: int = line.get("price", 0)
    units: int = line["units"]
    return price * (units if line["kind"] == "try" else line["units_receipted"] - units)


FAULTS = frozenset(each.value for each in Result if each.is_fault)


def _add(usage: SupplierUsage, line: dict[str, Any]) -> None:
    units: int = line["units"]
    if line["kind"] == "recount":
        usage.units_receipted += line["units_receipted"]
        usage.receipts += 1
        usage.overclaims += line["disposition"] == "overclaim"
        return
    usage.tries += 1
    usage.requests += bool(line["is_answer"])
    usage.faults += line["disposition"] in FAULTS
    usage.client_aborts += line["disposition"] == Result.CLIENT_ABORT.value
    usage.input_tokens += line["input_tokens"]
    usage.output_tokens += line["output_tokens"]
    usage.units_served += units


def _sum(usages: Iterable[SupplierUsage]) -> SupplierUsage:
    total = SupplierUsage()
    for usage in usages:
        for name in SupplierUsage.__slots__:
            setattr(total, name, getattr(total, name) + getattr(usage, name))
    return total


__all__ = ["Ledger", "Recount", "SupplierUsage"]
