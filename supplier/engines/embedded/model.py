"""The transformer: token ids in, logits out, keys and values kept in a slot of the cache.

Every result is a function of its own sequence alone, to the last bit. BLAS rounds a row of a
product differently for different numbers of rows, so decoding always multiplies tiles of
ROWS rows (the last is padded), and a prompt is always cut into the same chunks. Then a seed
gives the same text whether a request runs alone or beside others.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from supplier.engines.embedded.cache import KeyValueCache
from supplier.engines.embedded.config import ModelConfig, load_config
from supplier.engines.embedded.rope import compute_rotations, rotate
from supplier.engines.embedded.safetensors import Floats
from supplier.engines.embedded.weights import LayerWeights, ModelWeights, load_weights

__all__ = ["CHUNK_TOKENS", "ROWS", "Model", "load_model"]

ROWS = 8
CHUNK_TOKENS = 128


def load_model(directory: Path, context_max: int | None = None) -> "Model":
    """Return the model of a Hugging Face directory, its context cut to `context_max` tokens."""
    config = load_config(directory, context_max)
    return Model(config, load_weights(directory, config))


class Model:
    """A Llama-style decoder: RMS norms, rotary grouped-query attention, SwiGLU."""

    def __init__(self, config: ModelConfig, weights: ModelWeights) -> None:
        self.config = config
        self._weights = weights
        self._cosines, self._sines = compute_rotations(config)
        self._scale = np.float32(config.head_width**-0.5)
        self._per_width = np.float32(1 / config.hidden)
        self._epsilon = np.float32(config.norm_epsilon)

    def prefill(self, tokens: Sequence[int], start: int, slot: int, cache: KeyValueCache) -> Floats:
        """Append one chunk of a prompt to a slot; return hidden states [tokens, hidden].

        `start` is the position of the first token; at most CHUNK_TOKENS tokens.
        """
        hidden: Floats = self._weights.embedding[np.asarray(tokens)]
        end = start + len(tokens)
        angles = self._cosines[start:end], self._sines[start:end]
        for index, layer in enumerate(self._weights.layers):
            queries, keys, values = self._split(self._qkv(hidden, layer))
            queries = rotate(queries.transpose(1, 0, 2), *angles)
            keys = rotate(keys.transpose(1, 0, 2), *angles)
            values = values.transpose(1, 0, 2)
            mixed = self._attend_chunk(queries, cache.extend(index, slot, start, keys, values))
            hidden = self._finish_block(hidden, mixed, layer)
        return hidden

    def decode(
        self,
        tokens: Sequence[int],
        positions: Sequence[int],
        slots: Sequence[int],
        cache: KeyValueCache,
    ) -> Floats:
        """Advance several sequences by one token each; return logits [sequences, vocabulary]."""
        count, config = len(tokens), self.config
        hidden = self._weights.embedding[_tile(tokens)]
        tiles = _tile(positions)
        angles = self._cosines[tiles][:, :, None], self._sines[tiles][:, :, None]
        places = list(zip(slots, positions, strict=True))
        for index, layer in enumerate(self._weights.layers):
            queries, keys, values = self._split(self._qkv(hidden, layer))
            queries = rotate(queries, *angles).reshape(-1, config.heads, config.head_width)
            keys = rotate(keys, *angles).reshape(-1, config.key_heads, config.head_width)
            values = values.reshape(keys.shape)
            mixed = np.zeros((*tiles.shape, config.query_width), np.float32)
            rows = mixed.reshape(-1, config.query_width)
            for row, (slot, position) in enumerate(places):
                cache.put(index, slot, position, keys[row], values[row])
                window = cache.window(index, slot, position + 1)
                rows[row] = self._attend_one(queries[row], window)
            hidden = self._finish_block(hidden, mixed, layer)
        return self.compute_logits(hidden).reshape(-1, config.vocabulary)[:count]

    def compute_logits(self, hidden: Floats) -> Floats:
        """Return logits [..., vocabulary] of hidden states [..., hidden]."""
        logits: Floats = self._normalise(hidden, self._weights.norm) @ self._weights.head
        return logits

    def _qkv(self, hidden: Floats, layer: LayerWeights) -> Floats:
        product = self._normalise(hidden, layer.attention_norm) @ layer.qkv
        return product if layer.qkv_bias is None else product + layer.qkv_bias

    def _split(self, product: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the three parts [..., heads of the part, width] of a qkv product."""
        config, leading = self.config, product.shape[:-1]
        first, second = config.query_width, config.query_width + config.key_width
        return (
            product[..., :first].reshape(*leading, config.heads, config.head_width),
            product[..., first:second].reshape(*leading, config.key_heads, config.head_width),
            product[..., second:].reshape(*leading, config.key_heads, config.head_width),
        )

    def _attend_chunk(self, queries: Floats, window: tuple[Floats, Floats]) -> Floats:
        """Return [tokens, query_width]: the last tokens of a window attend to it, causally.

        `queries` [heads, tokens, width]; the window's arrays [key_heads, length, width].
        """
        keys, values = window
        count, length = queries.shape[1], keys.shape[1]
        grouped = queries.reshape(self.config.key_heads, -1, self.config.head_width)
        scores: Floats = (grouped @ keys.transpose(0, 2, 1)) * self._scale
        future = np.triu(np.full((count, length), -np.inf, np.float32), length - count + 1)
        masked: Floats = scores.reshape(self.config.heads, count, length) + future
        shares = _softmax(masked).reshape(self.config.key_heads, -1, length)
        mixed = (shares @ values).reshape(self.config.heads, count, self.config.head_width)
        return mixed.transpose(1, 0, 2).reshape(count, self.config.query_width)

    def _attend_one(self, queries: Floats, window: tuple[Floats, Floats]) -> Floats:
        """Return [query_width]: one token's queries [heads, width] attend to a whole window."""
        keys, values = window
        grouped = queries.reshape(self.config.key_heads, -1, self.config.head_width)
        scores: Floats = (grouped @ keys.transpose(0, 2, 1)) * self._scale
        mixed: Floats = _softmax(scores) @ values
        return mixed.reshape(-1)

    def _finish_block(self, hidden: Floats, mixed: Floats, layer: LayerWeights) -> Floats:
        """Return hidden states after the attention output and the gated MLP are added."""
        hidden = hidden + mixed @ layer.attention_out
        inner = self._normalise(hidden, layer.mlp_norm) @ layer.gate_up
        gate, up = inner[..., : self.config.intermediate], inner[..., self.config.intermediate :]
        with np.errstate(over="ignore"):  # exp may reach infinity: the gate is then shut
            activated = gate / (1 + np.exp(-gate)) * up
        added: Floats = hidden + activated @ layer.down
        return added

    def _normalise(self, hidden: Floats, weight: Floats) -> Floats:
        """Return root-mean-square normalised rows, scaled by `weight` [hidden]."""
        squares = np.add.reduce(hidden * hidden, axis=-1, keepdims=True)
        scale = 1 / np.sqrt(squares * self._per_width + self._epsilon)
        normalised: Floats = hidden * scale * weight
        return normalised


def _tile(values: Sequence[int]) -> NDArray[np.intp]:
    """Return values as [tiles, ROWS], the last tile padded with zeros."""
    tiles = np.zeros((-(-len(values) // ROWS), ROWS), np.intp)
    tiles.reshape(-1)[: len(values)] = values
    return tiles


def _softmax(scores: Floats) -> Floats:
    """Return `scores`, overwritten with their softmax over the last axis."""
    scores -= np.maximum.reduce(scores, axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= np.add.reduce(scores, axis=-1, keepdims=True)
    return scores
