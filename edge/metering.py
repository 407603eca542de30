"""What a tail is counted and paid by, known from the request alone: bytes in, work behind the cut.

Input is the activation in bytes, output the work of the layers behind the cut in kFLOP, rounded up.
Both follow from the exit, the cut and the network's profile, which the service's spec states, so a
recount is exact and the worst case is what will be used.
"""

from dataclasses import dataclass

from pricing import Cut, Network

KFLOP = 1000


class NoSuchCutError(ValueError):
    """The network has no such exit, or nothing is left for the edge behind the cut."""


@dataclass(frozen=True, slots=True)
class TailUse:
    """What one tail takes: bytes of its activation, and kFLOP of its layers."""

    input_bytes: int
    work_kflop: int


def find_cut(network: Network, way_out: int, place: int) -> Cut:
    """The cut after `place` layers of an exit (NoSuchCutError)."""
    if not 0 <= way_out < len(network.exits):
        raise NoSuchCutError(f"the network has {len(network.exits)} exits, none is {way_out}")
    layers = len(network.exits[way_out].layers)
    if not 0 <= place < layers:
        raise NoSuchCutError(f"exit {way_out} has {layers} layers: no tail is behind {place}")
    return network.exits[way_out].cuts(network.input_bytes)[place]


def count_tail(network: Network, way_out: int, place: int) -> TailUse:
    """What the tail behind a cut takes (NoSuchCutError)."""
    cut = find_cut(network, way_out, place)
    return TailUse(cut.sent, -(-cut.tail // KFLOP))
