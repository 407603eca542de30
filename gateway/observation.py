"""What one try against one supplier taught the gateway: the only thing that is measured.

Every try ends in exactly one `Observation`, whatever happened. Metrics, standing and the usage
ledger read observations; nothing that serves a request knows they exist.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from relay_mining import Address, SessionKey


class Result(Enum):
    """How a try ended."""

    OK = "ok"
    CLIENT_ABORT = "client_abort"
    """The client left; no fault of the supplier."""
    REJECTED = "rejected"
    """The engine rejects the request itself; the client's fault."""
    REFUSED = "refused"
    """The supplier would not serve (credit, slice, session, busy)."""
    BROKEN = "broken"
    INVALID = "invalid"
    """Signed wrongly, or not at all: the protocol does not accept it."""
    TIMEOUT = "timeout"

    @property
    def is_fault(self) -> bool:
        """Whether the supplier failed a duty, as opposed to saying no."""
        return self in (Result.BROKEN, Result.INVALID, Result.TIMEOUT)


@dataclass(frozen=True, slots=True)
class Observation:
    """One try; times in seconds, units and tokens as the supplier signed them."""

    supplier: Address
    session: SessionKey
    model: str
    key_id: str
    result: Result
    is_stream: bool
    is_answer: bool
    """Whether this try is what the client received; at most one per request."""
    latency_s: float
    first_byte_s: float | None = None
    units: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    detail: str = ""
    price: int = 0
    """Token base units for a million units."""


@dataclass(frozen=True, slots=True)
class Recount:
    """What the gateway itself counted of one answer, after the client had it."""

    supplier: Address
    session: SessionKey
    model: str
    key_id: str
    request_hash: bytes
    units_claimed: int
    units_receipted: int
    input_tokens: int
    output_tokens: int
    is_overclaim: bool
    price: int
    """Token base units for a million units."""


Event = Observation | Recount
Observe = Callable[[Event], None]


def fan_out(observers: Iterable[Observe]) -> Observe:
    """One observer that tells each of several, in order."""
    each_of = tuple(observers)

    def observe(event: Event) -> None:
        for tell in each_of:
            tell(event)

    return observe
