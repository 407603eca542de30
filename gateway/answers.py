"""What an answer says it contains, read off the latency path: text and token ids by choice."""

from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass(slots=True)
class Choice:
    """One answer: its text, and its token ids where every part of it carried them."""

    text: str = ""
    token_ids: list[int] | None = field(default_factory=list)

    def extend(self, text: object, token_ids: object) -> None:
        """Add one part; a part with text and without ids leaves the choice without ids."""
        if isinstance(text, str):
            self.text += text
        if self.token_ids is None:
            return
        if isinstance(token_ids, list) and all(type(each) is int for each in token_ids):
            self.token_ids += token_ids
        elif text:
            self.token_ids = None


def read_choices(answer: bytes, is_stream: bool) -> list[Choice]:
    """The choices of a plain answer or of a stream's events; parts that do not parse are empty."""
    choices: dict[int, Choice] = {}
    for part in _stream_parts(answer) if is_stream else [answer]:
        try:
            parsed = orjson.loads(part)
        except orjson.JSONDecodeError:
            continue
        if isinstance(parsed, dict):
            _read_part(parsed, choices)
    return [choices[index] for index in sorted(choices)]


def _stream_parts(answer: bytes) -> list[bytes]:
    return [each[6:] for each in answer.split(b"\n\n") if each.startswith(b"data: {")]


def _read_part(parsed: dict[str, Any], choices: dict[int, Choice]) -> None:
    raw = parsed.get("choices")
    for each in raw if isinstance(raw, list) else ():
        if not isinstance(each, dict):
            continue
        index = each.get("index", 0)
        if type(index) is not int or not 0 <= index < 4096:
            continue
        message = each.get("message") or each.get("delta") or {}
        text = message.get("content") if isinstance(message, dict) else None
        choice = choices.setdefault(index, Choice())
        choice.extend(text if text is not None else each.get("text"), each.get("token_ids"))
