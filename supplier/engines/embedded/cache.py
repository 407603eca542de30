"""Keys and values of every running sequence: one slot each, of the whole context."""

import numpy as np

from supplier.engines.embedded.config import ModelConfig
from supplier.engines.embedded.safetensors import Floats

__all__ = ["KeyValueCache", "Stored"]

Stored = tuple[Floats, Floats]
"""What a slot holds, taken out of the cache: keys, values [layers, key_heads, length, width]."""


class KeyValueCache:
    """Arrays [layers, slots, key_heads, context, head_width]; memory is touched only as used.

    Bytes at most: 8 * layers * slots * key_heads * context * head_width.
    """

    def __init__(self, config: ModelConfig, slots: int) -> None:
        shape = (config.layers, slots, config.key_heads, config.context, config.head_width)
        self._keys: Floats = np.empty(shape, np.float32)
        self._values: Floats = np.empty(shape, np.float32)

    def extend(
        self, layer: int, slot: int, start: int, keys: Floats, values: Floats
    ) -> tuple[Floats, Floats]:
        """Write [key_heads, tokens, width] from position `start`; return the window up to them."""
        end = start + keys.shape[1]
        self._keys[layer, slot, :, start:end] = keys
        self._values[layer, slot, :, start:end] = values
        return self.window(layer, slot, end)

    def put(self, layer: int, slot: int, position: int, keys: Floats, values: Floats) -> None:
        """Write one token's [key_heads, width] at `position`."""
        self._keys[layer, slot, :, position] = keys
        self._values[layer, slot, :, position] = values

    def window(self, layer: int, slot: int, length: int) -> tuple[Floats, Floats]:
        """Return views of the first `length` positions: keys, values [key_heads, length, width]."""
        return self._keys[layer, slot, :, :length], self._values[layer, slot, :, :length]

    def take_out(self, slot: int, length: int) -> Stored:
        """Return a copy of the first `length` positions of a slot."""
        return self._keys[:, slot, :, :length].copy(), self._values[:, slot, :, :length].copy()

    def put_back(self, slot: int, stored: Stored) -> None:
        """Fill a slot, any one, with what was taken out of another: the same to the last bit."""
        keys, values = stored
        length = keys.shape[2]
        self._keys[:, slot, :, :length] = keys
        self._values[:, slot, :, :length] = values
