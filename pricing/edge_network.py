"""A network that can stop early and be cut anywhere: what a plan is made of.

Work is counted in FLOP and outputs in bytes, for a task of complexity 1.
"""

from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Layer:
    """One step of a network: its work in FLOP, and its output in bytes."""

    work: int
    output: int

    def __post_init__(self) -> None:
        if self.work < 1 or self.output < 0:
            raise ValueError(f"no layer does {self.work} FLOP for {self.output} bytes")


@dataclass(frozen=True, slots=True)
class Exit:
    """A way out: all layers up to an answer, and how often that answer is right, in millionths."""

    accuracy_ppm: int
    layers: tuple[Layer, ...]

    def cuts(self, input_bytes: int) -> "tuple[Cut, ...]":
        """Every place to cut, from all layers at the edge to all on the device."""
        heads = [0, *accumulate(layer.work for layer in self.layers)]
        sent = [input_bytes, *(layer.output for layer in self.layers)]
        whole = heads[-1]
        return tuple(
            Cut(head, whole - head, output if head < whole else 0)
            for head, output in zip(heads, sent, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Cut:
    """Work before and after a cut in FLOP, and the bytes sent across: none if no work is left."""

    head: int
    tail: int
    sent: int


@dataclass(frozen=True, slots=True)
class Network:
    """A network with one exit or several, and the size of its input in bytes."""

    input_bytes: int
    exits: tuple[Exit, ...]
