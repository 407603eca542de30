"""Trains the multi-exit network of `models/edge` on the handwritten digits of scikit-learn.

A trunk of three convolutions and a dense layer with three exits, all trained together on images
moved by up to a pixel. The steps are fixed and every draw is seeded, so the same versions on the
same processor give the same weights. Takes about twenty seconds on one core.

Requires, beyond this project: scikit-learn 1.9 (its bundled data set only).

    python scripts/train_edge_model.py OUT [--steps 4000]
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from edge import (
    Branch,
    Convolution,
    Dense,
    Floats,
    Layer,
    MultiExitNetwork,
    Shape,
    patches,
    save_network,
)

STEPS = 4000
BATCH = 64
RATE_MAX = 3e-3
DECAY = 1e-4
HELD_OUT = 450
INPUT: Shape = (8, 8, 1)
TRUNK = (("convolution", 4, 2), ("convolution", 16, 1), ("convolution", 32, 2), ("dense", 64, 0))
DEPTHS = (1, 2, 4)
CLASSES = 10

Labels = NDArray[np.int64]


def make_network(rng: np.random.Generator) -> MultiExitNetwork:
    """Return the untrained network, weights scaled to their inputs."""
    shapes, trunk = [INPUT], list[Layer]()
    for kind, outputs, stride in TRUNK:
        inputs = 9 * shapes[-1][-1] if kind == "convolution" else int(np.prod(shapes[-1]))
        weights, bias = draw(rng, inputs, outputs)
        if kind == "convolution":
            trunk.append(Convolution(weights, bias, stride))
        else:
            trunk.append(Dense(weights, bias, True))
        shapes.append(trunk[-1].output_shape(shapes[-1]))
    branches = [
        Branch(depth, Dense(*draw(rng, int(np.prod(shapes[depth])), CLASSES), False), 0)
        for depth in DEPTHS
    ]
    return MultiExitNetwork(INPUT, tuple(trunk), tuple(branches))


def draw(rng: np.random.Generator, inputs: int, outputs: int) -> tuple[Floats, Floats]:
    """Return weights and zero bias of a layer."""
    weights = rng.normal(0, np.sqrt(2 / inputs), (inputs, outputs)).astype(np.float32)
    return weights, np.zeros(outputs, np.float32)


def rows(layer: Layer, batch: Floats) -> Floats:
    """Return what the weights of a layer multiply."""
    if isinstance(layer, Convolution):
        return patches(batch, layer.stride)
    return batch.reshape(len(batch), -1)


def back(layer: Convolution | Dense, batch: Floats, slope: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the slopes by weights, bias and input, given that by the sums before the rectifier."""
    before = rows(layer, batch)
    flat = slope.reshape(-1, slope.shape[-1])
    by_weights = before.reshape(-1, before.shape[-1]).T @ flat
    by_rows = slope @ layer.weights.T
    if isinstance(layer, Dense):
        return by_weights, flat.sum(0), by_rows.reshape(batch.shape)
    return by_weights, flat.sum(0), fold(by_rows, batch.shape, layer.stride)


def fold(by_rows: Floats, shape: Shape, stride: int) -> Floats:
    """Return the slope by an image from that by its patches: the reverse of `patches`."""
    images, height, width, channels = shape
    padded = np.zeros((images, height + 2, width + 2, channels), np.float32)
    _, high, wide, _ = by_rows.shape
    windows = by_rows.reshape(images, high, wide, 3, 3, channels)
    for down in range(3):
        for right in range(3):
            rows_at = slice(down, down + stride * high, stride)
            columns_at = slice(right, right + stride * wide, stride)
            padded[:, rows_at, columns_at] += windows[:, :, :, down, right]
    return padded[:, 1:-1, 1:-1]


def slopes(network: MultiExitNetwork, batch: Floats, labels: Labels) -> list[Floats]:
    """Return the slopes of the summed cross entropies by every weight and bias, trunk first."""
    reached = [batch]
    for layer in network.trunk:
        reached.append(layer.run(reached[-1]))
    by_output = [np.zeros_like(each) for each in reached]
    by_heads: list[Floats] = []
    for branch in network.branches:
        error = softmax(branch.head.run(reached[branch.depth]))
        error[np.arange(len(labels)), labels] -= 1
        error /= np.float32(len(labels))
        weights, bias, below = back(branch.head, reached[branch.depth], error)
        by_output[branch.depth] += below
        by_heads += [weights, bias]
    by_trunk: list[Floats] = []
    for place in reversed(range(len(network.trunk))):
        slope = by_output[place + 1] * (reached[place + 1] > 0)
        weights, bias, below = back(network.trunk[place], reached[place], slope)
        by_output[place] += below
        by_trunk = [weights, bias, *by_trunk]
    return by_trunk + by_heads


def softmax(sums: Floats) -> Floats:
    """Return the probabilities."""
    raised = np.exp(sums - sums.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


@dataclass
class Adam:
    """Kingma and Ba's optimizer with decoupled decay, over arrays changed in place."""

    parameters: Sequence[Floats]
    means: list[Floats] = field(default_factory=list)
    squares: list[Floats] = field(default_factory=list)
    step: int = 0

    def __post_init__(self) -> None:
        self.means = [np.zeros_like(each) for each in self.parameters]
        self.squares = [np.zeros_like(each) for each in self.parameters]

    def descend(self, by_parameter: Sequence[Floats], rate: float) -> None:
        """Take one step."""
        self.step += 1
        correction = np.sqrt(1 - 0.999**self.step) / (1 - 0.9**self.step)
        columns = zip(self.parameters, by_parameter, self.means, self.squares, strict=True)
        for parameter, slope, mean, square in columns:
            mean += 0.1 * (slope - mean)
            square += 0.001 * (slope * slope - square)
            parameter -= rate * (correction * mean / (np.sqrt(square) + 1e-8) + DECAY * parameter)


def train(network: MultiExitNetwork, images: Floats, labels: Labels, steps: int) -> None:
    """Train in place for exactly `steps` steps."""
    rng = np.random.default_rng(1)
    steps_of = [*network.trunk, *(branch.head for branch in network.branches)]
    adam = Adam([array for layer in steps_of for array in (layer.weights, layer.bias)])
    for step in range(steps):
        chosen = rng.integers(len(images), size=BATCH)
        rate = RATE_MAX * 0.5 * (1 + np.cos(np.pi * step / steps))
        moved = np.roll(images[chosen], rng.integers(-1, 2, size=2), axis=(1, 2))
        adam.descend(slopes(network, moved, labels[chosen]), rate)
        if step % 500 == 0 or step == steps - 1:
            sys.stdout.write(f"step {step} right {right(network, images, labels)}\n")
            sys.stdout.flush()


def right(network: MultiExitNetwork, images: Floats, labels: Labels) -> list[int]:
    """Return how many images each exit names, in millionths."""
    found = []
    for way_out in range(len(network.branches)):
        batch = images
        for layer in network.layers(way_out):
            batch = layer.run(batch)
        found.append(int((batch.argmax(1) == labels).mean() * 10**6))
    return found


def main() -> None:
    """Train, measure on images kept aside, and write the network and those images."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--steps", type=int, default=STEPS)
    given = parser.parse_args()
    digits = load_digits()
    pixels, labels = digits.images.astype(np.uint8), digits.target
    order = np.random.default_rng(0).permutation(len(pixels))
    kept, used = order[:HELD_OUT], order[HELD_OUT:]
    images = (pixels.astype(np.float32) / np.float32(16))[..., np.newaxis]
    network = make_network(np.random.default_rng(0))
    train(network, images[used], labels[used], given.steps)
    measured = right(network, images[kept], labels[kept])
    pairs = zip(network.branches, measured, strict=True)
    branches = tuple(replace(branch, accuracy_ppm=share) for branch, share in pairs)
    given.directory.mkdir(parents=True, exist_ok=True)
    save_network(replace(network, branches=branches), given.directory / "network.npz")
    np.savez_compressed(
        given.directory / "held_out.npz", pixels=pixels[kept], labels=labels[kept].astype(np.uint8)
    )
    sys.stdout.write(f"held out {measured}\n")


if __name__ == "__main__":
    main()
