"""Renders messages to the prompt a chat model was trained on: the template recounts are made with.

The engine and whoever counts after it use one rendering, so that the two agree.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

from relay_mining import ChatTemplate, Conversation, TemplateError
from supplier.engines.embedded.errors import ModelError, RequestError
from supplier.engines.spec import read_model_files, read_special_tokens

__all__ = ["load_chat_template", "render_chat"]


def load_chat_template(directory: Path) -> ChatTemplate | None:
    """Return the chat template of a model directory, None where it has none."""
    files = read_model_files(directory)
    if not files.chat_template:
        return None
    special_tokens = read_special_tokens(files.tokenizer_config)
    try:
        return ChatTemplate(files.chat_template.decode(), special_tokens)
    except TemplateError as error:
        raise ModelError(f"the chat template is broken: {error}") from error


def render_chat(
    template: ChatTemplate, messages: list[dict[str, Any]], *, add_generation_prompt: bool
) -> str:
    """Return the prompt text; RequestError where the template refuses the messages."""
    conversation = Conversation(tuple(messages))
    try:
        return template.render(
            conversation,
            add_generation_prompt=add_generation_prompt,
            now=datetime.now().astimezone(),
        )
    except TemplateError as error:
        raise RequestError(f"the chat template refuses this: {error}", "messages") from error
