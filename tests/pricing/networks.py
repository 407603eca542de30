"""The layer profiles of four known networks, as the planner takes them."""

import json
from pathlib import Path

from pricing import Exit, Layer, Network

WORKED = json.loads((Path(__file__).parents[1] / "vectors" / "pricing_worked.json").read_text())


def _network(profile: dict) -> Network:
    return Network(
        profile["in_bytes"],
        tuple(
            Exit(round(each["acc"] * 10**6), tuple(Layer(*layer) for layer in each["layers"]))
            for each in profile["exits"]
        ),
    )


NETWORKS = {name: _network(profile) for name, profile in WORKED["dnn_profiles"].items()}
