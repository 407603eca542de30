"""The service spec: what a model directory serves, as canonical JSON and its digest.

The digest stands in the service's id on the chain, so other weights, another template or another
context length are another service.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

__all__ = [
    "EngineSpec",
    "ModelFiles",
    "ServiceSpec",
    "compute_service_spec",
    "encode_service_spec",
    "hash_service_spec",
    "read_model_files",
    "read_special_tokens",
    "read_task",
]

READ_BYTES = 1 << 20
TASKS: dict[str, "Task"] = {"bert": "embed", "multi_exit": "edge"}
"""By the model type of config.json; every other one generates."""
ADDED_SPECIAL_TOKENS = {"chat": False, "prompt": True}
"""As vLLM and the embedded engine do: a chat template writes its own, a prompt gets them."""

Task = Literal["generate", "embed", "edge"]


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """What is served: digests are sha256 in hex; a file that is absent has the digest of b"".

    `special_tokens` are the strings the chat template calls by name, `add_special_tokens` whether
    the engine has the tokenizer add its own to a rendered `chat` and to a `prompt`.
    """

    context_length: int
    chat_template_sha256: str
    tokenizer_sha256: str
    weights_sha256: str
    dtype: str
    quantization: str
    """The method, "" for none."""
    engine: str
    engine_version: str
    """The release, as "0.32"; "" for any."""
    name: str
    generation_config_sha256: str
    task: Task
    special_tokens: dict[str, str]
    add_special_tokens: dict[str, bool]


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The small files of a model directory, as bytes: what a recount needs and a spec digests."""

    config: bytes
    tokenizer: bytes
    chat_template: bytes
    generation_config: bytes
    tokenizer_config: bytes


def read_model_files(directory: Path) -> ModelFiles:
    """Return the small files of a Hugging Face directory; b"" for optional ones that are absent.

    The chat template is `chat_template.jinja`, else the `chat_template` of
    `tokenizer_config.json`. Raises FileNotFoundError without config.json or tokenizer.json.
    """
    return ModelFiles(
        config=(directory / "config.json").read_bytes(),
        tokenizer=(directory / "tokenizer.json").read_bytes(),
        chat_template=_read_chat_template(directory),
        generation_config=_read_optional(directory / "generation_config.json"),
        tokenizer_config=_read_optional(directory / "tokenizer_config.json"),
    )


def read_special_tokens(tokenizer_config: bytes) -> dict[str, str]:
    """Return the special tokens that tokenizer_config.json states, by name (`bos_token`)."""
    named: dict[str, str] = {}
    for name, value in json.loads(tokenizer_config or b"{}").items():
        text = value.get("content") if isinstance(value, dict) else value
        if name.endswith("_token") and isinstance(text, str):
            named[name] = text
    return named


def read_task(config: bytes) -> Task:
    """Return what the model of a config.json is for."""
    raw = json.loads(config)
    kind = raw.get("model_type") if isinstance(raw, dict) else None
    return TASKS.get(str(kind), "generate")


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """What an operator says of the engine; None and "" leave it to the model's config.json."""

    name: str
    kind: str
    version: str = ""
    context_length: int | None = None
    """In tokens, where the engine runs with less than the model's own."""
    dtype: str = ""
    quantization: str = ""


def compute_service_spec(directory: Path, engine: EngineSpec) -> ServiceSpec:
    """Return the spec of the model in `directory` served by `engine`.

    Raises FileNotFoundError without weights (safetensors, else GGUF), ValueError where
    config.json states no context length.
    """
    files = read_model_files(directory)
    config: dict[str, Any] = json.loads(files.config)
    return ServiceSpec(
        context_length=_context_length(directory, config, engine.context_length),
        chat_template_sha256=_sha256(files.chat_template),
        tokenizer_sha256=_sha256(files.tokenizer),
        weights_sha256=_hash_weights(directory),
        dtype=engine.dtype or str(config.get("dtype") or config.get("torch_dtype") or "float32"),
        quantization=engine.quantization or _quantization(config),
        engine=engine.kind,
        engine_version=engine.version,
        name=engine.name,
        generation_config_sha256=_sha256(files.generation_config),
        task=read_task(files.config),
        special_tokens=read_special_tokens(files.tokenizer_config),
        add_special_tokens=ADDED_SPECIAL_TOKENS,
    )


def encode_service_spec(spec: ServiceSpec) -> bytes:
    """Return the canonical bytes of a spec: JSON, sorted keys, no spaces, ASCII."""
    return json.dumps(asdict(spec), sort_keys=True, separators=(",", ":")).encode("ascii")


def hash_service_spec(spec: ServiceSpec) -> bytes:
    """Return the spec hash: sha256 of the canonical bytes (32 bytes)."""
    return hashlib.sha256(encode_service_spec(spec)).digest()


def _context_length(directory: Path, config: dict[str, Any], limit: int | None) -> int:
    """Tokens of context; a sentence model's are those it was trained on."""
    own = config.get("max_position_embeddings")
    if not isinstance(own, int) or own < 1:
        raise ValueError("config.json states no max_position_embeddings")
    sentences = json.loads(_read_optional(directory / "sentence_bert_config.json") or b"{}")
    return min(own, int(sentences.get("max_seq_length") or own), limit or own)


def _quantization(config: dict[str, Any]) -> str:
    stated = config.get("quantization_config")
    return str(stated.get("quant_method", "")) if isinstance(stated, dict) else ""


def _read_chat_template(directory: Path) -> bytes:
    template = _read_optional(directory / "chat_template.jinja")
    if template:
        return template
    settings = json.loads(_read_optional(directory / "tokenizer_config.json") or b"{}")
    text = settings.get("chat_template")
    return text.encode() if isinstance(text, str) else b""


def _read_optional(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _hash_weights(directory: Path) -> str:
    """Return the digest of one weights file, or of the lines `digest  name` of several."""
    paths = sorted(directory.glob("*.safetensors")) or sorted(directory.glob("*.gguf"))
    if not paths:
        raise FileNotFoundError(f"no *.safetensors and no *.gguf in {directory}")
    digests = [_hash_file(path) for path in paths]
    if len(paths) == 1:
        return digests[0]
    lines = [f"{digest}  {path.name}\n" for digest, path in zip(digests, paths, strict=True)]
    return _sha256("".join(lines).encode())


def _hash_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
