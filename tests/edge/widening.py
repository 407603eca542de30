"""A network made wider by filters that find nothing: more work, the same answers."""

from dataclasses import replace

import numpy as np

from edge import Convolution, Dense, Floats, Layer, MultiExitNetwork, Shape

NINE = 9
"""Weights of one channel of one filter."""


def widen(network: MultiExitNetwork, filters: int) -> MultiExitNetwork:
    """The same network with `filters` filters in each convolution, those added all zeros."""
    trunk: list[Layer] = []
    for layer in network.trunk:
        channels = filters if trunk and isinstance(trunk[-1], Convolution) else None
        before = _shape(network, len(trunk))
        if isinstance(layer, Convolution):
            weights = _deepen(layer.weights, NINE, before, channels)
            trunk.append(
                Convolution(_pad(weights, filters), _pad(layer.bias, filters), layer.stride)
            )
        else:
            trunk.append(_dense(layer, before, channels))
    branches = tuple(
        replace(
            each, head=_dense(each.head, _shape(network, each.depth), _depth(trunk, each.depth))
        )
        for each in network.branches
    )
    return replace(network, trunk=tuple(trunk), branches=branches)


def _depth(trunk: list[Layer], depth: int) -> int | None:
    last = trunk[depth - 1] if depth else None
    return len(last.bias) if isinstance(last, Convolution) else None


def _shape(network: MultiExitNetwork, depth: int) -> Shape:
    shape: Shape = network.input_shape
    for layer in network.trunk[:depth]:
        shape = layer.output_shape(shape)
    return shape


def _dense(layer: Dense, before: Shape, channels: int | None) -> Dense:
    places = before[0] * before[1] if len(before) == 3 else 1
    return replace(layer, weights=_deepen(layer.weights, places, before, channels))


def _deepen(weights: Floats, places: int, before: Shape, channels: int | None) -> Floats:
    """Rows for `channels` channels at each place instead of those there were; zeros for the new."""
    if channels is None:
        return weights
    split = weights.reshape(places, before[-1], -1)
    wide = np.zeros((places, channels, split.shape[2]), np.float32)
    wide[:, : before[-1]] = split
    return wide.reshape(places * channels, -1)


def _pad(array: Floats, width: int) -> Floats:
    wide = np.zeros((*array.shape[:-1], width), np.float32)
    wide[..., : array.shape[-1]] = array
    return wide
