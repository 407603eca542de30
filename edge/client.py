"""A device's way to a gateway: ask for a plan, run the head here, have the tail run at the edge."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import numpy as np
import orjson

from edge.archive import parse_network
from edge.errors import BadGatewayError, RefusedError, UnreachableError, WrongNetworkError
from edge.layers import Floats
from edge.messages import TailAnswer, make_request, read_answer
from edge.network import MultiExitNetwork
from pricing import EdgeTask

PLAN_PATH = "/edge/plan"
INFER_PATH = "/edge/infer"
"""Both behind the gateway's `/v1`."""
PLACES = ("exit", "cut", "edge_rate", "latency_us", "price", "premium")


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """What a gateway grants: where to cut, what it predicts, and what the whole costs."""

    id: str | None
    """None where nothing leaves the device."""
    exit: int
    cut: int
    edge_rate: int
    latency_us: int
    price: int
    """Token base units, at most."""
    premium: int
    """What of it is beyond the suppliers' asks, because others wait for the same rate."""


@dataclass(frozen=True, slots=True)
class DeviceAnswer:
    """An answer, the plan it was reached by, and how long it took from the pixels on."""

    plan: DevicePlan
    answer: TailAnswer
    took_us: int


@dataclass(frozen=True, slots=True, eq=False)
class DeviceNetwork:
    """A network and the digest of its file, which says whether the edge has the same."""

    network: MultiExitNetwork
    sha256: str

    @classmethod
    def load(cls, path: Path) -> Self:
        """The network of a file (OSError, ValueError)."""
        data = path.read_bytes()
        return cls(parse_network(data), hashlib.sha256(data).hexdigest())


class EdgeClient:
    """One model at one gateway; `with` closes the connection. Raises EdgeError."""

    def __init__(
        self, base_url: str, api_key: str, model: str, network: DeviceNetwork,
        timeout_s: float = 30.0,
    ) -> None:  # fmt: skip
        """`base_url` ends in `/v1`."""
        self._model = model
        self._network = network
        headers = {"authorization": f"Bearer {api_key}"}
        self._http = httpx.Client(base_url=base_url, headers=headers, timeout=timeout_s)

    def plan(self, task: EdgeTask, bid: int) -> DevicePlan:
        """The plan of a task, its price decided with all who ask at the same time.

        `bid` is the most the whole inference is worth, in token base units.
        """
        granted = self._post(
            PLAN_PATH,
            {
                "model": self._model,
                "accuracy_ppm": task.accuracy_ppm,
                "deadline_us": task.deadline_us,
                "device_rate": task.device_rate,
                "uplink_bytes_s": task.uplink_bytes_s,
                "round_trip_us": task.round_trip_us,
                "complexity_milli": task.complexity_milli,
                "bid": bid,
            },
        )
        if granted.get("weights_sha256") != self._network.sha256:
            raise WrongNetworkError("the edge serves the tail of another network than this one")
        return self._read_plan(granted)

    def infer(self, plan: DevicePlan, pixels: bytes) -> DeviceAnswer:
        """The answer of a plan: the head here, the tail wherever the gateway has it run.

        Raises ValueError for a wrong number of pixels.
        """
        began = time.perf_counter_ns()
        network = self._network.network
        if plan.id is None:
            answer = _answer(network.run(pixels, plan.exit))
        else:
            place = (plan.exit, plan.cut)
            asked = make_request(network, self._model, plan.id, place, pixels)
            answer = _read_answer(self._post(INFER_PATH, asked), network, plan.exit)
        return DeviceAnswer(plan, answer, (time.perf_counter_ns() - began) // 1000)

    def _read_plan(self, granted: dict[str, Any]) -> DevicePlan:
        values: list[Any] = [granted.get(name) for name in PLACES]
        plan_id = granted.get("id")
        if any(type(each) is not int or each < 0 for each in values):
            raise BadGatewayError("the gateway's plan is none")
        if plan_id is not None and type(plan_id) is not str:
            raise BadGatewayError("the gateway's plan has no id")
        plan = DevicePlan(plan_id, *values)
        branches = self._network.network.branches
        if plan.exit >= len(branches) or plan.cut > branches[plan.exit].depth + 1:
            raise BadGatewayError("the gateway's plan is for no place of this network")
        return plan

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            response = self._http.post(path, json=body)
            document = orjson.loads(response.content)
        except httpx.HTTPError as error:
            raise UnreachableError(f"the gateway does not answer: {error}") from error
        except ValueError as error:
            raise BadGatewayError("the gateway does not answer in JSON") from error
        if not isinstance(document, dict):
            raise BadGatewayError("the gateway does not answer with an object")
        if response.status_code != httpx.codes.OK:
            said = document.get("error")
            said = said if isinstance(said, dict) else {}
            why, code = said.get("message"), said.get("code")
            raise RefusedError(
                why if isinstance(why, str) else "", response.status_code,
                code if isinstance(code, str) else "",
            )  # fmt: skip
        return document

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _answer(logits: Floats) -> TailAnswer:
    return TailAnswer(int(logits.argmax()), tuple(float(each) for each in logits))


def _read_answer(document: dict[str, Any], network: MultiExitNetwork, way_out: int) -> TailAnswer:
    """What the edge answered, in the numbers of the network's own type (BadGatewayError)."""
    try:
        answer = read_answer(document)
    except ValueError as error:
        raise BadGatewayError(f"the edge's answer is none: {error}") from error
    if len(answer.logits) != len(network.branches[way_out].head.bias):
        raise BadGatewayError("the edge's answer has more or fewer classes than the network")
    return _answer(np.array(answer.logits, np.float32))
