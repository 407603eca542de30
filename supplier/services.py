"""What the served services show of themselves, and how their prompts are counted."""

from pathlib import Path
from typing import Any

import orjson

from node.errors import OperatorError
from relay_mining import Recounter, RelayMiningError
from supplier.endpoints import ServiceFace
from supplier.engines.spec import (
    EngineSpec,
    ServiceSpec,
    compute_service_spec,
    encode_service_spec,
    read_model_files,
)
from supplier.errors import MalformedRelayError
from supplier.settings import EngineSettings


class ServicePromptCounter:
    """Counts prompts with the service's own tokenizer and template."""

    def __init__(self, recounter: Recounter) -> None:
        self._recounter = recounter

    def count(self, path: str, body: dict[str, Any]) -> int:
        """Prompt tokens of a request body; raises MalformedRelayError."""
        try:
            if path.endswith("/chat/completions"):
                return self._recounter.count_prompt(_messages(body.get("messages")))
            return sum(self._recounter.count_prompt(each) for each in _prompts(body.get("prompt")))
        except (RelayMiningError, ValueError, TypeError) as error:
            raise MalformedRelayError(f"the prompt cannot be counted: {error}") from error


def _messages(messages: Any) -> list[dict[str, Any]]:
    if not isinstance(messages, list) or not all(isinstance(each, dict) for each in messages):
        raise MalformedRelayError("messages is not a list of messages")
    return messages


def _prompts(prompt: Any) -> list[Any]:
    if isinstance(prompt, str):
        return [prompt]
    if not isinstance(prompt, list) or not prompt:
        raise MalformedRelayError("prompt is neither text nor a list")
    return prompt if isinstance(prompt[0], str | list) else [prompt]


def compute_spec(settings: EngineSettings) -> ServiceSpec:
    """The spec of the model in the settings; raises OperatorError where it is not there."""
    engine = EngineSpec(
        name=settings.served_model_name,
        kind=settings.kind,
        version=settings.version,
        context_length=settings.context_length,
        dtype=settings.dtype,
        quantization=settings.quantization,
    )
    try:
        return compute_service_spec(Path(settings.model), engine)
    except (OSError, ValueError) as error:
        raise OperatorError(
            f"engine.model has to be a model's directory, {settings.model!r} is not: {error}"
        ) from error


def build_face(settings: EngineSettings) -> tuple[ServiceFace, ServiceSpec]:
    """The face of the model in the settings, and its spec."""
    spec = compute_spec(settings)
    directory = Path(settings.model)
    files = read_model_files(directory)
    shown = {
        "tokenizer.json": files.tokenizer,
        "chat_template.jinja": files.chat_template,
        "config.json": files.config,
        "generation_config.json": files.generation_config,
    }
    special = directory / "tokenizer_config.json"
    if special.is_file():
        shown["tokenizer_config.json"] = special.read_bytes()
    counter = None
    if settings.count_prompts:
        template = files.chat_template.decode() if files.chat_template else None
        tokens = _special_tokens(shown.get("tokenizer_config.json", b"{}"))
        counter = ServicePromptCounter(Recounter(files.tokenizer, template, tokens))
    face = ServiceFace(encode_service_spec(spec), shown, spec.context_length, counter)
    return face, spec


def _special_tokens(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in orjson.loads(data).items():
        text = value.get("content") if isinstance(value, dict) else value
        if name.endswith("_token") and isinstance(text, str):
            found[name] = text
    return found
