"""The arithmetic: against a plain rewriting of it, and to the bit alone and in a batch."""

import json
from pathlib import Path

import numpy as np
import pytest

from supplier.engines.embedded.cache import KeyValueCache
from supplier.engines.embedded.config import RopeScaling, load_config
from supplier.engines.embedded.errors import ModelError
from supplier.engines.embedded.model import CHUNK_TOKENS, ROWS, Model, load_model
from supplier.engines.embedded.rope import compute_rotations
from tests.supplier.engines.parts import CONFIG, demo_model, encode_safetensors, write_model


def full_logits(model: Model, tokens: list[int]) -> np.ndarray:
    """Return logits of every position, each chunk's from a fresh cache."""
    cache = KeyValueCache(model.config, 1)
    parts = [
        model.prefill(tokens[start : start + CHUNK_TOKENS], start, 0, cache)
        for start in range(0, len(tokens), CHUNK_TOKENS)
    ]
    return model.compute_logits(np.concatenate(parts))


def plain_logits(tensors: dict[str, np.ndarray], tokens: list[int]) -> np.ndarray:
    """Return logits [tokens, vocabulary] of the model in `CONFIG`, head by head, in float64."""
    width, count = 8, len(tokens)
    weight = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}

    def norm(rows: np.ndarray, scale: np.ndarray) -> np.ndarray:
        return rows / np.sqrt((rows**2).mean(-1, keepdims=True) + 1e-5) * scale

    def turn(rows: np.ndarray) -> np.ndarray:
        rate = 10000.0 ** (-np.arange(0, width, 2) / width)
        point = rows[:, : width // 2] + 1j * rows[:, width // 2 :]
        point = point * np.exp(1j * np.outer(np.arange(count), rate))
        return np.concatenate([point.real, point.imag], 1)

    x = weight["model.embed_tokens.weight"][tokens]
    for index in range(2):
        name = f"model.layers.{index}."
        y = norm(x, weight[name + "input_layernorm.weight"])
        q, k, v = (
            y @ weight[f"{name}self_attn.{p}_proj.weight"].T
            + weight.get(f"{name}self_attn.{p}_proj.bias", 0)
            for p in "qkv"
        )
        heads = []
        for head in range(4):
            group = slice(head // 2 * width, (head // 2 + 1) * width)
            own = slice(head * width, (head + 1) * width)
            scores = turn(q[:, own]) @ turn(k[:, group]).T / np.sqrt(width)
            scores[np.triu_indices(count, 1)] = -np.inf
            shares = np.exp(scores - scores.max(-1, keepdims=True))
            heads.append(shares / shares.sum(-1, keepdims=True) @ v[:, group])
        x = x + np.concatenate(heads, 1) @ weight[name + "self_attn.o_proj.weight"].T
        y = norm(x, weight[name + "post_attention_layernorm.weight"])
        gate = y @ weight[name + "mlp.gate_proj.weight"].T
        inner = gate / (1 + np.exp(-gate)) * (y @ weight[name + "mlp.up_proj.weight"].T)
        x = x + inner @ weight[name + "mlp.down_proj.weight"].T
    return norm(x, weight["model.norm.weight"]) @ weight["lm_head.weight"].T


@pytest.mark.parametrize(("bias", "kind"), [(False, "llama"), (True, "qwen2")])
def test_logits_equal_a_plain_rewriting(tmp_path: Path, bias: bool, kind: str) -> None:
    tensors = write_model(tmp_path, bias=bias, model_type=kind)
    tokens = [int(t) for t in np.random.default_rng(1).integers(0, 48, CHUNK_TOKENS + 12)]
    got = full_logits(load_model(tmp_path), tokens)
    np.testing.assert_allclose(got, plain_logits(tensors, tokens), rtol=1e-3, atol=1e-4)


def test_cached_decoding_equals_computing_all_anew() -> None:
    model = demo_model()
    tokens = list(range(300, 300 + CHUNK_TOKENS + 9))
    anew = full_logits(model, tokens)
    cache = KeyValueCache(model.config, 1)
    for position, token in enumerate(tokens):
        logits = model.decode([token], [position], [0], cache)
        np.testing.assert_allclose(logits[0], anew[position], rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("others", [0, 1, ROWS - 1, ROWS, 2 * ROWS])
def test_a_row_has_the_same_bits_in_any_company(others: int) -> None:
    model = demo_model()
    count = others + 1
    cache = KeyValueCache(model.config, count)
    for slot in range(count):
        model.prefill(list(range(slot + 5)), 0, slot, cache)
    model.prefill([400, 401, 402], 0, others, cache)
    alone = model.decode([77], [3], [others], cache)
    together = model.decode(
        [slot + 9 for slot in range(others)] + [77],
        [slot + 5 for slot in range(others)] + [3],
        list(range(count)),
        cache,
    )
    np.testing.assert_array_equal(together[others], alone[0])


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_half_precision_weights_are_read(tmp_path: Path, dtype: str) -> None:
    tensors = write_model(tmp_path, dtype=dtype)
    got = full_logits(load_model(tmp_path), [1, 2, 3])
    np.testing.assert_allclose(got, plain_logits(tensors, [1, 2, 3]), atol=0.15)


def test_context_is_cut_to_the_limit(tmp_path: Path) -> None:
    write_model(tmp_path)
    assert load_model(tmp_path, 17).config.context == 17
    assert load_model(tmp_path, 10**6).config.context == 300


def test_low_frequencies_are_stretched_and_high_ones_kept(tmp_path: Path) -> None:
    scaling = {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 128,
    }  # fmt: skip
    write_model(tmp_path, rope_scaling=scaling)
    config = load_config(tmp_path)
    assert config.rope_scaling == RopeScaling(8.0, 1.0, 4.0, 128)
    cosines, _ = compute_rotations(config)
    np.testing.assert_allclose(cosines[1, 0], np.cos(1.0), rtol=1e-6)
    np.testing.assert_allclose(cosines[299, 3], np.cos(299 * 1e-3 / 8), rtol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"model_type": "gpt2"},
        {"hidden_act": "gelu"},
        {"rope_scaling": {"rope_type": "yarn", "factor": 2.0}},
        {"vocab_size": 49},
        {"num_key_value_heads": 3},
    ],
)
def test_a_model_not_computed_here_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    write_model(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({**CONFIG, **change}))
    with pytest.raises(ModelError):
        load_model(tmp_path)


@pytest.mark.parametrize("keep", [0, 7, 8, 200, -1])
def test_torn_weights_are_refused(tmp_path: Path, keep: int) -> None:
    write_model(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelError):
        load_model(tmp_path)


def test_unknown_dtype_and_missing_weights_are_refused(tmp_path: Path) -> None:
    tensors = write_model(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(encode_safetensors(tensors, "F32").replace(b'"F32"', b'"I32"'))
    with pytest.raises(ModelError, match="dtype"):
        load_model(tmp_path)
    path.unlink()
    with pytest.raises(ModelError, match="no "):
        load_model(tmp_path)
