"""Renders messages to the prompt a chat model was trained on, in a sandbox."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Template, TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from supplier.engines.embedded.errors import ModelError, RequestError
from supplier.engines.spec import read_model_files

__all__ = ["ChatTemplate", "load_chat_template"]

SPECIAL_NAMES = ("bos_token", "eos_token", "unk_token", "pad_token")


def load_chat_template(directory: Path) -> "ChatTemplate | None":
    """Return the chat template of a model directory, None where it has none."""
    source = read_model_files(directory).chat_template.decode()
    if not source:
        return None
    path = directory / "tokenizer_config.json"
    settings = json.loads(path.read_bytes()) if path.is_file() else {}
    try:
        return ChatTemplate(source, _special_tokens(settings))
    except TemplateError as error:
        raise ModelError(f"the chat template is broken: {error}") from error


class ChatTemplate:
    """A compiled template and the special tokens it may name."""

    def __init__(self, source: str, special_tokens: dict[str, str]) -> None:
        self._template = _compile(source)
        self._special_tokens = special_tokens

    def render(
        self, messages: Sequence[dict[str, Any]], *, add_generation_prompt: bool = True
    ) -> str:
        """Return the prompt text; RequestError where the template refuses the messages."""
        try:
            return self._template.render(
                messages=messages,
                add_generation_prompt=add_generation_prompt,
                tools=None,
                **self._special_tokens,
            )
        except (TemplateError, TypeError) as error:
            raise RequestError(f"the chat template refuses this: {error}", "messages") from error


def _compile(source: str) -> Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.globals["raise_exception"] = _raise_exception
    environment.filters["tojson"] = _to_json
    return environment.from_string(source)


def _raise_exception(message: str) -> str:
    raise TemplateError(message)


def _to_json(value: object, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _special_tokens(settings: dict[str, Any]) -> dict[str, str]:
    """Return the special tokens by name, "" for those not stated."""
    tokens = {name: settings.get(name) for name in SPECIAL_NAMES}
    return {
        name: str(token.get("content", "")) if isinstance(token, dict) else str(token or "")
        for name, token in tokens.items()
    }
