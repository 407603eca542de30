"""Credit: how much a supplier serves a gateway before it has the receipts.

A gateway earns credit by its own history only, never by public volume, which self-dealing can buy.
An overdue receipt sets its credit to zero until it is here. Gateways without history share one
bounded pool, so that a crowd of new identities gets no more than one.
"""

from fractions import Fraction

from relay_mining.errors import OverBudgetError, ReplayedError
from relay_mining.types import (
    AMOUNT_MAX,
    UINT64_MAX,
    UNITS_MAX,
    UNITS_PER_PRICE,
    Hash32,
    require_range,
)


class CreditPool:
    """What all gateways without history may owe together, in compute units."""

    __slots__ = ("_outstanding", "_units_max")

    def __init__(self, units_max: int) -> None:
        require_range("units_max", units_max, 0, UNITS_MAX)
        self._units_max = units_max
        self._outstanding = 0

    @property
    def free(self) -> int:
        """Units that may still be owed; negative where a restart found more than the limit."""
        return self._units_max - self._outstanding

    def take(self, units: int) -> None:
        """Owe more (OverBudgetError above the pool's limit)."""
        if units > self.free:
            raise OverBudgetError(f"{units} units for a new gateway, {self.free} left for all")
        self._outstanding += units

    def owe(self, units: int) -> None:
        """Owe more, whatever is free: it was served before a restart."""
        require_range("units", units, 0, UNITS_MAX)
        self._outstanding += units

    def give_back(self, units: int) -> None:
        """Owe less again."""
        require_range("units", units, 0, self._outstanding)
        self._outstanding -= units


class CreditLine:
    """One gateway's credit: `initial_units + growth * receipted - lost` units, never below 0.

    The product rounds down. `receipted_units` is what this gateway has receipted before and
    `lost_units` what it was served and never receipted, or receipted short (a restart goes on from
    both); `newcomers` is the pool that relays of a gateway without any receipt are taken from.
    """

    __slots__ = (
        "_growth",
        "_initial_units",
        "_lost",
        "_newcomers",
        "_open",
        "_outstanding",
        "_overdue",
        "_pooled",
        "_receipted",
    )

    def __init__(
        self,
        initial_units: int,
        growth: Fraction | float,
        *,
        receipted_units: int = 0,
        lost_units: int = 0,
        newcomers: CreditPool | None = None,
    ) -> None:
        require_range("initial_units", initial_units, 0, UNITS_MAX)
        if growth < 0:
            raise ValueError(f"growth is {growth}")
        require_range("receipted_units", receipted_units, 0, AMOUNT_MAX)
        require_range("lost_units", lost_units, 0, AMOUNT_MAX)
        self._initial_units = initial_units
        self._growth = Fraction(growth)
        self._receipted = receipted_units
        self._lost = lost_units
        self._newcomers = newcomers
        self._open: dict[Hash32, int] = {}
        self._pooled: set[Hash32] = set()
        self._overdue: set[Hash32] = set()
        self._outstanding = 0

    @property
    def receipted(self) -> int:
        """Units this gateway has receipted, ever."""
        return self._receipted

    @property
    def outstanding(self) -> int:
        """Most units the relays without a receipt may come to."""
        return self._outstanding

    @property
    def limit(self) -> int:
        """Most units that may be outstanding; zero while a receipt is overdue."""
        if self._overdue:
            return 0
        earned = self._growth.numerator * self._receipted // self._growth.denominator
        return max(0, self._initial_units + earned - self._lost)

    def bound_initial(self, units: int) -> None:
        """Grant no more than `units` to begin with, whatever was granted before."""
        self._initial_units = min(self._initial_units, units)

    def earn(self, units: int) -> None:
        """Take in a receipt of a relay that was open before a restart."""
        self._receipted += units

    def can_accept(self, max_units: int) -> bool:
        """Whether a relay of at most `max_units` fits the credit now."""
        if self._outstanding + max_units > self.limit:
            return False
        return not self._is_pooled() or self._newcomers_free() >= max_units

    def reserve(self, request_hash: Hash32, max_units: int) -> None:
        """Start to serve a relay on credit.

        Raises OverBudgetError where it does not fit, ReplayedError where it is already open.
        """
        require_range("max_units", max_units, 1, UNITS_MAX)
        if request_hash in self._open:
            raise ReplayedError("a relay that is being served")
        if self._outstanding + max_units > self.limit:
            raise OverBudgetError(
                f"{max_units} units on a credit of {self.limit} with {self._outstanding} owed"
            )
        if self._newcomers is not None and self._is_pooled():
            self._newcomers.take(max_units)
            self._pooled.add(request_hash)
        self._open[request_hash] = max_units
        self._outstanding += max_units

    def resume(self, request_hash: Hash32, units: int) -> None:
        """Owe `units` more for a relay that was served before a restart, whatever the limit is."""
        require_range("units", units, 1, UNITS_MAX)
        held = self._open.get(request_hash)
        is_pooled = self._is_pooled() if held is None else request_hash in self._pooled
        if self._newcomers is not None and is_pooled:
            self._newcomers.owe(units)
            self._pooled.add(request_hash)
        self._open[request_hash] = units + (held or 0)
        self._outstanding += units

    def settle(self, request_hash: Hash32, units: int, signed: int | None = None) -> None:
        """Take in a relay's receipt: it is owed no more, and its units grow the credit.

        What the receipt falls short of the units `signed` (by default none) is lost: a gateway that
        receipts a unit a relay is served no longer than one that receipts nothing. A receipt of no
        open relay (a repeat, or one from before a restart) changes nothing.
        """
        max_units = self._open.get(request_hash)
        if max_units is None:
            return
        require_range("units", units, 0, max_units)
        signed = units if signed is None else signed
        require_range("signed", signed, units, max_units)
        self.release(request_hash)
        self._receipted += units
        self._lost += signed - units

    def settle_part(self, request_hash: Hash32, units: int, signed: int) -> None:
        """Take in a receipt of `units` for a part that added `signed`; more parts are to come.

        What falls short is lost, as in `settle`.
        """
        max_units = self._open.get(request_hash)
        if max_units is None:
            return
        require_range("signed", signed, 1, max_units - 1)
        require_range("units", units, 0, signed)
        self.lower(request_hash, max_units - signed)
        self._receipted += units
        self._lost += signed - units
        self._overdue.discard(request_hash)

    def lower(self, request_hash: Hash32, max_units: int) -> None:
        """Hold only `max_units` for a relay that can come to no more."""
        held = self._open.get(request_hash)
        if held is None:
            return
        require_range("max_units", max_units, 1, held)
        self._open[request_hash] = max_units
        self._outstanding -= held - max_units
        if self._newcomers is not None and request_hash in self._pooled:
            self._newcomers.give_back(held - max_units)

    def write_off(self, request_hash: Hash32, units: int) -> None:
        """Forget a relay whose `units` can be receipted no more; the credit is less by them."""
        require_range("units", units, 0, self._open.get(request_hash, 0))
        self.release(request_hash)
        self._lost += units

    def release(self, request_hash: Hash32) -> None:
        """Forget a relay that nothing is owed for."""
        max_units = self._open.pop(request_hash, 0)
        self._outstanding -= max_units
        self._overdue.discard(request_hash)
        if self._newcomers is not None and request_hash in self._pooled:
            self._pooled.remove(request_hash)
            self._newcomers.give_back(max_units)

    def mark_overdue(self, request_hash: Hash32) -> None:
        """Note that a receipt of an open relay has not come in time."""
        if request_hash in self._open:
            self._overdue.add(request_hash)

    def _is_pooled(self) -> bool:
        return self._newcomers is not None and self._receipted == 0

    def _newcomers_free(self) -> int:
        return UNITS_MAX if self._newcomers is None else self._newcomers.free


def initial_units_max(delegation_fee: int, price: int, members: int) -> int:
    """Most initial credit at which a delegation costs more than it can take from all its members.

    That is the largest `c0` with `c0 * price * members / 10^6 < delegation_fee`, or 0 where there
    is none: a fee of 0 or one too small grants strangers nothing.
    """
    require_range("delegation_fee", delegation_fee, 0, AMOUNT_MAX)
    require_range("price", price, 1, UINT64_MAX)
    require_range("members", members, 1, 2**8 - 1)
    if not delegation_fee:
        return 0
    return min((delegation_fee * UNITS_PER_PRICE - 1) // (price * members), UNITS_MAX)
