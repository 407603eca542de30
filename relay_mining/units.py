"""Compute units: what a relay is counted in, from the tokens it took."""

from dataclasses import dataclass

from relay_mining.errors import UnitsOverflowError
from relay_mining.types import UINT32_MAX, UINT64_MAX, UNITS_MAX, require_range


@dataclass(frozen=True, slots=True)
class UnitWeights:
    """A service's price list in compute units; fixed for the life of the service.

    `request` is charged once a relay, the others for each token. A cached prompt token may not
    weigh more than one that was computed, since the count of them is the supplier's word.
    """

    request: int
    input: int
    cached: int
    output: int

    def __post_init__(self) -> None:
        for name in ("request", "input", "cached", "output"):
            require_range(name, getattr(self, name), 0, UINT64_MAX)
        if self.cached > self.input:
            raise ValueError("a cached token weighs more than an input token")

    def units(self, input_tokens: int, cached_tokens: int, output_tokens: int) -> int:
        """Compute units of one relay; `cached_tokens` are part of `input_tokens`.

        Raises ValueError for counts that no relay has, UnitsOverflowError above UNITS_MAX.
        """
        require_range("input_tokens", input_tokens, 0, UINT32_MAX)
        require_range("cached_tokens", cached_tokens, 0, input_tokens)
        require_range("output_tokens", output_tokens, 0, UINT32_MAX)
        units = (
            self.request
            + (input_tokens - cached_tokens) * self.input
            + cached_tokens * self.cached
            + output_tokens * self.output
        )
        if units > UNITS_MAX:
            raise UnitsOverflowError(f"{units} compute units in one relay")
        return units

    def worst_case(self, input_tokens_max: int, output_tokens_max: int) -> int:
        """Most compute units a relay within these token limits can take: nothing cached."""
        return self.units(input_tokens_max, 0, output_tokens_max)
