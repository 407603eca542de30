"""Reads safetensors files: an 8-byte length, a JSON header, then raw little-endian tensors."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supplier.engines.embedded.errors import ModelError

__all__ = ["Floats", "read_directory"]

Floats = NDArray[np.float32]

HEADER_BYTES_MAX = 100 << 20
DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
}


def read_directory(directory: Path, without: Collection[str] = ()) -> dict[str, Floats]:
    """Return every tensor of `*.safetensors` in a directory but those named, as float32.

    Raises ModelError where a file is missing, torn, or of an unknown dtype.
    """
    paths = sorted(directory.glob("*.safetensors"))
    if not paths:
        raise ModelError(f"no *.safetensors in {directory}")
    tensors: dict[str, Floats] = {}
    for path in paths:
        tensors.update(_read_file(path, without))
    return tensors


def _read_file(path: Path, without: Collection[str]) -> dict[str, Floats]:
    raw = np.memmap(path, dtype=np.uint8, mode="r") if path.stat().st_size else np.empty(0, "u1")
    header, data_start = _read_header(raw, path)
    data = raw[data_start:]
    return {
        name: _tensor(name, entry, data) for name, entry in header.items() if name not in without
    }


def _read_header(raw: NDArray[np.uint8], path: Path) -> tuple[dict[str, dict[str, Any]], int]:
    length = int.from_bytes(raw[:8].tobytes(), "little")
    end = 8 + length
    if length > HEADER_BYTES_MAX or end > raw.size:
        raise ModelError(f"{path.name} is torn or not safetensors")
    try:
        header = json.loads(raw[8:end].tobytes())
    except ValueError as error:
        raise ModelError(f"{path.name} has a broken header") from error
    header.pop("__metadata__", None)
    return header, end


def _tensor(name: str, entry: dict[str, Any], data: NDArray[np.uint8]) -> Floats:
    dtype = DTYPES.get(entry["dtype"])
    if dtype is None:
        raise ModelError(f"{name} has dtype {entry['dtype']}; known are {', '.join(DTYPES)}")
    first, last = entry["data_offsets"]
    shape = tuple(entry["shape"])
    if last > data.size or last - first != dtype.itemsize * int(np.prod(shape, dtype=np.int64)):
        raise ModelError(f"{name} does not fit its file")
    values = np.frombuffer(data[first:last].tobytes(), dtype)
    if entry["dtype"] == "BF16":
        # bfloat16 is the upper half of a float32
        values = (values.astype(np.uint32) << 16).view(np.float32)
    floats: Floats = values.astype(np.float32, copy=False).reshape(shape)
    return floats
