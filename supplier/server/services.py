"""What the served services show of themselves, and how their prompts are counted."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from node.errors import OperatorError
from relay_mining import Recounter, RelayMiningError, read_conversation
from supplier.engines.spec import (
    EngineSpec,
    ServiceSpec,
    compute_service_spec,
    encode_service_spec,
    read_model_files,
    read_task,
)
from supplier.engines.tail.spec import TailServiceSpec, compute_tail_spec
from supplier.errors import MalformedRelayError
from supplier.server.admission import Demand
from supplier.server.endpoints import DemandCounter, ServiceFace
from supplier.server.tails import build_tail_face
from supplier.server.usage import CHAT_PATH, EMBEDDINGS_PATH, RelayBody
from supplier.settings import EngineSettings


class UncountedPrompts:
    """Bounds answers only: the prompt is the engine's to count."""

    def __init__(self, context_length: int) -> None:
        self._context_length = context_length

    def demand(self, path: str, body: RelayBody) -> Demand:
        """The most output of a request."""
        return body.demand(0, self._context_length)


class ServicePromptCounter:
    """Counts prompts with the service's own tokenizer and template."""

    def __init__(self, recounter: Recounter, adds: dict[str, bool], context_length: int) -> None:
        """`adds`: the spec's `add_special_tokens`."""
        self._recounter = recounter
        self._adds = adds
        self._context_length = context_length

    def demand(self, path: str, body: RelayBody) -> Demand:
        """The prompt as counted and the most output; raises MalformedRelayError."""
        return body.demand(self.count(path, body.parsed), self._context_length)

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
    directory = Path(settings.model)
    engine = EngineSpec(
        name=settings.served_model_name,
        kind=settings.kind,
        version=settings.version,
        context_length=settings.context_length,
        dtype=settings.dtype,
        quantization=settings.quantization,
    )
    try:
        if read_task((directory / "config.json").read_bytes()) == "edge":
            return compute_tail_spec(directory, engine)
        return compute_service_spec(directory, engine)
    except (OSError, ValueError) as error:
        raise OperatorError(
            f"engine.model has to be a model's directory, {settings.model!r} is not: {error}"
        ) from error


def build_face(settings: EngineSettings) -> tuple[ServiceFace, ServiceSpec]:
    """The face of the model in the settings, and its spec."""
    spec = compute_spec(settings)
    directory = Path(settings.model)
    if isinstance(spec, TailServiceSpec):
        return build_tail_face(directory, spec), spec
    files = read_model_files(directory)
    shown = {
        "tokenizer.json": files.tokenizer,
        "chat_template.jinja": files.chat_template,
        "config.json": files.config,
        "generation_config.json": files.generation_config,
        "tokenizer_config.json": files.tokenizer_config,
    }
    counter: DemandCounter = UncountedPrompts(spec.context_length)
    if settings.count_prompts:
        template = files.chat_template.decode() if files.chat_template else None
        recounter = Recounter(files.tokenizer, template, spec.special_tokens)
        counter = ServicePromptCounter(recounter, spec.add_special_tokens, spec.context_length)
    return ServiceFace(encode_service_spec(spec), shown, counter), spec
