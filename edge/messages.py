"""The tail's request and answer as JSON, read as what they are: bytes from a stranger.

A request says which exit and cut its activation is of, its type and shape, and holds it as base64
of little-endian numbers: `uint8` pixels before the first layer, `float32` behind any other. The
answer holds the numbers of the exit as JSON numbers, which carry a float32 exactly.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, prod
from typing import Any

import numpy as np

from edge.layers import Floats, Shape
from edge.metering import NoSuchCutError, TailUse, find_cut
from edge.network import FLOAT_BYTES, MultiExitNetwork
from edge.split import MalformedActivationError, run_head
from pricing import Network

INFER_PATH = "/v1/edge/infer"
MEMBERS = frozenset(("model", "plan", "exit", "cut", "dtype", "shape", "activation", "user"))
AXES_MAX = 8
LOGITS_MAX = 65_536


@dataclass(frozen=True, slots=True)
class TailRequest:
    """An activation and the place it is of."""

    model: str
    way_out: int
    cut: int
    dtype: str
    shape: Shape
    activation: bytes

    @property
    def message(self) -> bytes:
        """What `run_tail` takes."""
        return bytes((self.way_out, self.cut)) + self.activation


@dataclass(frozen=True, slots=True)
class TailAnswer:
    """The class of an answer and the numbers it was chosen by."""

    label: int
    logits: tuple[float, ...]


def dtype_at(cut: int) -> str:
    """The type of what is sent after `cut` layers."""
    return "float32" if cut else "uint8"


def make_request(
    network: MultiExitNetwork, model: str, plan: str, place: tuple[int, int], pixels: bytes
) -> dict[str, Any]:
    """The request of a device that runs the layers before a place, which is an exit and a cut."""
    way_out, cut = place
    activation = run_head(network, way_out, cut, pixels)[2:]
    return {
        "model": model,
        "plan": plan,
        "exit": way_out,
        "cut": cut,
        "dtype": dtype_at(cut),
        "shape": list(network.shapes(way_out)[cut]),
        "activation": base64.b64encode(activation).decode(),
    }


def read_request(members: Mapping[str, Any]) -> TailRequest:
    """The request of a JSON object, its form checked (MalformedActivationError)."""
    unknown = sorted(members.keys() - MEMBERS)
    if unknown:
        raise MalformedActivationError(f"unknown parameter {unknown[0][:64]!r}", unknown[0][:64])
    for name in ("model", "dtype", "activation"):
        if type(members.get(name)) is not str:
            raise MalformedActivationError(f"{name} must be a string", name)
    for name in ("exit", "cut"):
        value = members.get(name)
        if type(value) is not int or not 0 <= value <= 255:
            raise MalformedActivationError(f"{name} must be a whole number from 0 to 255", name)
    return TailRequest(
        members["model"], members["exit"], members["cut"], members["dtype"],
        _read_shape(members.get("shape")), _decode(members["activation"]),
    )  # fmt: skip


def verify_request(profile: Network, request: TailRequest) -> None:
    """Refuse an activation that is none of this network's (MalformedActivationError)."""
    try:
        cut = find_cut(profile, request.way_out, request.cut)
    except NoSuchCutError as error:
        raise MalformedActivationError(str(error), "cut") from error
    if request.dtype != dtype_at(request.cut):
        raise MalformedActivationError(
            f"an activation after {request.cut} layers is of {dtype_at(request.cut)}", "dtype"
        )
    stated = prod(request.shape) * (FLOAT_BYTES if request.cut else 1)
    if stated != cut.sent:
        raise MalformedActivationError(
            f"a shape of {stated} bytes, where {cut.sent} are sent after {request.cut} layers",
            "shape",
        )
    if len(request.activation) != cut.sent:
        raise MalformedActivationError(
            f"{len(request.activation)} bytes, where {cut.sent} are sent", "activation"
        )
    if request.cut and not np.isfinite(np.frombuffer(request.activation, "<f4")).all():
        raise MalformedActivationError("an activation that is not finite", "activation")


def write_answer(request: TailRequest, logits: Floats, use: TailUse) -> dict[str, Any]:
    """The answer to a request, with what it is counted by where OpenAI's answers have tokens."""
    return {
        "object": "edge.inference",
        "model": request.model,
        "exit": request.way_out,
        "cut": request.cut,
        "label": int(logits.argmax()),
        "logits": [float(each) for each in logits],
        "usage": {
            "prompt_tokens": use.input_bytes,
            "completion_tokens": use.work_kflop,
            "total_tokens": use.input_bytes + use.work_kflop,
        },
    }


def read_answer(document: Any) -> TailAnswer:
    """The class and numbers of a stranger's answer (ValueError where they do not agree)."""
    logits = document.get("logits") if isinstance(document, dict) else None
    if not isinstance(logits, list) or not 1 <= len(logits) <= LOGITS_MAX:
        raise ValueError("no list of logits")
    if any(type(each) not in (int, float) or not isfinite(each) for each in logits):
        raise ValueError("logits that are not finite numbers")
    label = document.get("label")
    if type(label) is not int or label != logits.index(max(logits)):
        raise ValueError("a label that is not the largest logit's")
    return TailAnswer(label, tuple(map(float, logits)))


def _read_shape(value: Any) -> Shape:
    if not isinstance(value, list) or not 1 <= len(value) <= AXES_MAX:
        raise MalformedActivationError(f"shape must be a list of 1 to {AXES_MAX} lengths", "shape")
    if any(type(each) is not int or not 1 <= each <= 1 << 20 for each in value):
        raise MalformedActivationError("shape has a length out of bounds", "shape")
    return tuple(value)


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedActivationError("activation is not base64", "activation") from error
