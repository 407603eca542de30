"""The layer profiles of four known networks, as the planner takes them."""

from pricing import Exit, Layer, Network
from tests.pricing.worked import WORKED


def _network(profile: dict) -> Network:
    return Network(
        profile["in_bytes"],
        tuple(
            Exit(round(each["acc"] * 10**6), tuple(Layer(*layer) for layer in each["layers"]))
            for each in profile["exits"]
        ),
    )


NETWORKS = {name: _network(profile) for name, profile in WORKED["dnn_profiles"].items()}
