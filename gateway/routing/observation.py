"""What one try against one supplier taught the gateway: the only thing that is measured.

Every try ends in exactly one `Observation`, whatever happened, and every request of a client in
exactly one `Ended`. Metrics, standing and the usage ledger read these; nothing that serves a
request knows they exist.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import TypeVar

from gateway.access.budgets import MILLIONTHS
from gateway.routing.balancer import Candidate
from gateway.settlement.outbox import OwedReceipt
from relay_mining import Address, SessionKey, value_class


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
    INTERRUPTED = "interrupted"
    """The gateway closed, failed itself, or was killed: then only what it owed is known."""

    @property
    def is_fault(self) -> bool:
        """Whether the supplier failed a duty, as opposed to saying no."""
        return self in (Result.BROKEN, Result.INVALID, Result.TIMEOUT)


@value_class
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
    request: bytes = b""
    """The client's request that it was for, 16 bytes."""
    request_hash: bytes = b""
    considered: Sequence[Candidate] = ()
    """Who could have been chosen, the one who was among them."""
    owed: int = 0
    """Responses that were accepted, each of which is recounted once."""
    premium: int = 0
    """Token base units charged beyond the units' price."""
    in_flight: int = 1
    """Requests at the supplier when this one was sent, this one among them."""
    body_bytes: int = 0
    """Of the request as sent."""
    chosen_by: str = ""
    """The policy that chose the supplier."""

    @property
    def cost(self) -> int:
        """What it cost as signed, in millionths of a token base unit."""
        return self.price * self.units + self.premium * MILLIONTHS


@value_class
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
    request: bytes = b""
    """The client's request that it was for, 16 bytes."""
    receipt: OwedReceipt | None = None
    """What is receipted, with the units of this recount."""

    @property
    def cost(self) -> int:
        """What the try cost too much, as none or less; in millionths of a token base unit."""
        return self.price * (self.units_receipted - self.units_claimed)


@value_class
class Began:
    """A client's request was let in."""

    request: bytes
    key_id: str
    model: str


@value_class
class Ended:
    """A client's request is over, let in before or not; what it costs its recounts will say."""

    request: bytes
    key_id: str
    """Empty where no key was known."""
    model: str
    status: int = 200
    """What the client was answered with; a stream may have failed after that."""
    code: str = ""
    """Of the error the client was told, empty for none."""
    latency_s: float = 0.0


T = TypeVar("T")
Event = Observation | Recount
Observe = Callable[[Event], None]
Record = Callable[[Began | Ended], None]


def fan_out(observers: Iterable[Callable[[T], None]]) -> Callable[[T], None]:
    """One observer that tells each of several, in order."""
    each_of = tuple(observers)

    def observe(event: T) -> None:
        for tell in each_of:
            tell(event)

    return observe
