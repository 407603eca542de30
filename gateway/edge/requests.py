"""Reading what a device asks: a plan for its task, or the tail of a plan it was granted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge import MalformedActivationError, TailRequest, read_request
from gateway.api.body import RequestLimits, parse_object
from gateway.api.checks import Check, integer, text
from gateway.errors import InvalidParameterError, MissingParameterError, UnknownParameterError
from pricing import EdgeTask

TIME_MAX_US = 600 * 10**6
RATE_MAX = 10**12
BID_MAX = 10**15
EASIEST_MILLI = 1_000
COMPLEXITY_MAX_MILLI = 10**6

PLAN: dict[str, Check] = {
    "model": text(256, 1),
    "accuracy_ppm": integer(0, 10**6),
    "deadline_us": integer(1, TIME_MAX_US),
    "device_rate": integer(1, RATE_MAX),
    "uplink_bytes_s": integer(1, RATE_MAX),
    "round_trip_us": integer(0, TIME_MAX_US),
    "bid": integer(0, BID_MAX),
}
"""Parameters of /v1/edge/plan that are needed."""
PLAN_MORE: dict[str, Check] = {
    "complexity_milli": integer(EASIEST_MILLI, COMPLEXITY_MAX_MILLI),
    "user": text(512),
}
"""Those that may be added. No task is easier than the network's profile: a tail takes what that
says, and capacity would be sold twice."""


@dataclass(frozen=True, slots=True)
class PlanAsk:
    """A device's task, and the most the whole of it is worth, in token base units."""

    model: str
    task: EdgeTask
    bid: int


@dataclass(frozen=True, slots=True)
class InferAsk:
    """An activation, and the plan it is sent under."""

    plan: str
    tail: TailRequest


def read_plan_ask(body: bytes, limits: RequestLimits) -> PlanAsk:
    """Parse and check the body of a plan request (RequestError)."""
    members = parse_object(body, limits)
    for name, value in members.items():
        check = PLAN.get(name) or PLAN_MORE.get(name)
        if check is None:
            raise UnknownParameterError(f"unrecognized parameter {name[:64]}", param=name[:64])
        if not check.is_allowed(value):
            raise InvalidParameterError(f"{name} must be {check.rule}", param=name)
    for name in PLAN:
        if name not in members:
            raise MissingParameterError(f"you must provide {name}", param=name)
    return PlanAsk(members["model"], _read_task(members), members["bid"])


def _read_task(members: Mapping[str, Any]) -> EdgeTask:
    return EdgeTask(
        accuracy_ppm=members["accuracy_ppm"],
        deadline_us=members["deadline_us"],
        device_rate=members["device_rate"],
        uplink_bytes_s=members["uplink_bytes_s"],
        round_trip_us=members["round_trip_us"],
        complexity_milli=members.get("complexity_milli", EASIEST_MILLI),
    )


def read_infer_ask(body: bytes, limits: RequestLimits) -> InferAsk:
    """Parse and check the body of an inference; whether it fits its plan is not seen to here."""
    members = parse_object(body, limits)
    plan = members.get("plan")
    if type(plan) is not str:
        raise MissingParameterError("plan is the id of a plan of /v1/edge/plan", param="plan")
    try:
        return InferAsk(plan, read_request(members))
    except MalformedActivationError as error:
        raise as_parameter(error) from error


def as_parameter(error: MalformedActivationError) -> InvalidParameterError:
    """The same refusal as the client's parser knows it."""
    return InvalidParameterError(str(error), param=error.param)
