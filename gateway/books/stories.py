"""The story of one request: who was considered, chosen and why, what was measured, what it cost."""

from collections.abc import Iterable, Sequence
from typing import Any

from gateway.access.budgets import round_up
from gateway.books.dispositions import IN_FLIGHT, Dispositions
from gateway.books.lines import Line, cost_of, count_request

Considered = Sequence[Any]
"""A candidate as a line has it: supplier, requests in flight, whether in good standing, price.

Since time is predicted also: predicted milliseconds, and whether it had room.
"""
RULES = {
    "": "fewer requests in flight, then the lower price, of two drawn at random",
    "power_of_two": "predicted to be done first, of two drawn at random; where alike, fewer "
    "requests in flight, then the lower price",
    "weighted": "drawn by predicted time and price",
    "prefix": "the first by what the prompt begins with that is not loaded beyond its bound",
    "explored": "drawn blindly, to see how it does now",
}
"""By what a line says that a supplier was chosen."""

CONSIDERED = ("supplier", "in_flight", "is_good", "price", "predicted_ms", "has_room")


def tell(request: str, lines: Iterable[Line]) -> dict[str, Any] | None:
    """What lines of the usage log say of a request; None where they say nothing.

    Money is in token base units, rounded up; times are Unix seconds and milliseconds.
    """
    mine = [each for each in lines if each.get("id") == request]
    if not mine:
        return None
    book = Dispositions()
    for line in mine:
        count_request(book, line)
    disposition = next((each.value for each in book.ended), IN_FLIGHT)
    ends = [each for each in mine if each["kind"] == "end"]
    counted = [each for each in mine if each["kind"] in ("try", "recount")]
    return {
        "id": request,
        "object": "request",
        "created": mine[0]["time"],
        "model": next((each["model"] for each in mine if each["model"]), ""),
        "key": mine[0]["key"],
        "disposition": disposition,
        "status": ends[-1]["status"] if ends else None,
        "code": (ends[-1]["code"] or None) if ends else None,
        "latency_ms": ends[-1]["latency_ms"] if ends else None,
        "cost": round_up(sum(cost_of(each) for each in counted)),
        "tries": [_tell_try(each) for each in mine if each["kind"] == "try"],
        "recounts": [_tell_recount(each) for each in mine if each["kind"] == "recount"],
    }


def _tell_try(line: Line) -> dict[str, Any]:
    names = (
        "supplier", "session", "service", "disposition", "is_answer", "latency_ms",
        "first_byte_ms", "input_tokens", "output_tokens", "units", "price", "detail", "request",
    )  # fmt: skip
    considered = [
        dict(zip(CONSIDERED, (*each, None, True)[: len(CONSIDERED)], strict=True))
        for each in line["considered"]
    ]
    return {
        **{name: line[name] for name in names},
        "considered": considered,
        "why": explain_choice(line["considered"], line.get("chosen_by", "")),
    }


def _tell_recount(line: Line) -> dict[str, Any]:
    names = ("supplier", "response", "disposition", "units", "units_receipted", "price")
    return {name: line[name] for name in names}


def explain_choice(considered: Sequence[Considered], chosen_by: str) -> str:
    """Why one of these was chosen, by the rule that the gateway chose by."""
    good = sum(bool(each[2]) for each in considered)
    roomy = sum(bool(each[2] and each[5]) for each in considered if len(each) > 5)
    rule = RULES[chosen_by]
    if len(considered) <= 1:
        return "nobody else was left to ask"
    if good == 0:
        return f"nobody is in good standing, so of all {len(considered)}: {rule}"
    if good == 1:
        return f"the only one of {len(considered)} in good standing"
    if 0 < roomy < good:
        rule += f" ({good - roomy} passed over: beginning slowly, or of an owner with its share)"
    return f"of {good} in good standing among {len(considered)}: {rule}"
