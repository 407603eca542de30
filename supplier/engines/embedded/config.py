"""The shape of a Llama-style model, read from config.json and generation_config.json."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supplier.engines.embedded.errors import ModelError

__all__ = ["GenerationDefaults", "ModelConfig", "RopeScaling", "load_config", "load_defaults"]

MODEL_TYPES = ("llama", "qwen2", "mistral")
ROPE_TYPES = ("default", "llama3")


@dataclass(frozen=True, slots=True)
class RopeScaling:
    """Llama 3.1's stretch of the low rotary frequencies; lengths in tokens."""

    factor: float
    low_frequency_factor: float
    high_frequency_factor: float
    original_context: int


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Sizes of one model: widths in floats, context in tokens."""

    vocabulary: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_heads: int
    head_width: int
    context: int
    norm_epsilon: float
    rope_theta: float
    rope_scaling: RopeScaling | None
    tied_embeddings: bool

    @property
    def query_width(self) -> int:
        """Width of all queries of one token together."""
        return self.heads * self.head_width

    @property
    def key_width(self) -> int:
        """Width of all keys (and of all values) of one token together."""
        return self.key_heads * self.head_width


@dataclass(frozen=True, slots=True)
class GenerationDefaults:
    """What a request gets that does not say otherwise."""

    stop_token_ids: frozenset[int]
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0


def load_config(directory: Path, context_max: int | None = None) -> ModelConfig:
    """Return the sizes stated in config.json, the context cut to `context_max` tokens.

    Raises ModelError for an architecture this engine does not compute.
    """
    raw = _read_json(directory / "config.json")
    _refuse_unknown(raw)
    heads = int(raw["num_attention_heads"])
    context = int(raw["max_position_embeddings"])
    rope = _rope(raw)
    config = ModelConfig(
        vocabulary=int(raw["vocab_size"]),
        hidden=int(raw["hidden_size"]),
        intermediate=int(raw["intermediate_size"]),
        layers=int(raw["num_hidden_layers"]),
        heads=heads,
        key_heads=int(raw.get("num_key_value_heads") or heads),
        head_width=int(raw.get("head_dim") or int(raw["hidden_size"]) // heads),
        context=min(context, context_max or context),
        norm_epsilon=float(raw.get("rms_norm_eps", 1e-6)),
        rope_theta=float(rope.get("rope_theta", raw.get("rope_theta", 10000.0))),
        rope_scaling=_scaling(rope),
        tied_embeddings=bool(raw.get("tie_word_embeddings", False)),
    )
    if config.heads % config.key_heads or config.head_width % 2:
        raise ModelError("heads must be a multiple of key heads, the head width even")
    return config


def load_defaults(directory: Path) -> GenerationDefaults:
    """Return the generation defaults of a directory: stop tokens and sampling values."""
    path = directory / "generation_config.json"
    raw = _read_json(path) if path.is_file() else {}
    eos = raw.get("eos_token_id")
    if eos is None:
        eos = _read_json(directory / "config.json").get("eos_token_id")
    ids = [] if eos is None else eos if isinstance(eos, list) else [eos]
    return GenerationDefaults(
        stop_token_ids=frozenset(int(token) for token in ids),
        temperature=float(raw.get("temperature", 1.0)),
        top_p=float(raw.get("top_p", 1.0)),
        top_k=int(raw.get("top_k", 0)),
        min_p=float(raw.get("min_p", 0.0) or 0.0),
        repetition_penalty=float(raw.get("repetition_penalty", 1.0)),
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} is not a JSON object")
    return value


def _refuse_unknown(raw: dict[str, Any]) -> None:
    if raw.get("model_type") not in MODEL_TYPES:
        raise ModelError(f"model_type {raw.get('model_type')!r}; known are {MODEL_TYPES}")
    if raw.get("hidden_act", "silu") != "silu":
        raise ModelError(f"hidden_act {raw['hidden_act']!r}; known is 'silu'")
    if raw.get("sliding_window") and raw.get("use_sliding_window", raw["model_type"] == "mistral"):
        raise ModelError("sliding-window attention is not computed")


def _rope(raw: dict[str, Any]) -> dict[str, Any]:
    rope = raw.get("rope_parameters") or raw.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind not in ROPE_TYPES:
        raise ModelError(f"rope type {kind!r}; known are {ROPE_TYPES}")
    return dict(rope)


def _scaling(rope: dict[str, Any]) -> RopeScaling | None:
    if rope.get("rope_type") != "llama3":
        return None
    return RopeScaling(
        factor=float(rope["factor"]),
        low_frequency_factor=float(rope["low_freq_factor"]),
        high_frequency_factor=float(rope["high_freq_factor"]),
        original_context=int(rope["original_max_position_embeddings"]),
    )
