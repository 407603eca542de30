"""A tiny sentence model of random weights, written as a sentence-transformers directory."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from tests.supplier.engines.parts import encode_safetensors

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat", "sat", "##s", "a", "dog", "ran", "."]
HIDDEN, INNER, LAYERS, HEADS, CONTEXT = 16, 24, 2, 4, 12
CONFIG: dict[str, Any] = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "vocab_size": len(WORDS),
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "max_position_embeddings": 20,
    "layer_norm_eps": 1e-12,
}
POOLING = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
MODULES = [{"type": f"sentence_transformers.models.{name}"}
           for name in ("Transformer", "Pooling", "Normalize")]  # fmt: skip


def sentence_tokenizer() -> bytes:
    """A WordPiece whose file asks for truncation and padding, as published ones do."""
    vocabulary = {word: index for index, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.add_special_tokens(WORDS[:4])
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=5)
    return tokenizer.to_str().encode()


def write_sentence_model(directory: Path, **changes: Any) -> dict[str, np.ndarray]:
    """Write the model; return its tensors. `changes` go into config.json."""
    files: dict[str, Any] = {
        "config.json": {**CONFIG, **changes},
        "sentence_bert_config.json": {"max_seq_length": CONTEXT},
        "modules.json": MODULES,
        "1_Pooling/config.json": POOLING,
    }
    (directory / "1_Pooling").mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (directory / name).write_text(json.dumps(value))
    (directory / "tokenizer.json").write_bytes(sentence_tokenizer())
    tensors = random_tensors()
    (directory / "model.safetensors").write_bytes(encode_safetensors(tensors, "F32"))
    return tensors


def random_tensors() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(5)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(WORDS), HIDDEN),
        "embeddings.position_embeddings.weight": (20, HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, HIDDEN),
    }
    norms = ["embeddings.LayerNorm"]
    for index in range(LAYERS):
        prefix = f"encoder.layer.{index}."
        denses = {f"attention.self.{each}": (HIDDEN, HIDDEN) for each in ("query", "key", "value")}
        denses |= {"attention.output.dense": (HIDDEN, HIDDEN)}
        denses |= {"intermediate.dense": (INNER, HIDDEN), "output.dense": (HIDDEN, INNER)}
        for name, shape in denses.items():
            shapes |= {f"{prefix}{name}.weight": shape, f"{prefix}{name}.bias": shape[:1]}
        norms += [f"{prefix}attention.output.LayerNorm", f"{prefix}output.LayerNorm"]
    for name in norms:
        shapes |= {f"{name}.weight": (HIDDEN,), f"{name}.bias": (HIDDEN,)}
    return {
        name: (draw.standard_normal(shape) * 0.4).astype(np.float32)
        for name, shape in shapes.items()
    }
