"""A network as one `.npz` file: weights, strides, exits and the accuracy measured for each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge.layers import Convolution, Dense, Floats, Layer
from edge.network import Branch, MultiExitNetwork


def save_network(network: MultiExitNetwork, path: Path) -> None:
    """Write the network; `load_network` gives the same back."""
    arrays: dict[str, Floats] = {}
    for number, layer in enumerate((*network.trunk, *(each.head for each in network.branches))):
        arrays[f"weights{number}"] = layer.weights
        arrays[f"bias{number}"] = layer.bias
    np.savez_compressed(
        path,
        allow_pickle=False,
        input_shape=np.array(network.input_shape),
        strides=np.array([getattr(layer, "stride", 0) for layer in network.trunk]),
        depths=np.array([branch.depth for branch in network.branches]),
        accuracy_ppm=np.array([branch.accuracy_ppm for branch in network.branches]),
        **arrays,
    )


def load_network(path: Path) -> MultiExitNetwork:
    """The network of a file; OSError, KeyError or ValueError for anything else than one."""
    with np.load(path, allow_pickle=False) as file:
        return read_network(file)


def read_network(file: Mapping[str, Any]) -> MultiExitNetwork:
    """The network of an archive's arrays, by the names `save_network` gives them."""
    strides = file["strides"].tolist()
    trunk: list[Layer] = []
    for number, stride in enumerate(strides):
        weights, bias = file[f"weights{number}"], file[f"bias{number}"]
        trunk.append(Convolution(weights, bias, stride) if stride else Dense(weights, bias, True))
    exits = zip(file["depths"].tolist(), file["accuracy_ppm"].tolist(), strict=True)
    branches = tuple(
        Branch(depth, Dense(file[f"weights{number}"], file[f"bias{number}"], False), accuracy)
        for number, (depth, accuracy) in enumerate(exits, len(strides))
    )
    return MultiExitNetwork(tuple(file["input_shape"].tolist()), tuple(trunk), branches)
