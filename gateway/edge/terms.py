"""What the spec of a service of tails says: the network to plan for, and a supplier's rate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge import encode_profile, parse_profile
from pricing import Network

RATE_MAX = 10**12


@dataclass(frozen=True, slots=True)
class EdgeTerms:
    """A network's profile, and what each supplier of its tails gives."""

    network: Network
    rate: int
    """MFLOP/s of each supplier."""
    weights_sha256: str
    """Of the network's file: a device with another one has another head."""

    def shown(self) -> dict[str, Any]:
        """The terms as `/v1/models` shows them, for a device that plans by itself."""
        return {
            "network": encode_profile(self.network),
            "edge_rate": self.rate,
            "weights_sha256": self.weights_sha256,
        }


def read_terms(document: Mapping[str, Any]) -> EdgeTerms:
    """The terms of a spec's JSON (KeyError or ValueError)."""
    rate, digest = document["edge_rate"], document["weights_sha256"]
    if type(rate) is not int or not 1 <= rate <= RATE_MAX:
        raise ValueError(f"an edge_rate of {rate!r}")
    if type(digest) is not str or len(digest) != 64:
        raise ValueError("weights_sha256 is no digest")
    return EdgeTerms(parse_profile(document["network"]), rate, digest)
