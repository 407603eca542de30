"""What the served services show of themselves, and how their prompts are counted."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from node.errors import OperatorError
from relay_mining import Recounter, RelayMiningError, read_conversation
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
from supplier.usage import CHAT_PATH, EMBEDDINGS_PATH


class ServicePromptCounter:
    """Counts prompts with the service's own tokenizer and template."""

    def __init__(self, recounter: Recounter, adds: dict[str, bool]) -> None:
        """`adds`: the spec's `add_special_tokens`."""
        self._recounter = recounter
        self._adds = adds

    def count(self, path: str, body: dict[str, Any]) -> int:
        """Prompt tokens of a request body; raises MalformedRelayError."""
        try:
            if path == CHAT_PATH:
                chat = read_conversation(body)
                return self._recounter.count_chat(
                    chat, now=datetime.now(UTC), add_special_tokens=self._adds["chat"]
                ).tokens
            name = "input" if path == EMBEDDINGS_PATH else "prompt"
            adds = self._adds["prompt"]
            return sum(
                self._recounter.count_prompt(each, add_special_tokens=adds).tokens
                for each in _prompts(body.get(name), name)
            )
        except (RelayMiningError, ValueError, TypeError) as error:
            raise MalformedRelayError(f"the prompt cannot be counted: {error}") from error


def _prompts(prompt: Any, name: str) -> list[Any]:
    if isinstance(prompt, str):
        return [prompt]
    if not isinstance(prompt, list) or not prompt:
        raise MalformedRelayError(f"{name} is neither text nor a list")
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
    files = read_model_files(Path(settings.model))
    shown = {
        "tokenizer.json": files.tokenizer,
        "chat_template.jinja": files.chat_template,
        "config.json": files.config,
        "generation_config.json": files.generation_config,
        "tokenizer_config.json": files.tokenizer_config,
    }
    counter = None
    if settings.count_prompts:
        template = files.chat_template.decode() if files.chat_template else None
        recounter = Recounter(files.tokenizer, template, spec.special_tokens)
        counter = ServicePromptCounter(recounter, spec.add_special_tokens)
    face = ServiceFace(encode_service_spec(spec), shown, spec.context_length, counter)
    return face, spec
