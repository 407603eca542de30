"""The device side of edge inference: a network that can be cut, run up to the cut, and finished."""

from edge.archive import (
    NETWORK_BYTES_MAX,
    parse_network,
)
from edge.client import (
    DeviceAnswer,
    DeviceNetwork,
    DevicePlan,
    EdgeClient,
)
from edge.errors import (
    BadGatewayError,
    EdgeError,
    RefusedError,
    UnreachableError,
    WrongNetworkError,
)
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
from edge.messages import (
    INFER_PATH,
    TailAnswer,
    TailRequest,
    dtype_at,
    make_request,
    read_answer,
    read_request,
    verify_request,
    write_answer,
)
from edge.metering import (
    NoSuchCutError,
    TailUse,
    count_tail,
    find_cut,
)
from edge.network import (
    Branch,
    MultiExitNetwork,
)
from edge.profile import (
    encode_profile,
    parse_profile,
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
    "INFER_PATH",
    "NETWORK_BYTES_MAX",
    "BadGatewayError",
    "Branch",
    "Convolution",
    "Dense",
    "DeviceAnswer",
    "DeviceNetwork",
    "DevicePlan",
    "EdgeClient",
    "EdgeError",
    "Floats",
    "Inference",
    "Layer",
    "MalformedActivationError",
    "MultiExitNetwork",
    "NoPlanError",
    "NoSuchCutError",
    "RefusedError",
    "Shape",
    "Tail",
    "TailAnswer",
    "TailRequest",
    "TailUse",
    "UnreachableError",
    "WrongNetworkError",
    "count_tail",
    "dtype_at",
    "encode_profile",
    "find_cut",
    "infer",
    "load_network",
    "make_request",
    "parse_answer",
    "parse_network",
    "parse_profile",
    "patches",
    "read_answer",
    "read_request",
    "run_head",
    "run_tail",
    "save_network",
    "verify_request",
    "write_answer",
]
