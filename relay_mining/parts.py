"""Parts: a long stream is signed and receipted as it goes, so that little of it is ever at risk.

Every response of a relay is cumulative: it covers the stream from its first byte, under the rolling
hash. Parts are numbered from 0; all but the last have the status PARTIAL, and a relay that is not
cut has the one part 0. A part's receipt carries only what that part adds, so that the receipts of a
relay are distinct leaves whose sum is what was served.
"""

from dataclasses import dataclass

from relay_mining.errors import MalformedError, ReplayedError
from relay_mining.messages import RelayResponse, Status
from relay_mining.types import UNITS_MAX, require_range

PARTS_MAX = 64
"""Responses of one relay, the last one included."""


@dataclass(frozen=True, slots=True)
class PartPlan:
    """How a supplier cuts one stream."""

    spacing: int
    """Compute units that a part adds at least; 0 where the stream is not cut."""
    parts_max: int
    """Responses that may be signed, the last one included."""


WHOLE = PartPlan(0, 1)
"""No cut: one response for all."""


def plan_parts(max_units: int, interim_units: int, tau: int) -> PartPlan:
    """Return how to cut a stream of at most `max_units` into parts of about `interim_units`.

    A part is never smaller than the threshold `tau`, since each reserves `tau` of the slice, nor
    than what makes PARTS_MAX parts; that division rounds up. `interim_units` of 0 cuts nothing.
    """
    require_range("max_units", max_units, 1, UNITS_MAX)
    require_range("interim_units", interim_units, 0, UNITS_MAX)
    require_range("tau", tau, 1, UNITS_MAX)
    if not interim_units:
        return WHOLE
    spacing = max(interim_units, tau, -(-max_units // (PARTS_MAX - 1)))
    parts_max = 1 + max_units // spacing
    return PartPlan(spacing, parts_max) if parts_max > 1 else WHOLE


def verify_next_part(previous: RelayResponse | None, response: RelayResponse) -> None:
    """Check that a response of a relay follows the one before it, None for the first.

    Raises:
        ReplayedError: a part that was signed before.
        MalformedError: a part is skipped, one too many, adds no output or no units, or follows the
            last; or its counts are below those of the part before.
    """
    due = 0 if previous is None else previous.part + 1
    if response.part < due:
        raise ReplayedError(f"part {response.part} comes again where part {due} is due")
    if response.part > due:
        raise MalformedError(f"part {response.part} comes where part {due} is due")
    if response.part >= PARTS_MAX:
        raise MalformedError(f"a relay of more than {PARTS_MAX} parts")
    if previous is not None:
        _verify_counts(previous, response)
    if response.status is Status.PARTIAL and not _adds_output(previous, response):
        raise MalformedError(f"part {response.part} adds nothing")


def _verify_counts(previous: RelayResponse, response: RelayResponse) -> None:
    if previous.status is not Status.PARTIAL:
        raise MalformedError("a part follows the last one")
    if response.units < previous.units or response.output_tokens < previous.output_tokens:
        raise MalformedError(
            f"part {response.part} counts {response.units} units and {response.output_tokens} "
            f"tokens, the part before it {previous.units} and {previous.output_tokens}"
        )


def _adds_output(previous: RelayResponse | None, response: RelayResponse) -> bool:
    before = 0 if previous is None else previous.output_tokens
    return response.output_tokens > before and added_units(previous, response) > 0


def added_units(previous: RelayResponse | None, response: RelayResponse) -> int:
    """Return the units a response adds to the part before it."""
    return response.units - (0 if previous is None else previous.units)


def receipt_units(added: int, counted: int, receipted: int) -> int:
    """Return the units of a part's receipt, 0 where it gets none.

    That is the lesser of what the part adds by its signed counts, and of what the gateway counts
    of the stream so far less the receipts of the parts before: the receipts of a relay never come
    to more than either count.
    """
    return max(0, min(added, counted - receipted))
