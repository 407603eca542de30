"""What an answer cost, written into it: its bytes are spliced, never encoded again.

`cost` is an integer of token base units, rounded up, and stands last in `usage`, where it counts
even if a supplier wrote one of its own. Taking it out again gives the bytes that were signed.
"""

import re

from gateway.errors import GatewayError
from gateway.routing.relay import Served
from gateway.routing.sse import DONE, EVENT_END, VERDICT, is_own_comment
from relay_mining import UNITS_PER_PRICE

_NAME = b'"usage"'
_OBJECT = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*(?=\{)")
_BRACE = re.compile(rb"[{}]")
_COST = re.compile(rb',?"cost":\d+(?=\})')


def cost_of(units: int, price: int) -> int:
    """Token base units that some units cost, rounded up."""
    return -(-units * price // UNITS_PER_PRICE)


def splice_cost(answer: bytes, cost: int) -> bytes:
    """An answer, or an event, whose `usage` says what it cost; as it is where it has no usage."""
    found = _find_usage(answer)
    if found is None:
        return answer
    depth = 0
    for brace in _BRACE.finditer(answer, found):
        depth += 1 if brace.group() == b"{" else -1
        if depth == 0:
            end = brace.start()
            comma = b"" if answer[:end].rstrip().endswith(b"{") else b","
            return b'%b%b"cost":%d%b' % (answer[:end], comma, cost, answer[end:])
    return answer


def _find_usage(answer: bytes) -> int | None:
    """Where the last object by the name of `usage` begins."""
    end = len(answer)
    while (at := answer.rfind(_NAME, 0, end)) >= 0:
        found = _OBJECT.match(answer, at + len(_NAME))
        if found is not None:
            return found.end()
        end = at
    return None


def restore_signed(received: bytes) -> bytes:
    """The bytes that a supplier signed, of an answer as its client received it.

    Of a stream: its events without the gateway's own comments and without the end.
    """
    if received.startswith((b"data:", b":")):
        events = received.split(EVENT_END)[:-1]
        own = [each for each in events if not is_own_comment(each)]
        received = b"".join(each + EVENT_END for each in own).removesuffix(DONE)
    found = list(_COST.finditer(received))
    if not found:
        return received
    return received[: found[-1].start()] + received[found[-1].end() :]


def write_verdict(request: bytes, served: Served, price: int) -> bytes:
    """The gateway's word that what went before is signed and holds, as a comment in a stream."""
    response = served.response
    return (
        b'%b{"request":"req_%b","supplier":"0x%b","response":"0x%b","status":"%b",'
        b'"units":%d,"cost":%d}\n\n'
    ) % (
        VERDICT, request.hex().encode(), served.supplier.hex().encode(),
        served.response_hash.hex().encode(), response.status.name.lower().encode(),
        response.units, cost_of(response.units, price),
    )  # fmt: skip


def write_error_event(error: GatewayError, served: Served | None, price: int) -> bytes:
    """The event that ends a stream which cannot be finished: why, and what of it is charged."""
    said = served.response if served is not None else None
    inputs, outputs = (said.input_tokens, said.output_tokens) if said is not None else (0, 0)
    return (
        b'data: %b,"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,'
        b'"cost":%d}}\n\n'
    ) % (
        error.body()[:-1], inputs, outputs, inputs + outputs,
        cost_of(said.units, price) if said is not None else 0,
    )  # fmt: skip
