"""What an answer says, apart from how its model wrote it: content, reasoning, tool calls.

An engine cuts what a model wrote into these parts and drops the marks between them (`<think>`,
`<tool_call>`, braces, quotes). Token ids stand for what was written; this says whether what was
written holds every part of what is said.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

_WORK_MAX = 1 << 28
"""Pieces times characters to be searched, beyond which nothing is proved."""
_INCOMPLETE = "\ufffd"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function's name, and its arguments as the answer's JSON text (or a part of it)."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Speech:
    """One answer as its client reads it."""

    content: str
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether the content is all that was written."""
        return not self.reasoning and not self.calls

    def is_within(self, written: str) -> bool:
        """Return whether `written` holds the reasoning, the content and every call.

        Of a call it holds the name, then each key and text of the arguments in their order, as
        they are or as JSON escapes them: engines write arguments anew, from whatever form the
        model gave them.
        """
        pieces = list(self._pieces())
        if sum(map(len, pieces)) * len(written) > _WORK_MAX:
            return False
        return all(_holds_in_order(written, piece) for piece in pieces)

    def _pieces(self) -> Iterator[list[str]]:
        for text in (self.reasoning, self.content):
            yield [text.rstrip(_INCOMPLETE).strip()]
        for call in self.calls:
            yield [call.name, *_texts(call.arguments)]


def _holds_in_order(written: str, texts: Sequence[str]) -> bool:
    place = 0
    for text in texts:
        found = [(at, len(form)) for form in _forms(text) if (at := written.find(form, place)) >= 0]
        if not found:
            return False
        at, length = min(found)
        place = at + length
    return True


def _forms(text: str) -> set[str]:
    plain = json.dumps(text, ensure_ascii=False)[1:-1]
    return {text, plain, json.dumps(text)[1:-1]}


def _texts(arguments: str) -> list[str]:
    """The keys and texts of a JSON value in their order; the text itself where it is no JSON."""
    try:
        value = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return [arguments.strip()]
    texts: list[str] = []
    stack: list[Any] = [value]
    while stack:
        part = stack.pop()
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict):
            stack += [each for pair in reversed(part.items()) for each in reversed(pair)]
        elif isinstance(part, list):
            stack += reversed(part)
    return texts
