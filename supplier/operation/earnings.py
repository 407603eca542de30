"""What was earned, and every reason why what was served and what was paid differ. Pure.

A session's money goes through six stages: served, receipted, payable, claimed, net, paid. Each is
worth what its units are at the session's price (rounded down), or what the claim says; a reason is
the difference between two stages that follow each other, so that served and paid always differ by
exactly the reasons given.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime

import orjson

from relay_mining import UNITS_PER_PRICE, compute_value
from supplier.mining.ends import SETTLED
from supplier.mining.session_book import SessionBook
from supplier.mining.store import SessionRecord

BY = ("session", "hour", "day", "gateway", "application", "engine", "total")
UNKNOWN = "unknown"


STAGES = frozenset({"unreceipted", "sampling", "unclaimed", "shares", "pending", "lost", "paid"})
"""Where what was served went."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """One or more sessions: units, and money in token base units."""

    sessions: int = 0
    relays: int = 0
    served_units: int = 0
    receipted_units: int = 0
    payable_units: int = 0
    """By weight: what the sampled receipts stand for."""
    served: int = 0
    """What the units served are worth."""
    unreceipted: int = 0
    """Reason: the gateway never receipted it, or receipted less than was signed."""
    sampling: int = 0
    """Reason: the coin; on average 0, above 0 where luck took something away."""
    unclaimed: int = 0
    """Reason: too little for its gas, no stake for its bond, or the window was missed."""
    shares: int = 0
    """Reason: what source, gateway and protocol take of a claim."""
    pending: int = 0
    """Reason: on its way; the session is not closed."""
    lost: int = 0
    """Reason: claimed and not paid: a proof was missing, or the claim was never accepted."""
    paid: int = 0

    def __add__(self, other: "Amounts") -> "Amounts":
        names = (each.name for each in fields(self))
        return Amounts(*(getattr(self, name) + getattr(other, name) for name in names))


@dataclass(frozen=True, slots=True)
class Earned:
    """One session's amounts, and what it can be grouped by."""

    number: int
    service: str
    gateway: str
    application: str
    at: float
    """When it was closed, Unix seconds; of an open one, now."""
    outcome: str
    amounts: Amounts
    engines: Mapping[str, int] = field(default_factory=dict)
    """Units served by each engine."""


def earn_closed(record: SessionRecord, paid: int | None = None) -> Earned:
    """The earnings of a closed session; `paid` is the chain's word where the store has none."""
    value, net = int(record.value), int(record.net)
    received = int(record.paid) if paid is None else paid
    price = int(record.price) or _derive_price(record)
    served, receipted, payable = (
        _worth(units, price) for units in (record.served, record.receipted, record.payable)
    )
    net = net if net or not value else received
    amounts = Amounts(
        sessions=1, relays=record.relays, served_units=record.served,
        receipted_units=record.receipted, payable_units=record.payable,
        served=served, unreceipted=served - receipted, sampling=receipted - payable,
        unclaimed=payable - value, shares=value - net, lost=net - received, paid=received,
    )  # fmt: skip
    return Earned(
        record.number, record.service, record.gateway, record.application, record.closed_at,
        record.outcome, amounts, orjson.loads(record.engines),
    )  # fmt: skip


def earn_open(book: SessionBook, now: float) -> Earned:
    """The earnings of a session that is being served, claimed or proved."""
    totals, key, price = book.totals, book.key, book.facts.terms.price
    served, receipted = _worth(totals.served, price), _worth(totals.receipted, price)
    payable = _worth(totals.payable, price)
    net = book.facts.net(payable)
    amounts = Amounts(
        sessions=1, relays=totals.relays, served_units=totals.served,
        receipted_units=totals.receipted, payable_units=totals.payable,
        served=served, unreceipted=served - receipted, sampling=receipted - payable,
        shares=payable - net, pending=net,
    )  # fmt: skip
    return Earned(
        key.number, key.service.hex(), key.gateway.hex(), key.application.hex(), now,
        "claimed" if book.claims else "open", amounts, totals.engines,
    )  # fmt: skip


def is_unsettled(record: SessionRecord) -> bool:
    """Whether only the chain can say if a closed session's claim was paid."""
    return int(record.value) > 0 and record.outcome != SETTLED


def group(earned: Iterable[Earned], by: str) -> list[tuple[str, str, Amounts]]:
    """`(group, service, amounts)`, in the order of the groups; `by` is one of BY."""
    sums: dict[tuple[str, str], Amounts] = defaultdict(Amounts)
    for each in earned:
        for label, amounts in split(each) if by == "engine" else [(_label(each, by), each.amounts)]:
            sums[label, "0x" + each.service] += amounts
    return [(*key, sums[key]) for key in sorted(sums)]


def split(earned: Earned) -> Iterator[tuple[str, Amounts]]:
    """A session's amounts by engine, in proportion to the units that each served.

    Receipts name no engine, and the coin that makes them payable none either. Every amount adds up
    to what it was, and in each part what was served less its reasons is what was paid.
    """
    parts = sorted(earned.engines.items()) or [("", 1)]
    weights = [units for _, units in parts]
    names = [each.name for each in fields(Amounts) if each.name not in ("sessions", "served")]
    shared = {name: divide(getattr(earned.amounts, name), weights) for name in names}
    for at, (engine, _) in enumerate(parts):
        values = {name: found[at] for name, found in shared.items()}
        served = sum(value for name, value in values.items() if name in STAGES)
        yield engine or UNKNOWN, Amounts(sessions=1, served=served, **values)


def divide(amount: int, weights: list[int]) -> list[int]:
    """`amount` in proportion to `weights`, each part rounded down and the rest to the first."""
    total = sum(weights) or 1
    parts = [amount * each // total for each in weights]
    parts[0] += amount - sum(parts)
    return parts


def _label(earned: Earned, by: str) -> str:
    match by:
        case "session":
            return f"{earned.number:012d}"
        case "hour" | "day":
            if not earned.at:
                return UNKNOWN
            at = datetime.fromtimestamp(earned.at, UTC)
            return at.strftime("%Y-%m-%d %H:00" if by == "hour" else "%Y-%m-%d")
        case "gateway":
            return "0x" + earned.gateway
        case "application":
            return "0x" + earned.application
    return "total"


def _worth(units: int, price: int) -> int:
    return compute_value(units, price) if units and price else 0


def _derive_price(record: SessionRecord) -> int:
    """A price at which the payable units are worth the claim, rounded up to give it back."""
    return -(-int(record.value) * UNITS_PER_PRICE // record.payable) if record.payable else 0
