"""The steps of a network: convolutions and dense layers in float32.

Images are `[height, width, channels]`. Each output element is one dot product over a row of
patches, so a layer gives the same bytes wherever the same code runs it on one image.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Shape: TypeAlias = tuple[int, ...]

KERNEL = 3
"""Convolutions are 3 by 3, padded by one."""


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """A 3 by 3 convolution and a rectifier; `weights` are `[9 * channels, filters]`."""

    weights: Floats
    bias: Floats
    stride: int

    def run(self, batch: Floats) -> Floats:
        """The filtered images."""
        sums: Floats = patches(batch, self.stride) @ self.weights + self.bias
        return np.maximum(sums, 0)

    def output_shape(self, shape: Shape) -> Shape:
        """Height and width over the stride, rounded up, and the filters."""
        height, width, _ = shape
        return -(-height // self.stride), -(-width // self.stride), len(self.bias)

    def work(self, shape: Shape) -> int:
        """FLOP for one image."""
        height, width, filters = self.output_shape(shape)
        return 2 * height * width * filters * len(self.weights)


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """All elements times `weights`, `[elements, outputs]`; rectified unless it answers."""

    weights: Floats
    bias: Floats
    rectified: bool

    def run(self, batch: Floats) -> Floats:
        """The weighted sums, `[images, outputs]`."""
        sums: Floats = batch.reshape(len(batch), -1) @ self.weights + self.bias
        return np.maximum(sums, 0) if self.rectified else sums

    def output_shape(self, shape: Shape) -> Shape:
        """The outputs."""
        return (len(self.bias),)

    def work(self, shape: Shape) -> int:
        """FLOP for one input."""
        return 2 * self.weights.size


Layer: TypeAlias = Convolution | Dense
"""One step from an array to the next; work is two FLOP for each multiplication and addition."""


def patches(batch: Floats, stride: int) -> Floats:
    """Every 3 by 3 neighbourhood, `[images, height, width, 9 * channels]`, zeros outside."""
    padded = np.pad(batch, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (KERNEL, KERNEL), axis=(1, 2))
    chosen = windows[:, ::stride, ::stride].transpose(0, 1, 2, 4, 5, 3)
    return np.ascontiguousarray(chosen).reshape(*chosen.shape[:3], -1)
