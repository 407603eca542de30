"""An inference in two parts: what the device sends, and what the edge makes of it.

The message is one byte for the exit, one for the cut, and the activation: pixels if nothing ran on
the device, else little-endian float32. The answer is little-endian float32, ten numbers.
"""

from math import prod

import numpy as np

from edge.layers import Floats
from edge.network import FLOAT_BYTES, MultiExitNetwork

_FLOATS = np.dtype("<f4")
_HEADER_BYTES = 2


class MalformedActivationError(ValueError):
    """A message that is no activation of this network: the device's fault; names the part."""

    def __init__(self, message: str, param: str = "activation") -> None:
        super().__init__(message)
        self.param = param


def run_head(network: MultiExitNetwork, way_out: int, cut: int, pixels: bytes) -> bytes:
    """The message of a device that runs the first `cut` layers of an exit."""
    header = bytes((way_out, cut))
    if cut == 0:
        return header + pixels
    activation = network.run_between(network.image(pixels), way_out, 0, cut)
    return header + activation.astype(_FLOATS).tobytes()


def run_tail(network: MultiExitNetwork, message: bytes) -> bytes:
    """The answer of an edge that runs what the device left (MalformedActivationError)."""
    way_out, cut = _parse_header(network, message)
    body = message[_HEADER_BYTES:]
    shape = network.shapes(way_out)[cut]
    if len(body) != prod(shape) * (FLOAT_BYTES if cut else 1):
        raise MalformedActivationError(f"{len(body)} bytes for an activation of {shape}")
    array = np.frombuffer(body, _FLOATS).reshape(shape) if cut else network.image(body)
    if not np.isfinite(array).all():
        raise MalformedActivationError("an activation that is not finite")
    steps = len(network.layers(way_out))
    with np.errstate(over="ignore", invalid="ignore"):
        answer = network.run_between(array, way_out, cut, steps)
    if not np.isfinite(answer).all():
        raise MalformedActivationError("an activation whose answer is not finite")
    return answer.astype(_FLOATS).tobytes()


def parse_answer(network: MultiExitNetwork, way_out: int, answer: bytes) -> Floats:
    """The numbers of an answer (ValueError if there are more or fewer than the exit has)."""
    (outputs,) = network.shapes(way_out)[-1]
    if len(answer) != outputs * FLOAT_BYTES:
        raise ValueError(f"an answer of {len(answer)} bytes for {outputs} numbers")
    return np.frombuffer(answer, _FLOATS)


def _parse_header(network: MultiExitNetwork, message: bytes) -> tuple[int, int]:
    if len(message) < _HEADER_BYTES or message[0] >= len(network.branches):
        raise MalformedActivationError("no such exit")
    way_out, cut = message[0], message[1]
    if cut >= len(network.layers(way_out)):
        raise MalformedActivationError("nothing is left for the edge behind that cut")
    return way_out, cut
