"""One supplier's turn at a request: what is known of it, and whether what comes of it holds."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gateway.api.clients import EventStream, Writer
from gateway.api.openai import Endpoint
from gateway.errors import (
    ClosingError,
    GatewayError,
    RejectedBySupplierError,
    SessionOverError,
    UpstreamBrokenError,
    UpstreamInvalidError,
    UpstreamRefusedError,
    UpstreamTimeoutError,
)
from gateway.routing.costs import write_error_event
from gateway.routing.observation import Result
from gateway.routing.relay import SERVED, Relay, Served
from gateway.routing.router import Choice
from gateway.routing.sessions import Member
from gateway.routing.sse import StreamReader
from gateway.routing.standing import SupplierState
from node.http import ClientDisconnected
from node.traces import Span
from relay_mining import Status

logger = logging.getLogger("gateway.routing.trying")

GENERATED = (Endpoint.CHAT, Endpoint.COMPLETIONS)
"""Endpoints whose answers say why they ended."""

RESULTS: dict[type[GatewayError], Result] = {
    UpstreamRefusedError: Result.REFUSED,
    SessionOverError: Result.REFUSED,
    UpstreamBrokenError: Result.BROKEN,
    UpstreamInvalidError: Result.INVALID,
    UpstreamTimeoutError: Result.TIMEOUT,
    RejectedBySupplierError: Result.REJECTED,
}
"""What a try is that ended with an error."""


@dataclass(slots=True, eq=False)
class Try:
    """One supplier's turn; becomes an `Observation` when it ends."""

    relay: Relay
    choice: Choice
    member: Member
    """Who is asked."""
    state: SupplierState
    """What is known of the supplier."""
    span: Span
    header: bytes
    request_hash: bytes
    in_flight: int
    """Requests at the supplier, this one among them."""
    started: float
    reserved: int
    """Units it may still take."""
    deadline: asyncio.Timeout
    """Set once the supplier is told to stop."""
    first_byte: float | None = None
    has_left: bool = False
    """Whether the client has gone."""
    is_stopped: bool = False
    """Whether the supplier was told to stop: the client has gone, or the gateway closes."""
    result: Result | None = None
    """None where it says nothing of the supplier: the client has gone, or the gateway failed."""
    served: Served | None = None
    """The last response accepted: of a stream in parts, the newest part."""
    owed: int = 0
    """Responses that are to be receipted."""
    is_answer: bool = False
    detail: str = ""


@contextmanager
def reading(attempt: Try) -> Iterator[None]:
    """Blame what nobody foresaw on the answer that is read: its bytes alone are of a stranger."""
    try:
        yield
    except GatewayError:
        raise
    except Exception as error:
        supplier = "0x" + attempt.member.supplier.hex()
        logger.exception("an answer cannot be read", extra={"supplier": supplier})
        raise UpstreamInvalidError("the supplier's answer cannot be read") from error


def require_served(attempt: Try, served: Served) -> None:
    """Refuse a signed response that is not paid for.

    An engine that failed serves nothing, nor does who refuses before a part or signs for a stream
    before the client has a byte: the request goes on to another supplier, and is paid for once.
    """
    status = served.response.status
    if status is Status.REFUSED:
        is_served = attempt.served is not None
    elif status is Status.CLIENT_ABORT:
        is_served = attempt.is_stopped
    else:
        is_expected = status in SERVED or status is Status.PARTIAL
        is_plain = not attempt.relay.request.is_stream
        is_served = is_expected and (is_plain or attempt.is_answer or attempt.has_left)
    if not is_served:
        raise UpstreamBrokenError(f"the supplier ended with status {status.name}, serving nothing")


def require_end(attempt: Try, reader: StreamReader) -> None:
    """Refuse a stream that is not whole (UpstreamInvalidError)."""
    if not reader.is_ended:
        raise UpstreamInvalidError("the stream ended without the supplier's signed response")
    if attempt.has_left:
        return
    if not reader.has_done:
        raise UpstreamInvalidError("the supplier's stream has no end")
    require_finish(attempt, reader.is_finished)


def require_finish(attempt: Try, is_finished: bool) -> None:
    """Refuse what was generated and does not say why it ended: it may be a piece of an answer."""
    if not is_finished and attempt.relay.request.endpoint in GENERATED:
        raise UpstreamInvalidError("the answer ends without a finish reason")


async def fail(attempt: Try, error: GatewayError, stream: EventStream | None) -> Writer | None:
    """End a try that failed: in its stream, where the client has a part of that, else by raising.

    What became of a supplier that was told to stop is nothing to who still waits.
    """
    blame(attempt, error)
    if attempt.is_stopped and not attempt.has_left:
        error = ClosingError()
    if stream is None or not stream.has_begun:
        raise error
    if not attempt.has_left:
        await stream.end(write_error_event(error, attempt.served, attempt.member.terms.price))
    return stream.writer


def blame(attempt: Try, error: GatewayError) -> None:
    """Note what ended a try; a relay cut short because the supplier was told to is no fault."""
    attempt.detail = str(error)[:200]
    is_told = attempt.has_left or attempt.is_stopped
    if not is_told or isinstance(error, UpstreamInvalidError):
        attempt.result = RESULTS.get(type(error), attempt.result)


async def write(client: EventStream, events: bytes, attempt: Try) -> None:
    """Send to the client; one that has left makes the try go on without it."""
    if not attempt.is_answer:
        attempt.first_byte = asyncio.get_running_loop().time()
        attempt.is_answer = True
    try:
        await client.write(events)
    except ClientDisconnected:
        attempt.has_left = True
