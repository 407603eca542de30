"""What a service of tails says of itself: the network's digest and profile, and its rate."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge import NETWORK_BYTES_MAX, MultiExitNetwork, encode_profile, parse_network
from supplier.engines.spec import EngineSpec, ServiceSpec

__all__ = ["NETWORK_FILE", "TailServiceSpec", "compute_tail_spec", "read_network_file"]

NETWORK_FILE = "network.npz"
NO_FILE = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class TailServiceSpec(ServiceSpec):
    """A spec without tokenizer and template; its context is the longest activation, in bytes."""

    edge_rate: int
    """MFLOP/s that each supplier of the service gives, whom its users' plans are made for."""
    network: dict[str, Any]
    """The profile: bytes of the input, and work and bytes of every layer of every exit."""


def read_network_file(directory: Path) -> bytes:
    """The bytes of a directory's network (OSError, ValueError where it is too long)."""
    path = directory / NETWORK_FILE
    if path.stat().st_size > NETWORK_BYTES_MAX:
        raise ValueError(f"{path} is longer than {NETWORK_BYTES_MAX} bytes")
    return path.read_bytes()


def compute_tail_spec(directory: Path, engine: EngineSpec) -> TailServiceSpec:
    """The spec of the network in a directory (OSError, ValueError)."""
    config = json.loads((directory / "config.json").read_bytes())
    data = read_network_file(directory)
    network = parse_network(data)
    return TailServiceSpec(
        context_length=longest_activation(network),
        chat_template_sha256=NO_FILE,
        tokenizer_sha256=NO_FILE,
        weights_sha256=hashlib.sha256(data).hexdigest(),
        dtype="float32",
        quantization="",
        engine=engine.kind,
        engine_version=engine.version,
        name=engine.name,
        generation_config_sha256=NO_FILE,
        task="edge",
        special_tokens={},
        add_special_tokens={"chat": False, "prompt": False},
        edge_rate=_read_rate(config),
        network=encode_profile(network.profile()),
    )


def longest_activation(network: MultiExitNetwork) -> int:
    """Bytes of the longest activation of any cut."""
    profile = network.profile()
    return max(cut.sent for each in profile.exits for cut in each.cuts(profile.input_bytes))


def _read_rate(config: Any) -> int:
    rate = config.get("edge_rate") if isinstance(config, dict) else None
    if type(rate) is not int or rate < 1:
        raise ValueError("config.json states no edge_rate, in MFLOP/s")
    return rate
