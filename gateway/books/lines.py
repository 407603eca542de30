"""What the usage log says of each event: one JSON object a line, the same live and replayed.

begin      a request was let in, and was still in flight when lines were last written
try        one supplier's turn at it
recount    what was counted of one accepted response, and receipted
end        the client was answered
refusals   requests without a key, or more of one than are told one by one, by the code of refusal
"""

from collections.abc import Sequence
from typing import Any

from gateway.access.budgets import MILLIONTHS
from gateway.books.dispositions import Disposition, Dispositions, judge_status
from gateway.routing.balancer import Candidate
from gateway.routing.observation import Began, Ended, Event, Observation, Result

Line = dict[str, Any]
_ANSWERS = {
    Result.OK: Disposition.REFUNDED,
    Result.CLIENT_ABORT: Disposition.REFUNDED,
    Result.REJECTED: Disposition.REFUSED,
    Result.REFUSED: Disposition.REFUSED,
}
ANSWERS = {each.value: _ANSWERS.get(each, Disposition.FAILED) for each in Result}
"""What a request whose last try ended so amounts to where nothing is paid."""
REQUEST_PREFIX = "req_"
INTERRUPTED = "interrupted"
"""The code of a request that a kill ended, written once all that is known of it is."""
AUDIT_KEY = "audit"
"""The key of answers that the gateway itself asks for again: no client's requests."""


def show_request(request: bytes) -> str:
    """A request's id as clients see it."""
    return REQUEST_PREFIX + request.hex()


def read_request_id(shown: str) -> bytes:
    """The 16 bytes of an id as clients see it (ValueError for what is none)."""
    request = bytes.fromhex(shown.removeprefix(REQUEST_PREFIX))
    if len(request) != 16 or not shown.startswith(REQUEST_PREFIX):
        raise ValueError(f"a request's id is {REQUEST_PREFIX} and 32 hex digits")
    return request


def write_event(event: Event, now: int) -> Line:
    """The line of a try or a recount; times are Unix seconds."""
    line: Line = {
        "time": now,
        "id": show_request(event.request),
        "supplier": "0x" + event.supplier.hex(),
        "application": "0x" + event.session.application.hex(),
        "service": "0x" + event.session.service.hex(),
        "session": event.session.number,
        "model": event.model,
        "key": event.key_id,
        "request": "0x" + event.request_hash.hex(),
        "input_tokens": event.input_tokens,
        "output_tokens": event.output_tokens,
        "price": event.price,
    }
    if isinstance(event, Observation):
        if event.premium:
            line["premium"] = event.premium
        return line | {
            "kind": "try",
            "disposition": event.result.value,
            "is_answer": event.is_answer,
            "is_stream": event.is_stream,
            "units": event.units,
            "latency_ms": round(event.latency_s * 1000, 2),
            "first_byte_ms": event.first_byte_s and round(event.first_byte_s * 1000, 2),
            "owed": event.owed,
            "considered": _write_candidates(event.considered),
            "chosen_by": event.chosen_by,
            "detail": event.detail,
        }
    return line | {
        "kind": "recount",
        "disposition": "overclaim" if event.is_overclaim else "receipted",
        "response": "0x" + event.receipt.response_hash.hex() if event.receipt else "",
        "units": event.units_claimed,
        "units_receipted": event.units_receipted,
    }


def _write_candidates(candidates: Sequence[Candidate]) -> list[list[object]]:
    return [
        [
            "0x" + each.supplier.hex(),
            each.in_flight,
            each.is_good,
            each.price,
            round(each.seconds * 1000),
            each.has_room,
        ]
        for each in candidates
    ]


def write_began(event: Began, now: int) -> Line:
    """The line of a request that was let in."""
    return {
        "kind": "begin",
        "time": now,
        "id": show_request(event.request),
        "key": event.key_id,
        "model": event.model,
    }


def write_ended(event: Ended, now: int) -> Line:
    """The line of a request that is over."""
    return {
        "kind": "end",
        "time": now,
        "id": show_request(event.request),
        "key": event.key_id,
        "model": event.model,
        "status": event.status,
        "code": event.code,
        "latency_ms": round(event.latency_s * 1000, 2),
    }


def is_refusal(event: Ended) -> bool:
    """Whether the client was told no, which says nothing of whether it was let in before."""
    return bool(event.code) and judge_status(event.status) is Disposition.REFUSED


def write_refusals(key_id: str, code: str, count: int, now: int) -> Line:
    """The line of requests that were refused; the key is empty where they had none."""
    return {"kind": "refusals", "time": now, "key": key_id, "code": code, "count": count}


def cost_of(line: Line) -> int:
    """What a try cost as signed, or what its recount takes back of that; in millionths.

    Lines from before prices were written down cost nothing.
    """
    price: int = line.get("price", 0)
    units: int = line["units"]
    premium: int = line.get("premium", 0)
    counted = units if line["kind"] == "try" else line["units_receipted"] - units
    return price * counted + premium * MILLIONTHS


def count_request(book: Dispositions, line: Line) -> None:
    """Tell a count of requests what a line says; others than clients' say nothing.

    So do lines from before requests had ids.
    """
    kind, request = line["kind"], line.get("id")
    if kind == "refusals":
        book.refuse(line["count"])
    elif request is None or line["key"] == AUDIT_KEY:
        return
    elif kind == "try":
        book.take_try(request, line["key"], line["owed"], ANSWERS[line["disposition"]])
    elif kind == "recount":
        book.take_recount(request, line["key"], line["units_receipted"])
    elif kind == "end" and line["code"] == INTERRUPTED:
        book.give_up(request, line["key"], judge_status(line["status"]))
    elif kind == "end":
        book.end(request, line["key"], judge_status(line["status"]) if line["code"] else None)
    else:
        book.begin(request, line["key"])
