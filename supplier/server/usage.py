"""Reading what the engine says it used: one parse of a plain answer, one of each stream event."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from edge import INFER_PATH
from node.nesting import is_deeper
from relay_mining import UnitWeights
from supplier.errors import MalformedRelayError
from supplier.server.admission import Demand
from supplier.server.scheduling import Priority

CHAT_PATH = "/v1/chat/completions"
COMPLETIONS_PATH = "/v1/completions"
EMBEDDINGS_PATH = "/v1/embeddings"
EDGE_PATH = INFER_PATH
CHOICES_MAX = 128
UINT32_MAX = 2**32 - 1
EVENT_BYTES_MAX = 4 << 20
DEPTH_MAX = 32
BATCH_TIERS = ("flex", "batch")
_DONE = b"[DONE]"
_SPOKEN = ("content", "reasoning", "reasoning_content", "tool_calls")
"""Members of a delta that the engine generated."""


class EngineAnswerError(Exception):
    """The engine's answer is not what the OpenAI dialect says it is."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a relay, as the engine counts them; cached are part of input."""

    input: int = 0
    cached: int = 0
    output: int = 0

    def units(self, weights: UnitWeights) -> int:
        """What the relay is worth in compute units."""
        return weights.units(self.input, self.cached, self.output)


@dataclass(frozen=True, slots=True)
class RelayBody:
    """What of a request's body bears on serving it."""

    is_stream: bool
    output_tokens_max: int | None
    """For one answer; None where the body sets no bound."""
    priority: Priority
    """Batch where `service_tier` is "flex" or "batch"."""
    answers: int
    """How many answers the engine makes: `n` (or `best_of`) for each prompt; none to embed, and
    none of tokens for a tail."""
    parsed: dict[str, Any]

    def demand(self, prompt_tokens: int, context_length: int) -> Demand:
        """The most tokens this request can take."""
        bound = context_length if self.output_tokens_max is None else self.output_tokens_max
        served = min(prompt_tokens, context_length * _count_prompts(self.parsed))  # or it refuses
        return Demand(served, min(bound, context_length) * self.answers)


def parse_body(path: str, body: bytes) -> RelayBody:
    """Read the body of a request to `path` once; raises MalformedRelayError."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedRelayError(f"the body is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise MalformedRelayError("the body is not a JSON object")
    if body.count(b"[") + body.count(b"{") > DEPTH_MAX and is_deeper(parsed, DEPTH_MAX):
        raise MalformedRelayError(f"the body is nested deeper than {DEPTH_MAX} levels")
    if path in (EMBEDDINGS_PATH, EDGE_PATH):
        return RelayBody(
            is_stream=False,
            output_tokens_max=0,
            priority=_read_priority(parsed),
            answers=0,
            parsed=parsed,
        )
    choices = _integer(parsed, "n", 1, CHOICES_MAX)
    best_of = _integer(parsed, "best_of", 1, CHOICES_MAX)
    bounds = [
        bound
        for name in ("max_completion_tokens", "max_tokens")
        if (bound := _integer(parsed, name, 0, UINT32_MAX)) is not None
    ]
    return RelayBody(
        is_stream=parsed.get("stream") is True,
        output_tokens_max=max(bounds) if bounds else None,
        priority=_read_priority(parsed),
        answers=max(choices or 1, best_of or 1) * _count_prompts(parsed),
        parsed=parsed,
    )


def set_priority(body: bytes, priority: Priority) -> bytes:
    """A body that was parsed, with a `priority` for the engine, lower first; its own counts less.

    Of two members of a name readers take the last one, so it is appended.
    """
    return b'%b,"priority":%d}' % (body.rstrip()[:-1], priority)


def _read_priority(parsed: dict[str, Any]) -> Priority:
    is_batch = parsed.get("service_tier") in BATCH_TIERS
    return Priority.BATCH if is_batch else Priority.INTERACTIVE


def _count_prompts(parsed: dict[str, Any]) -> int:
    prompt = parsed.get("prompt")
    is_batch = isinstance(prompt, list) and prompt and isinstance(prompt[0], str | list)
    return len(prompt) if isinstance(prompt, list) and is_batch else 1


def _integer(parsed: dict[str, Any], name: str, low: int, high: int) -> int | None:
    value = parsed.get(name)
    if value is None:
        return None
    if type(value) is not int or not low <= value <= high:
        raise MalformedRelayError(f"{name} is not an integer from {low} to {high}")
    return value


def read_answer(body: bytes) -> tuple[Usage, bool]:
    """Usage of a plain answer, and whether it ended for length; raises EngineAnswerError."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise EngineAnswerError(f"not JSON: {error}") from error
    usage = _usage(parsed)
    if usage is None:
        raise EngineAnswerError("no usage in the answer")
    return usage, _is_length(parsed)


@dataclass(slots=True)
class StreamMeter:
    """Counts a stream as it goes, from each event's own token ids, and from usage at its end."""

    weights: UnitWeights
    prompt_tokens: int = 0
    """As counted before the relay; the engine's own word replaces it where there is one prompt."""
    output: int = 0
    usage: Usage | None = None
    is_length: bool = False
    is_done: bool = False
    _silent: set[int] = field(default_factory=set)
    """Choices whose newest tokens say nothing yet."""

    def read(self, event: bytes) -> bool:
        """Take in one event without its blank line; False for the closing `[DONE]`."""
        data = _event_data(event)
        if data is None:
            return True
        if data == _DONE:
            self.is_done = True
            return False
        try:
            parsed = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise EngineAnswerError(f"an event is not JSON: {error}") from error
        if not isinstance(parsed, dict):
            raise EngineAnswerError("an event is not a JSON object")
        if "error" in parsed:
            raise EngineAnswerError(f"the engine failed: {_said(parsed['error'])}")
        self._count(parsed)
        return True

    def _count(self, parsed: dict[str, Any]) -> None:
        if isinstance(ids := parsed.get("prompt_token_ids"), list):  # a chat has one prompt
            self.prompt_tokens = len(ids)
        for choice in _choices(parsed):
            if isinstance(ids := choice.get("prompt_token_ids"), list):  # of several prompts one
                self.prompt_tokens = max(self.prompt_tokens, len(ids))
            self._count_output(choice)
        self.is_length = self.is_length or _is_length(parsed)
        usage = _usage(parsed)
        if usage is not None:
            self.usage = usage

    def _count_output(self, choice: dict[str, Any]) -> None:
        ids, index = choice.get("token_ids"), choice.get("index", 0)
        if type(index) is not int:
            raise EngineAnswerError("the index of a choice is no integer")
        if _has_text(choice):
            self._silent.discard(index)
        elif ids:
            self._silent.add(index)
        if isinstance(ids, list):
            self.output += len(ids)
        elif _has_text(choice):
            self.output += 1  # an event carries at least one token; against the claimant

    @property
    def is_shown(self) -> bool:
        """Whether no choice holds back what its newest tokens say, as of a call not yet whole."""
        return not self._silent

    @property
    def counted_units(self) -> int:
        """What the events so far are worth, in compute units, nothing cached."""
        return self.weights.worst_case(self.prompt_tokens, self.output)

    @property
    def tokens(self) -> Usage:
        """Tokens so far: the engine's usage where the stream is whole, else what was seen."""
        if self.usage is not None:
            return self.usage
        return Usage(self.prompt_tokens, 0, self.output)


def split_events(buffer: bytes) -> tuple[list[bytes], bytes]:
    """The whole events of `buffer`, each with its blank line, and the rest."""
    if len(buffer) > EVENT_BYTES_MAX:
        raise EngineAnswerError("an event is too long")
    events: list[bytes] = []
    start = 0
    while (end := buffer.find(b"\n\n", start)) >= 0:
        events.append(buffer[start : end + 2])
        start = end + 2
    return events, buffer[start:]


def _event_data(event: bytes) -> bytes | None:
    lines = [
        line[5:].strip()
        for line in event.replace(b"\r\n", b"\n").split(b"\n")
        if line.startswith(b"data:")
    ]
    return b"\n".join(lines) if lines else None


def _said(error: Any) -> str:
    """The text of an engine's error."""
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) else "it does not say why"


def _usage(parsed: Any) -> Usage | None:
    raw = parsed.get("usage") if isinstance(parsed, dict) else None
    if not isinstance(raw, dict):
        return None
    details = raw.get("prompt_tokens_details") or {}
    if not isinstance(details, dict):
        raise EngineAnswerError("prompt_tokens_details is no object")
    counts = (
        raw.get("prompt_tokens", 0),
        details.get("cached_tokens") or 0,
        raw.get("completion_tokens") or 0,
    )
    if any(type(count) is not int or not 0 <= count <= UINT32_MAX for count in counts):
        raise EngineAnswerError("usage is not made of token counts")
    prompt, cached, output = counts
    return Usage(prompt, min(cached, prompt), output)


def _choices(parsed: dict[str, Any]) -> list[dict[str, Any]]:
    choices = parsed.get("choices") or []
    if not isinstance(choices, list) or not all(isinstance(each, dict) for each in choices):
        raise EngineAnswerError("choices is no list of objects")
    return choices


def _is_length(parsed: dict[str, Any]) -> bool:
    return any(choice.get("finish_reason") == "length" for choice in _choices(parsed))


def _has_text(choice: dict[str, Any]) -> bool:
    delta = choice.get("delta")
    if isinstance(delta, dict):
        return any(delta.get(name) for name in _SPOKEN)
    return bool(choice.get("text"))
