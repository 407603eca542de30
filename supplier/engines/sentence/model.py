"""A BERT encoder in NumPy: token ids of one text in, one vector of length 1 out.

Source: Devlin et al., "BERT" (arXiv 1810.04805), post-norm blocks; Reimers and Gurevych,
"Sentence-BERT" (arXiv 1908.10084), for the pooling.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from supplier.engines.embedded.errors import ModelError
from supplier.engines.embedded.safetensors import Floats, read_directory
from supplier.engines.sentence.config import SentenceConfig

__all__ = ["SentenceModel", "load_sentence_model"]

UNUSED = ("embeddings.position_ids",)
"""Counts from 0, stored as integers by some."""
SQRT_2 = np.float32(2**0.5)


@dataclass(frozen=True, slots=True)
class Linear:
    """A dense layer: weight [inputs, outputs], bias [outputs]."""

    weight: Floats
    bias: Floats

    def __call__(self, x: Floats) -> Floats:
        """Return x [n, inputs] as [n, outputs]."""
        out: Floats = x @ self.weight + self.bias
        return out


@dataclass(frozen=True, slots=True)
class Norm:
    """Layer normalisation over the last axis: scale and bias [hidden]."""

    scale: Floats
    bias: Floats
    epsilon: float

    def __call__(self, x: Floats) -> Floats:
        """Return x [n, hidden] with mean 0 and variance 1, scaled and moved."""
        centred = x - x.mean(-1, keepdims=True)
        variance = np.square(centred).mean(-1, keepdims=True)
        out: Floats = centred / np.sqrt(variance + np.float32(self.epsilon))
        return out * self.scale + self.bias


@dataclass(frozen=True, slots=True)
class Block:
    """One layer: attention, then a feed-forward network, each added and normalised."""

    query_key_value: Linear
    attention_out: Linear
    attention_norm: Norm
    up: Linear
    down: Linear
    norm: Norm


@dataclass(frozen=True, slots=True)
class SentenceModel:
    """The whole encoder; threads may share one."""

    config: SentenceConfig
    words: Floats
    positions: Floats
    norm: Norm
    blocks: tuple[Block, ...]

    def embed(self, ids: Sequence[int]) -> Floats:
        """Return the vector [hidden] of one text, of length 1; `ids` are within the context."""
        x = self.norm(self.words[list(ids)] + self.positions[: len(ids)])
        for block in self.blocks:
            x = block.attention_norm(x + block.attention_out(self._attend(block, x)))
            x = block.norm(x + block.down(_gelu(block.up(x))))
        mean = x.mean(0)
        vector: Floats = mean / np.maximum(np.linalg.norm(mean), np.float32(1e-12))
        return vector

    def _attend(self, block: Block, x: Floats) -> Floats:
        heads, width = self.config.heads, self.config.hidden // self.config.heads
        split = block.query_key_value(x).reshape(len(x), 3, heads, width).transpose(1, 2, 0, 3)
        query, key, value = split
        scores = query @ key.transpose(0, 2, 1) / np.float32(width**0.5)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        mixed: Floats = (weights @ value).transpose(1, 0, 2).reshape(len(x), -1)
        return mixed


def load_sentence_model(directory: Path, config: SentenceConfig) -> SentenceModel:
    """Return the model of a directory; ModelError where a tensor is amiss."""
    reader = _Reader(read_directory(directory, UNUSED), config)
    hidden = config.hidden
    types = reader.take("embeddings.token_type_embeddings.weight", None, hidden)
    positions = reader.take("embeddings.position_embeddings.weight", config.positions, hidden)
    return SentenceModel(
        config=config,
        words=reader.take("embeddings.word_embeddings.weight", config.vocabulary, hidden),
        positions=positions + types[0],
        norm=reader.norm("embeddings.LayerNorm"),
        blocks=tuple(reader.block(index) for index in range(config.layers)),
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    tensors: Mapping[str, Floats]
    config: SentenceConfig

    def take(self, name: str, *shape: int | None) -> Floats:
        """Return a tensor of a shape, None for any size of an axis."""
        tensor = self.tensors.get(name)
        sizes = () if tensor is None else tensor.shape
        fits = len(sizes) == len(shape) and all(
            want in (None, size) for want, size in zip(shape, sizes, strict=True)
        )
        if tensor is None or not fits:
            raise ModelError(f"{name} should have shape {shape}, has {sizes or 'none'}")
        return tensor

    def block(self, index: int) -> Block:
        prefix, hidden = f"encoder.layer.{index}.", self.config.hidden
        parts = [
            self.linear(f"{prefix}attention.self.{each}", hidden, hidden)
            for each in ("query", "key", "value")
        ]
        return Block(
            query_key_value=Linear(
                np.concatenate([each.weight for each in parts], axis=1),
                np.concatenate([each.bias for each in parts]),
            ),
            attention_out=self.linear(f"{prefix}attention.output.dense", hidden, hidden),
            attention_norm=self.norm(f"{prefix}attention.output.LayerNorm"),
            up=self.linear(f"{prefix}intermediate.dense", hidden, None),
            down=self.linear(f"{prefix}output.dense", None, hidden),
            norm=self.norm(f"{prefix}output.LayerNorm"),
        )

    def linear(self, name: str, inputs: int | None, outputs: int | None) -> Linear:
        weight = self.take(f"{name}.weight", outputs, inputs)
        return Linear(np.ascontiguousarray(weight.T), self.take(f"{name}.bias", weight.shape[0]))

    def norm(self, name: str) -> Norm:
        hidden = self.config.hidden
        scale, bias = self.take(f"{name}.weight", hidden), self.take(f"{name}.bias", hidden)
        return Norm(scale, bias, self.config.norm_epsilon)


def _gelu(x: Floats) -> Floats:
    out: Floats = np.float32(0.5) * x * (1 + _erf(x / SQRT_2))
    return out


def _erf(x: Floats) -> Floats:
    """The error function within 1.5e-7 (Abramowitz and Stegun, 7.1.26)."""
    size = np.abs(x)
    t = 1 / (1 + np.float32(0.3275911) * size)
    series = np.float32(1.061405429) * t - np.float32(1.453152027)
    for term in (1.421413741, -0.284496736, 0.254829592):
        series = series * t + np.float32(term)
    out: Floats = np.sign(x) * (1 - series * t * np.exp(-size * size))
    return out
