"""The digest of what is served: canonical, and moved by every file that matters."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from supplier import engines
from supplier.engines import (
    EngineSpec,
    compute_service_spec,
    encode_service_spec,
    hash_service_spec,
    read_model_files,
)
from tests.supplier.engines.parts import DEMO

ENGINE = EngineSpec("lode-demo", "embedded")


def spec_hash(directory: Path) -> bytes:
    return hash_service_spec(compute_service_spec(directory, ENGINE))


def test_the_demo_model_s_spec_is_canonical() -> None:
    spec = compute_service_spec(DEMO, ENGINE)
    encoded = encode_service_spec(spec)
    values = json.loads(encoded)
    assert encoded == json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
    assert set(values) == {
        "context_length", "chat_template_sha256", "tokenizer_sha256", "weights_sha256", "dtype",
        "quantization", "engine", "engine_version", "name", "generation_config_sha256",
        "task", "special_tokens", "add_special_tokens",
    }  # fmt: skip
    assert values["task"] == "generate"
    assert values["special_tokens"] == {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    assert values["add_special_tokens"] == {"chat": False, "prompt": True}
    assert (values["context_length"], values["dtype"]) == (1024, "bfloat16")
    for name, file in (("weights", "model.safetensors"), ("tokenizer", "tokenizer.json")):
        digest = hashlib.sha256((DEMO / file).read_bytes()).hexdigest()
        assert values[f"{name}_sha256"] == digest
    assert hash_service_spec(spec) == hashlib.sha256(encoded).digest()


@pytest.mark.parametrize(
    "file",
    ["model.safetensors", "tokenizer.json", "chat_template.jinja", "generation_config.json"],
)
def test_every_file_moves_the_hash(tmp_path: Path, file: str) -> None:
    directory = tmp_path / "model"
    shutil.copytree(DEMO, directory)
    assert spec_hash(directory) == spec_hash(DEMO)
    path = directory / file
    path.write_bytes(path.read_bytes() + b" ")
    assert spec_hash(directory) != spec_hash(DEMO)


def test_a_special_token_moves_the_hash(tmp_path: Path) -> None:
    directory = tmp_path / "model"
    shutil.copytree(DEMO, directory)
    (directory / "tokenizer_config.json").write_text('{"eos_token": {"content": "</s>"}, "x": 1}')
    assert compute_service_spec(directory, ENGINE).special_tokens == {"eos_token": "</s>"}
    assert spec_hash(directory) != spec_hash(DEMO)


def test_optional_files_may_be_absent_and_a_template_inside(tmp_path: Path) -> None:
    directory = tmp_path / "model"
    shutil.copytree(DEMO, directory)
    template = (directory / "chat_template.jinja").read_bytes()
    (directory / "chat_template.jinja").unlink()
    (directory / "generation_config.json").unlink()
    assert read_model_files(directory).chat_template == b""
    spec = compute_service_spec(directory, replace(ENGINE, context_length=512))
    assert spec.context_length == 512
    assert spec.generation_config_sha256 == hashlib.sha256(b"").hexdigest()
    inside = json.dumps({"chat_template": template.decode()})
    (directory / "tokenizer_config.json").write_text(inside)
    assert read_model_files(directory).chat_template == template


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"}, {"kind": "vllm"}, {"version": "0.32"}, {"context_length": 512},
        {"dtype": "float32"}, {"quantization": "fp8"},
    ],
    ids=str,
)  # fmt: skip
def test_everything_stated_of_the_engine_moves_the_hash(changes: dict[str, Any]) -> None:
    spec = compute_service_spec(DEMO, replace(ENGINE, **changes))
    assert hash_service_spec(spec) != spec_hash(DEMO)


def test_a_quantized_model_says_so_itself(tmp_path: Path) -> None:
    directory = tmp_path / "model"
    shutil.copytree(DEMO, directory)
    config = json.loads((directory / "config.json").read_bytes())
    config["quantization_config"] = {"quant_method": "awq", "bits": 4}
    (directory / "config.json").write_text(json.dumps(config))
    assert compute_service_spec(directory, ENGINE).quantization == "awq"


def test_weights_in_several_files_have_one_digest(tmp_path: Path) -> None:
    directory = tmp_path / "model"
    shutil.copytree(DEMO, directory)
    shutil.copy(directory / "model.safetensors", directory / "more.safetensors")
    assert spec_hash(directory) != spec_hash(DEMO)
    for path in directory.glob("*.safetensors"):
        path.unlink()
    with pytest.raises(FileNotFoundError):
        spec_hash(directory)


def test_weights_may_be_gguf_where_there_are_no_others(tmp_path: Path) -> None:
    directory = tmp_path / "model"
    shutil.copytree(DEMO, directory)
    gguf = directory / "model-q4.gguf"
    gguf.write_bytes(b"GGUF of four bits")
    assert spec_hash(directory) == spec_hash(DEMO)
    (directory / "model.safetensors").unlink()

    spec = compute_service_spec(directory, ENGINE)

    assert spec.weights_sha256 == hashlib.sha256(b"GGUF of four bits").hexdigest()


def test_the_door_says_what_it_exports() -> None:
    assert all(hasattr(engines, name) for name in engines.__all__)
