"""Relays on credit: what each may still cost, what each gateway was given and has given back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

from relay_mining import WHOLE, CreditLine, Hash32, PartPlan


def _ignore() -> None:
    """Tell nobody."""


@dataclass(slots=True)
class Relay:
    """One admitted relay that is not wholly receipted yet."""

    request_hash: Hash32
    max_units: int
    plan: PartPlan = WHOLE
    """How it may be cut."""
    parts: dict[Hash32, int] = field(default_factory=dict)
    """What each signed part without a receipt adds, by the hash of its response."""
    signed_parts: int = 0
    signed_units: int = 0
    """Cumulative, of the newest part."""
    is_ended: bool = False
    """Whether the last part is signed."""
    engine: str = ""
    """Which engine it is at, by name."""
    is_resumed: bool = False
    """Whether it was served before a restart, so that a part may be missing here."""
    on_receipt: Callable[[], None] = _ignore
    """Called when a part is receipted."""
    held_units: int = field(init=False)
    held_parts: int = field(init=False)
    """Held in the slice: what may still be receipted, in how many receipts."""

    def __post_init__(self) -> None:
        self.held_units, self.held_parts = self.max_units, self.plan.parts_max

    @property
    def owed(self) -> int:
        """Units that are signed and not receipted."""
        return sum(self.parts.values())

    @property
    def may_be_cut(self) -> bool:
        """Whether a part may be signed that is not the last."""
        return self.signed_parts < self.plan.parts_max - 1


@dataclass(frozen=True, slots=True)
class CreditPolicy:
    """What this supplier serves on credit, in compute units."""

    initial_units: int
    growth: Fraction
    newcomers_units: int
    receipt_due_s: float
    interim_units: int = 0
    """Long streams are receipted in parts of about so many units; 0 is never."""
    is_bound_by_fee: bool = True
    """Whether c0 stays below what a delegation's non-refundable fee pays for."""


@dataclass(frozen=True, slots=True)
class History:
    """What one gateway did in the sessions before, in units."""

    receipted: int = 0
    lost: int = 0
    """Served, and never receipted before the claim was made."""

    def plus(self, receipted: int, lost: int) -> "History":
        """The history with a session more, or with one taken off by negative units."""
        return History(self.receipted + receipted, self.lost + lost)


class Account:
    """What one gateway has been given on credit and what it has receipted, over all sessions."""

    __slots__ = ("_awaited", "line")

    def __init__(self, line: CreditLine) -> None:
        self.line = line
        self._awaited: dict[Hash32, tuple[Hash32, float]] = {}
        """By response: its request, and since when; the oldest first."""

    def await_receipt(self, request_hash: Hash32, response_hash: Hash32, now: float) -> None:
        """Start waiting for the receipt of a signed response that went out at `now`."""
        self._awaited.setdefault(response_hash, (request_hash, now))

    def awaited_since(self, relay: Relay) -> float | None:
        """When the oldest signed part without a receipt went out; None where there is none."""
        return min(
            (self._awaited[each][1] for each in relay.parts if each in self._awaited), default=None
        )

    def awaits(self, relay: Relay, now: float, due_s: float) -> bool:
        """Whether a part of a relay went out, is not receipted, and not overdue."""
        since = self.awaited_since(relay)
        return since is not None and now - since <= due_s

    def settle(self, relay: Relay, response_hash: Hash32, units: int, signed: int) -> None:
        """Take in the receipt of what is left of a relay, which `signed` units were asked for."""
        self._awaited.pop(response_hash, None)
        self.line.settle(relay.request_hash, units, signed)

    def settle_part(self, relay: Relay, response_hash: Hash32, units: int, signed: int) -> None:
        """Take in the receipt of a part that added `signed` units."""
        self._awaited.pop(response_hash, None)
        self.line.settle_part(relay.request_hash, units, signed)

    def write_off(self, relay: Relay) -> None:
        """Wait for nothing more from a relay; what it owes is lost."""
        for response_hash in relay.parts:
            self._awaited.pop(response_hash, None)
        self.line.write_off(relay.request_hash, relay.owed)

    def mark_overdue(self, now: float, due_s: float) -> None:
        """Take the credit away while a response is older than `due_s` seconds and unreceipted."""
        for request_hash, since in self._awaited.values():
            if now - since <= due_s:
                return  # in the order of time
            self.line.mark_overdue(request_hash)
