"""Totals of usage lines: by supplier, by key, and by key, model and day; pure."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from gateway.access.budgets import DAY_S
from gateway.books.lines import Line, cost_of
from gateway.routing.observation import Result

FAULTS = frozenset(each.value for each in Result if each.is_fault)


@dataclass(slots=True)
class SupplierUsage:
    """Totals of one supplier or one key, since the ledger began."""

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
    """Of the units receipted, of those served that are not recounted yet, and of premiums; in
    millionths of a token base unit."""

    def add(self, line: Line, cost: int) -> None:
        """Count one try or one recount, and what it cost."""
        units: int = line["units"]
        self.cost += cost
        if line["kind"] == "recount":
            self.units_receipted += line["units_receipted"]
            self.receipts += 1
            self.overclaims += line["disposition"] == "overclaim"
            return
        self.tries += 1
        self.requests += bool(line["is_answer"])
        self.faults += line["disposition"] in FAULTS
        self.client_aborts += line["disposition"] == Result.CLIENT_ABORT.value
        self.input_tokens += line["input_tokens"]
        self.output_tokens += line["output_tokens"]
        self.units_served += units


class DayKey(NamedTuple):
    """Whose use of what, on which day since 1970, of UTC."""

    day: int
    key: str
    model: str


@dataclass(slots=True)
class DayUsage:
    """A key's use of a model on a day."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: int = 0
    """In millionths of a token base unit."""


@dataclass(slots=True)
class Totals:
    """Every book of one ledger."""

    suppliers: dict[str, SupplierUsage] = field(default_factory=dict)
    keys: dict[str, SupplierUsage] = field(default_factory=dict)
    days: dict[DayKey, DayUsage] = field(default_factory=dict)

    def add(self, line: Line) -> None:
        """Count one try or one recount in each book."""
        cost = cost_of(line)
        for book, name in ((self.suppliers, line["supplier"]), (self.keys, line["key"])):
            usage = book.get(name)
            if usage is None:
                usage = book[name] = SupplierUsage()
            usage.add(line, cost)
        place = DayKey(line["time"] // DAY_S, line["key"], line["model"])
        day = self.days.get(place)
        if day is None:
            day = self.days[place] = DayUsage()
        day.cost += cost
        if line["kind"] == "try":
            day.requests += bool(line["is_answer"])
            day.input_tokens += line["input_tokens"]
            day.output_tokens += line["output_tokens"]

    def forget_days(self, before: int) -> None:
        """Drop the days before one, counted from 1970."""
        for place in [each for each in self.days if each.day < before]:
            del self.days[place]

    def show_days(self) -> list[dict[str, object]]:
        """Use by day, key and model, in that order."""
        return [
            {"day": _show_day(place.day), "key": place.key, "model": place.model, **asdict(each)}
            for place, each in sorted(self.days.items())
        ]


def _show_day(day: int) -> str:
    return datetime.fromtimestamp(day * DAY_S, UTC).date().isoformat()


def add_up(usages: Iterable[SupplierUsage]) -> SupplierUsage:
    """The sum of several."""
    total = SupplierUsage()
    for usage in usages:
        for name in SupplierUsage.__slots__:
            setattr(total, name, getattr(total, name) + getattr(usage, name))
    return total
