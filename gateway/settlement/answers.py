"""What an answer says it contains, read off the latency path: speech and token ids by choice."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from relay_mining import Speech, ToolCall

INDEX_MAX = 4096
"""Beyond this no choice, tool call or vector is asked for."""
TEXT_FIELDS = ("content", "text")
REASONING_FIELDS = ("reasoning", "reasoning_content")
"""The two names of one thing; an answer with both says it once."""


@dataclass(slots=True)
class Choice:
    """One answer: its parts, and its token ids where every part of it carried them."""

    content: str = ""
    reasoning: str = ""
    token_ids: list[int] | None = field(default_factory=list)
    finish: str = ""
    """Why it ended, by its own word."""
    _calls: dict[int, tuple[str, str]] = field(default_factory=dict)

    def extend(self, part: Mapping[str, Any], token_ids: object) -> None:
        """Add one part; a part that says something without ids leaves the choice without ids."""
        content = _first_text(part, TEXT_FIELDS)
        reasoning = _first_text(part, REASONING_FIELDS)
        calls = part.get("tool_calls")
        self.content += content
        self.reasoning += reasoning
        for place, call in enumerate(calls if isinstance(calls, list) else ()):
            self._extend_call(place, call)
        if self.token_ids is None:
            return
        if isinstance(token_ids, list) and all(type(each) is int for each in token_ids):
            self.token_ids += token_ids
        elif content or reasoning or calls:
            self.token_ids = None

    def _extend_call(self, place: int, call: Any) -> None:
        if not isinstance(call, dict):
            return
        index, function = call.get("index", place), call.get("function")
        if type(index) is not int or not 0 <= index < INDEX_MAX or not isinstance(function, dict):
            return
        name, arguments = self._calls.get(index, ("", ""))
        name += _first_text(function, ("name",))
        self._calls[index] = (name, arguments + _first_text(function, ("arguments",)))

    @property
    def speech(self) -> Speech:
        """What the choice says, without its ids."""
        calls = tuple(ToolCall(*self._calls[index]) for index in sorted(self._calls))
        return Speech(self.content, self.reasoning, calls)


def read_choices(answer: bytes, is_stream: bool) -> dict[int, Choice]:
    """The choices of a plain answer or of a stream's events by index; what does not parse is not
    there."""
    choices: dict[int, Choice] = {}
    for part in _stream_parts(answer) if is_stream else [answer]:
        for each, index in _indexed(part, "choices"):
            said = each.get("message") or each.get("delta") or each
            choice = choices.setdefault(index, Choice())
            choice.extend(said if isinstance(said, dict) else {}, each.get("token_ids"))
            choice.finish = _first_text(each, ("finish_reason",)) or choice.finish
    return choices


def read_vector_indices(answer: bytes) -> frozenset[int]:
    """Which inputs an embeddings answer has a vector for."""
    return frozenset(index for each, index in _indexed(answer, "data") if each.get("embedding"))


def _indexed(part: bytes, name: str) -> list[tuple[dict[str, Any], int]]:
    """The objects of a list by name, each with the index it states."""
    try:
        parsed = orjson.loads(part)
    except orjson.JSONDecodeError:
        return []
    found = parsed.get(name) if isinstance(parsed, dict) else None
    objects = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    pairs = [(each, each.get("index", 0)) for each in objects]
    return [(each, i) for each, i in pairs if type(i) is int and 0 <= i < INDEX_MAX]


def _stream_parts(answer: bytes) -> list[bytes]:
    return [each[6:] for each in answer.split(b"\n\n") if each.startswith(b"data: {")]


def _first_text(part: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((value for name in names if isinstance(value := part.get(name), str) and value), "")
