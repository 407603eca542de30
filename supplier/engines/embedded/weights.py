"""A Llama's tensors, arranged for row vectors: each matrix is [inputs, outputs], contiguous."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from supplier.engines.embedded.config import ModelConfig
from supplier.engines.embedded.errors import ModelError
from supplier.engines.embedded.safetensors import Floats, read_directory

__all__ = ["LayerWeights", "ModelWeights", "load_weights"]


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """One transformer block.

    attention_norm, mlp_norm   [hidden]
    qkv                        [hidden, query_width + 2 * key_width]; bias [the same outputs]
    attention_out              [query_width, hidden]
    gate_up                    [hidden, 2 * intermediate]
    down                       [intermediate, hidden]
    """

    attention_norm: Floats
    qkv: Floats
    qkv_bias: Floats | None
    attention_out: Floats
    mlp_norm: Floats
    gate_up: Floats
    down: Floats


@dataclass(frozen=True, slots=True)
class ModelWeights:
    """A whole model: embedding [vocabulary, hidden], norm [hidden], head [hidden, vocabulary]."""

    embedding: Floats
    layers: tuple[LayerWeights, ...]
    norm: Floats
    head: Floats


def load_weights(directory: Path, config: ModelConfig) -> ModelWeights:
    """Return the weights of a Hugging Face directory; ModelError where a tensor is amiss."""
    tensors = read_directory(directory)
    embedding = _take(tensors, "model.embed_tokens.weight", config.vocabulary, config.hidden)
    head = embedding
    if not config.tied_embeddings:
        head = _take(tensors, "lm_head.weight", config.vocabulary, config.hidden)
    return ModelWeights(
        embedding=embedding,
        layers=tuple(_load_layer(tensors, index, config) for index in range(config.layers)),
        norm=_take(tensors, "model.norm.weight", config.hidden),
        head=np.ascontiguousarray(head.T),
    )


def _load_layer(tensors: Mapping[str, Floats], index: int, config: ModelConfig) -> LayerWeights:
    prefix = f"model.layers.{index}."
    hidden, inner = config.hidden, config.intermediate
    widths = {"q": config.query_width, "k": config.key_width, "v": config.key_width}

    def take(name: str, *shape: int) -> Floats:
        return _take(tensors, f"{prefix}{name}", *shape)

    qkv = [take(f"self_attn.{p}_proj.weight", width, hidden) for p, width in widths.items()]
    bias = None
    if f"{prefix}self_attn.q_proj.bias" in tensors:
        bias = np.concatenate([take(f"self_attn.{p}_proj.bias", w) for p, w in widths.items()])
    gate_up = [take(f"mlp.{part}_proj.weight", inner, hidden) for part in ("gate", "up")]
    return LayerWeights(
        attention_norm=take("input_layernorm.weight", hidden),
        qkv=np.ascontiguousarray(np.concatenate(qkv).T),
        qkv_bias=bias,
        attention_out=np.ascontiguousarray(
            take("self_attn.o_proj.weight", hidden, config.query_width).T
        ),
        mlp_norm=take("post_attention_layernorm.weight", hidden),
        gate_up=np.ascontiguousarray(np.concatenate(gate_up).T),
        down=np.ascontiguousarray(take("mlp.down_proj.weight", hidden, inner).T),
    )


def _take(tensors: Mapping[str, Floats], name: str, *shape: int) -> Floats:
    tensor = tensors.get(name)
    if tensor is None or tensor.shape != shape:
        found = "missing" if tensor is None else f"{tensor.shape}"
        raise ModelError(f"{name} should have shape {shape}, is {found}")
    return tensor
