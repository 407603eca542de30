"""The shape of a sentence model, read from the files of sentence-transformers."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supplier.engines.embedded.errors import ModelError

__all__ = ["SentenceConfig", "load_sentence_config"]

MODULES = ("Transformer", "Pooling", "Normalize")
"""What is computed here, in this order."""


@dataclass(frozen=True, slots=True)
class SentenceConfig:
    """Sizes of one model: widths in floats, context in tokens with the special ones."""

    vocabulary: int
    hidden: int
    layers: int
    heads: int
    positions: int
    context: int
    norm_epsilon: float


def load_sentence_config(directory: Path, context_max: int | None = None) -> SentenceConfig:
    """Return the sizes stated in config.json, the context cut to what the model was trained on.

    Raises ModelError for an architecture, pooling or activation that is not computed here.
    """
    raw = _read_object(directory / "config.json")
    _verify_computed(directory, raw)
    positions = int(raw["max_position_embeddings"])
    trained = _read_optional(directory / "sentence_bert_config.json").get("max_seq_length")
    return SentenceConfig(
        vocabulary=int(raw["vocab_size"]),
        hidden=int(raw["hidden_size"]),
        layers=int(raw["num_hidden_layers"]),
        heads=int(raw["num_attention_heads"]),
        positions=positions,
        context=min(positions, int(trained or positions), context_max or positions),
        norm_epsilon=float(raw.get("layer_norm_eps", 1e-12)),
    )


def _verify_computed(directory: Path, raw: dict[str, Any]) -> None:
    if raw.get("model_type") != "bert" or raw.get("hidden_act") != "gelu":
        raise ModelError("only BERT with GELU is computed here")
    if raw.get("position_embedding_type", "absolute") != "absolute":
        raise ModelError("only absolute positions are computed here")
    if int(raw["hidden_size"]) % int(raw["num_attention_heads"]):
        raise ModelError("the hidden width must be a multiple of the heads")
    pooling = _read_object(directory / "1_Pooling" / "config.json")
    modes = {name for name, value in pooling.items() if name.startswith("pooling_mode") and value}
    if modes != {"pooling_mode_mean_tokens"}:
        raise ModelError("only the mean over tokens is pooled here")
    kinds = _read_modules(directory / "modules.json")
    if kinds != MODULES:
        raise ModelError(f"modules {kinds}; computed here are {MODULES}")


def _read_modules(path: Path) -> tuple[str, ...]:
    modules = _read_json(path)
    if not isinstance(modules, list):
        raise ModelError(f"{path.name} is no list")
    return tuple(str(each.get("type")).rsplit(".", 1)[-1] for each in modules)


def _read_optional(path: Path) -> dict[str, Any]:
    return _read_object(path) if path.is_file() else {}


def _read_object(path: Path) -> dict[str, Any]:
    value = _read_json(path)
    if not isinstance(value, dict):
        raise ModelError(f"{path.name} is no JSON object")
    return value


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
