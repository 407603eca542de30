"""The slice rule: how much a member may serve in a session so that its claim never overruns.

The slice is counted in the *weight* of payable receipts. Weight minus units is a martingale, and
whether a relay is accepted depends on the past only, so stopping by weight keeps the claim an
unbiased estimate of the receipted units (optional stopping); stopping by units and clamping the
claim would not. A relay can weigh at most `max(tau, max_units)`, which is reserved until its
receipt is here.
"""

from relay_mining.errors import OverBudgetError
from relay_mining.types import UNITS_MAX, require_range


class SliceMeter:
    """What is left of one member's slice of one session, in compute units of weight.

    A relay that is receipted in `parts` reserves `tau` for each further part, since each may be
    payable by itself.
    """

    __slots__ = ("_reserved", "_slice_units", "_tau", "_weight")

    def __init__(self, slice_units: int, tau: int, weight: int = 0) -> None:
        require_range("slice_units", slice_units, 0, UNITS_MAX)
        require_range("tau", tau, 1, UNITS_MAX)
        require_range("weight", weight, 0, slice_units)
        self._slice_units = slice_units
        self._tau = tau
        self._weight = weight
        self._reserved = 0

    @property
    def weight(self) -> int:
        """Weight of the payable receipts so far."""
        return self._weight

    @property
    def reserved(self) -> int:
        """Most weight that the relays without a receipt can still add."""
        return self._reserved

    @property
    def free(self) -> int:
        """Weight that is neither taken nor reserved."""
        return self._slice_units - self._weight - self._reserved

    def can_accept(self, max_units: int, parts: int = 1) -> bool:
        """Whether a relay of at most `max_units` fits, whatever its coins turn out to be."""
        return self.worst_weight(max_units, parts) <= self.free

    def worst_weight(self, max_units: int, parts: int = 1) -> int:
        """Most weight of a relay of at most `max_units` receipted in up to `parts` parts."""
        require_range("max_units", max_units, 1, UNITS_MAX)
        require_range("parts", parts, 1, UNITS_MAX)
        return max(self._tau, max_units) + (parts - 1) * self._tau

    def reserve(self, max_units: int, parts: int = 1) -> None:
        """Set aside what a relay can weigh (OverBudgetError where it does not fit)."""
        worst = self.worst_weight(max_units, parts)
        if worst > self.free:
            raise OverBudgetError(f"a relay of {max_units} units in a slice with {self.free} left")
        self._reserved += worst

    def release(self, max_units: int, parts: int = 1) -> None:
        """Give back a reservation whose relay gets no (further) receipt."""
        self._settle(self.worst_weight(max_units, parts), 0)

    def settle(self, max_units: int, weight: int, parts: int = 1) -> None:
        """Turn a reservation into the weight of the relay's last receipt: 0 if not payable."""
        self._settle(self.worst_weight(max_units, parts), weight)

    def settle_part(self, max_units: int, units: int, weight: int, parts: int) -> None:
        """Take the weight of one part's receipt and keep the reservation of the parts to come.

        What stays reserved is that of `max_units - units` in `parts - 1` parts.
        """
        require_range("parts", parts, 2, UNITS_MAX)
        require_range("units", units, 1, max_units - 1)
        if weight > max(units, self._tau):
            raise ValueError(f"a weight of {weight} for {units} units")
        before = self.worst_weight(max_units, parts)
        after = self.worst_weight(max_units - units, parts - 1)
        self._settle(before - after, weight)

    def _settle(self, freed: int, weight: int) -> None:
        require_range("weight", weight, 0, freed)
        require_range("reservation", freed, 0, self._reserved)
        self._reserved -= freed
        self._weight += weight
