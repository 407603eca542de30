"""A network with several exits, run whole or in two parts, and what a planner has to know of it."""

from dataclasses import dataclass
from math import prod

import numpy as np

import pricing
from edge.layers import Dense, Floats, Layer, Shape

FLOAT_BYTES = 4
PIXEL_MAX = 16
"""Pixels are bytes from 0 to this."""


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """An exit: how many layers of the trunk lead to it, its own last layer, and its accuracy."""

    depth: int
    head: Dense
    accuracy_ppm: int


@dataclass(frozen=True, slots=True, eq=False)
class MultiExitNetwork:
    """A trunk of layers with exits along it.

    The layers of an exit are the first `depth` of the trunk and its own. They are run one by one on
    one image, so a network cut anywhere computes what the whole one does, bit for bit.
    """

    input_shape: Shape
    trunk: tuple[Layer, ...]
    branches: tuple[Branch, ...]

    def layers(self, way_out: int) -> tuple[Layer, ...]:
        """All layers from the input to the answer of one exit."""
        branch = self.branches[way_out]
        return (*self.trunk[: branch.depth], branch.head)

    def shapes(self, way_out: int) -> list[Shape]:
        """The shape before each layer of an exit, and that of its answer."""
        shapes = [self.input_shape]
        for layer in self.layers(way_out):
            shapes.append(layer.output_shape(shapes[-1]))
        return shapes

    def run_between(self, array: Floats, way_out: int, first: int, last: int) -> Floats:
        """What the layers `first` to `last - 1` of an exit make of one array."""
        batch = array[np.newaxis]
        for layer in self.layers(way_out)[first:last]:
            batch = layer.run(batch)
        output: Floats = batch[0]
        return output

    def run(self, pixels: bytes, way_out: int) -> Floats:
        """The answer of one exit: ten numbers, the largest at the digit."""
        return self.run_between(self.image(pixels), way_out, 0, len(self.layers(way_out)))

    def image(self, pixels: bytes) -> Floats:
        """Pixels as the array the first layer takes; ValueError for a wrong number of them."""
        if len(pixels) != prod(self.input_shape):
            raise ValueError(f"{len(pixels)} pixels for an input of {self.input_shape}")
        scaled = np.frombuffer(pixels, np.uint8).astype(np.float32) / np.float32(PIXEL_MAX)
        return scaled.reshape(self.input_shape)

    def profile(self) -> pricing.Network:
        """Work and output bytes of every layer, and the accuracy of every exit."""
        return pricing.Network(
            prod(self.input_shape),
            tuple(self._profile(number) for number in range(len(self.branches))),
        )

    def _profile(self, way_out: int) -> pricing.Exit:
        shapes = self.shapes(way_out)
        steps = zip(self.layers(way_out), shapes[:-1], shapes[1:], strict=True)
        layers = tuple(
            pricing.Layer(layer.work(before), FLOAT_BYTES * prod(after))
            for layer, before, after in steps
        )
        return pricing.Exit(self.branches[way_out].accuracy_ppm, layers)
