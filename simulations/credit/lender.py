"""One supplier's side of its credit to a gateway: the real lines, over sessions, with the coin.

Time is counted in relays. A receipt that is so many relays late stops the credit, as one that is
seconds late does; at a session's end what is unreceipted is written off.
"""

from dataclasses import dataclass, field
from fractions import Fraction

from relay_mining import CreditLine, CreditPool, Hash32, is_payable, keccak, leaf_weight

INITIAL = 200_000
GROWTH = Fraction(1, 2)
NEWCOMERS = 1_000_000
"""What suppliers grant by default, in compute units."""
TAU = 2_000
MAX_UNITS = 6_000
"""Reserved for each relay; what it comes to is known when it is served."""
DUE_RELAYS = 40


@dataclass(slots=True)
class Owed:
    """One served relay without a receipt."""

    request: Hash32
    units: int
    served_at: int
    weight: int
    """Of its leaf, were it receipted; 0 where the coin leaves it out. The gateway cannot see it."""


@dataclass(slots=True)
class Lender:
    """A supplier that serves one gateway; `tag` makes its coins its own."""

    tag: bytes
    line: CreditLine
    owed: dict[Hash32, Owed] = field(default_factory=dict)
    served: int = 0
    lost: int = 0
    """Units served and never receipted, or receipted short."""
    lost_weight: int = 0
    """What these would have weighed in the supplier's claims."""
    relays: int = 0

    @property
    def bound(self) -> int:
        """Most that may be lost by now: what is granted to begin with, and what was earned."""
        return INITIAL + GROWTH.numerator * self.line.receipted // GROWTH.denominator

    def serve(self, units: int) -> Owed | None:
        """Serve a relay where there is credit for it."""
        for each in self.owed.values():
            if self.relays - each.served_at >= DUE_RELAYS:
                self.line.mark_overdue(each.request)
        if not self.line.can_accept(MAX_UNITS):
            return None
        self.relays += 1
        request = keccak(self.tag + self.relays.to_bytes(8, "big"))
        self.line.reserve(request, MAX_UNITS)
        self.line.lower(request, units)
        self.served += units
        kept = is_payable(request, keccak(self.tag), units, TAU)
        one = Owed(request, units, self.relays, leaf_weight(units, TAU) if kept else 0)
        self.owed[request] = one
        return one

    def receipt(self, one: Owed, units: int | None = None) -> None:
        """Take a receipt, of all units unless it says fewer."""
        del self.owed[one.request]
        units = one.units if units is None else units
        self.line.settle(one.request, units, one.units)
        if short := one.units - units:
            self.lost += short
            self.lost_weight += one.weight * short // one.units

    def end_session(self) -> None:
        """Write off what is unreceipted."""
        for one in self.owed.values():
            self.line.write_off(one.request, one.units)
            self.lost += one.units
            self.lost_weight += one.weight
        self.owed.clear()


def lend(tag: bytes, initial: int = INITIAL, pool: CreditPool | None = None) -> Lender:
    """A supplier that has never seen the gateway."""
    return Lender(tag, CreditLine(initial, GROWTH, newcomers=pool))
