"""The device side of edge inference: a network that can be cut, run up to the cut, and finished."""

from edge.inference import (
    Inference,
    NoPlanError,
    Tail,
    infer,
)
from edge.layers import (
    Convolution,
    Dense,
    Floats,
    Layer,
    Shape,
    patches,
)
from edge.network import (
    Branch,
    MultiExitNetwork,
)
from edge.split import (
    MalformedActivationError,
    parse_answer,
    run_head,
    run_tail,
)
from edge.weights import (
    load_network,
    save_network,
)

__all__ = [
    "Branch",
    "Convolution",
    "Dense",
    "Floats",
    "Inference",
    "Layer",
    "MalformedActivationError",
    "MultiExitNetwork",
    "NoPlanError",
    "Shape",
    "Tail",
    "infer",
    "load_network",
    "parse_answer",
    "patches",
    "run_head",
    "run_tail",
    "save_network",
]
