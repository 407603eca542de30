"""The demo model, and tiny models of random weights written as Hugging Face directories."""

import json
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from supplier.engines.embedded.model import Model, load_model
from supplier.engines.embedded.scheduler import Scheduler
from supplier.engines.embedded.sequence import Job, Sequence, TokenEvent
from supplier.engines.embedded.tokenizer import TextTokenizer, load_tokenizer

ROOT = Path(__file__).resolve().parents[3]
DEMO = ROOT / "models" / "demo"
END = 2  # <|im_end|>


@contextmanager
def engine(model: Path, *arguments: str) -> Iterator[httpx.Client]:
    """Run an engine; yield a client of it; expect a clean end on SIGTERM."""
    command = [sys.executable, "-m", "supplier.engines.embedded", str(model), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True)
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        with httpx.Client(base_url=f"http://127.0.0.1:{ready['port']}", timeout=60) as client:
            yield client
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@cache
def demo_model() -> Model:
    return load_model(DEMO)


@cache
def demo_tokenizer() -> TextTokenizer:
    return load_tokenizer(DEMO)


def encode(text: str) -> tuple[int, ...]:
    return tuple(demo_tokenizer().encode(text, add_special_tokens=False))


def ask(question: str) -> tuple[int, ...]:
    return encode(f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n")


def run_jobs(*jobs: Job, slots: int = 16) -> list[list[TokenEvent]]:
    """Return the events of each job, all run at once."""
    scheduler = Scheduler(demo_model(), slots)
    sequences = [Sequence(job, demo_tokenizer()) for job in jobs]
    for sequence in sequences:
        scheduler.add(sequence)
    events: dict[Sequence, list[TokenEvent]] = {sequence: [] for sequence in sequences}
    while scheduler.running or scheduler.waiting:
        for sequence, event in scheduler.step():
            events[sequence].append(event)
    return list(events.values())


def tokens_of(events: list[TokenEvent]) -> list[int | None]:
    return [event.token for event in events]


def text_of(events: list[TokenEvent]) -> str:
    return "".join(event.text for event in events)


CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 48,
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 300,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
}


def write_model(
    directory: Path, *, dtype: str = "F32", bias: bool = False, **changes: Any
) -> dict[str, np.ndarray]:
    """Write a model of random weights; return its tensors as float32."""
    config = {**CONFIG, **changes}
    (directory / "config.json").write_text(json.dumps(config))
    tensors = random_tensors(config, bias)
    (directory / "model.safetensors").write_bytes(encode_safetensors(tensors, dtype))
    return tensors


def random_tensors(config: dict[str, Any], bias: bool) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(7)
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    width = hidden // config["num_attention_heads"]
    keys = width * config["num_key_value_heads"]

    def matrix(*shape: int) -> np.ndarray:
        return (draw.standard_normal(shape) * 0.2).astype(np.float32)

    tensors = {
        "model.embed_tokens.weight": matrix(config["vocab_size"], hidden),
        "lm_head.weight": matrix(config["vocab_size"], hidden),
        "model.norm.weight": 1 + matrix(hidden),
    }
    for index in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{index}."
        tensors |= {
            f"{prefix}input_layernorm.weight": 1 + matrix(hidden),
            f"{prefix}post_attention_layernorm.weight": 1 + matrix(hidden),
            f"{prefix}self_attn.q_proj.weight": matrix(hidden, hidden),
            f"{prefix}self_attn.k_proj.weight": matrix(keys, hidden),
            f"{prefix}self_attn.v_proj.weight": matrix(keys, hidden),
            f"{prefix}self_attn.o_proj.weight": matrix(hidden, hidden),
            f"{prefix}mlp.gate_proj.weight": matrix(inner, hidden),
            f"{prefix}mlp.up_proj.weight": matrix(inner, hidden),
            f"{prefix}mlp.down_proj.weight": matrix(hidden, inner),
        }
        if bias:
            tensors |= {
                f"{prefix}self_attn.q_proj.bias": matrix(hidden),
                f"{prefix}self_attn.k_proj.bias": matrix(keys),
                f"{prefix}self_attn.v_proj.bias": matrix(keys),
            }
    return tensors


def encode_safetensors(tensors: dict[str, np.ndarray], dtype: str) -> bytes:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, tensor in tensors.items():
        if dtype == "BF16":
            raw = (tensor.view(np.uint32) >> 16).astype("<u2").tobytes()
        else:
            raw = tensor.astype({"F32": "<f4", "F16": "<f2"}[dtype]).tobytes()
        offsets = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": offsets}
        data += raw
    encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + data
