"""A network from a stranger's bytes: an archive as large as it says, of layers that fit.

A supplier's file has the digest that the chain holds, and still its source wrote it: sizes are
checked before anything is unpacked, and the geometry before anything is computed.
"""

import zipfile
import zlib
from io import BytesIO
from math import prod
from typing import IO

import numpy as np
from numpy.lib import format as npy

from edge.layers import KERNEL, Convolution, Layer, Shape
from edge.network import MultiExitNetwork
from edge.weights import read_network

NETWORK_BYTES_MAX = 16 << 20
"""Of the file."""
UNPACKED_BYTES_MAX = 64 << 20
ENTRIES_MAX = 256
STRIDE_MAX = 8
DTYPES = frozenset(("float32", "int64", "bool"))
DAMAGE = (
    zipfile.BadZipFile, zlib.error, KeyError, TypeError, IndexError, OSError, EOFError,
    NotImplementedError, RuntimeError,
)  # fmt: skip
"""What reading an archive raises that is not whole, or packed in another way than ours."""


def parse_network(data: bytes) -> MultiExitNetwork:
    """The network in the bytes of an `.npz` (ValueError for anything else than a sound one)."""
    if len(data) > NETWORK_BYTES_MAX:
        raise ValueError(f"a network of {len(data)} bytes")
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            _verify_archive(archive)
        with np.load(BytesIO(data), allow_pickle=False) as file:
            network = read_network(file)
        _verify_geometry(network)
    except DAMAGE as error:
        raise ValueError(f"no network: {error}") from error
    return network


def _verify_archive(archive: zipfile.ZipFile) -> None:
    entries = archive.infolist()
    if len(entries) > ENTRIES_MAX or sum(each.file_size for each in entries) > UNPACKED_BYTES_MAX:
        raise ValueError("the archive unpacks to too much")
    for entry in entries:
        with archive.open(entry) as file:
            _verify_entry(file, entry.file_size)


def _verify_entry(file: IO[bytes], size: int) -> None:
    """An array as long as its header says, of numbers."""
    version = npy.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"an array of format {version}")
    shape, _, dtype = npy.read_array_header_1_0(file)
    if dtype.name not in DTYPES:
        raise ValueError(f"an array of {dtype.name}")
    if prod(shape) * dtype.itemsize + file.tell() != size:
        raise ValueError("an array of another size than its header says")


def _verify_geometry(network: MultiExitNetwork) -> None:
    if len(network.input_shape) != 3 or min(network.input_shape) < 1 or not network.branches:
        raise ValueError("a network takes images and has an exit")
    for number, branch in enumerate(network.branches):
        if not 0 <= branch.depth <= len(network.trunk):
            raise ValueError(f"exit {number} is behind {branch.depth} layers")
        shape: Shape = network.input_shape
        for layer in network.layers(number):
            _verify_layer(layer, shape)
            shape = layer.output_shape(shape)


def _verify_layer(layer: Layer, shape: Shape) -> None:
    inputs = prod(shape)
    if isinstance(layer, Convolution):
        if len(shape) != 3 or not 1 <= layer.stride <= STRIDE_MAX:
            raise ValueError("a convolution takes an image, in steps of 1 to 8")
        inputs = KERNEL * KERNEL * shape[2]
    if layer.bias.ndim != 1 or layer.weights.shape != (inputs, len(layer.bias)):
        raise ValueError(f"weights of {layer.weights.shape} behind {shape}")
    if layer.weights.dtype != np.float32 or layer.bias.dtype != np.float32:
        raise ValueError("weights that are no float32")
    if not (np.isfinite(layer.weights).all() and np.isfinite(layer.bias).all()):
        raise ValueError("weights that are not finite")
