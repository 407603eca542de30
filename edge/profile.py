"""A network's profile as the JSON of a service's spec: work and bytes, without a single weight."""

from typing import Any

from pricing import Exit, Layer, Network

EXITS_MAX = 16
LAYERS_MAX = 64
SIZE_MAX = 10**12
"""Of work in FLOP, and of bytes."""
PPM = 10**6


def encode_profile(network: Network) -> dict[str, Any]:
    """The profile as JSON: each layer is `[FLOP, bytes]`."""
    return {
        "input_bytes": network.input_bytes,
        "exits": [
            {
                "accuracy_ppm": each.accuracy_ppm,
                "layers": [[layer.work, layer.output] for layer in each.layers],
            }
            for each in network.exits
        ],
    }


def parse_profile(document: Any) -> Network:
    """The profile of a stranger's JSON (ValueError for anything out of bounds)."""
    if not isinstance(document, dict) or document.keys() != {"input_bytes", "exits"}:
        raise ValueError("a profile is an object of input_bytes and exits")
    exits = _list(document["exits"], EXITS_MAX)
    return Network(_size(document["input_bytes"], 1), tuple(map(_parse_exit, exits)))


def _parse_exit(document: Any) -> Exit:
    if not isinstance(document, dict) or document.keys() != {"accuracy_ppm", "layers"}:
        raise ValueError("an exit is an object of accuracy_ppm and layers")
    accuracy = _size(document["accuracy_ppm"], 0)
    if accuracy > PPM:
        raise ValueError(f"an accuracy of {accuracy} millionths")
    layers = _list(document["layers"], LAYERS_MAX)
    return Exit(accuracy, tuple(map(_parse_layer, layers)))


def _parse_layer(document: Any) -> Layer:
    if not isinstance(document, list) or len(document) != 2:
        raise ValueError("a layer is [FLOP, bytes]")
    work, output = document
    return Layer(_size(work, 1), _size(output, 1))


def _list(value: Any, size_max: int) -> list[Any]:
    if not isinstance(value, list) or not 1 <= len(value) <= size_max:
        raise ValueError(f"a list of 1 to {size_max} was wanted")
    return value


def _size(value: Any, low: int) -> int:
    if type(value) is not int or not low <= value <= SIZE_MAX:
        raise ValueError(f"{value!r} is no whole number from {low} to {SIZE_MAX}")
    return value
