"""The allowlist: which parameters a request may carry, and what each may be.

A parameter is here only if the market can bound, count and check an answer made with it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TOKENS_MAX = 1 << 24


@dataclass(frozen=True, slots=True)
class Check:
    """A predicate on a value that is not null, and the words for it."""

    is_allowed: Callable[[Any], bool]
    rule: str


def _number(low: float, high: float) -> Check:
    def is_allowed(value: Any) -> bool:
        return type(value) in (int, float) and low <= value <= high

    return Check(is_allowed, f"a number from {low:g} to {high:g}")


def _integer(low: int, high: int) -> Check:
    def is_allowed(value: Any) -> bool:
        return type(value) is int and low <= value <= high

    return Check(is_allowed, f"an integer from {low} to {high}")


def _text(length_max: int, length_min: int = 0) -> Check:
    def is_allowed(value: Any) -> bool:
        return type(value) is str and length_min <= len(value) <= length_max

    return Check(is_allowed, f"a string of {length_min} to {length_max} characters")


def _one_of(*values: str) -> Check:
    return Check(
        lambda value: value in values if type(value) is str else False,
        "one of " + ", ".join(values),
    )


def _is_stop(value: Any) -> bool:
    if type(value) is str:
        return 0 < len(value) <= 1024
    return (
        type(value) is list
        and len(value) <= 16
        and all(type(each) is str and 0 < len(each) <= 1024 for each in value)
    )


def _is_token_list(value: Any) -> bool:
    return type(value) is list and all(type(i) is int and 0 <= i < 1 << 32 for i in value)


def _is_logit_bias(value: Any) -> bool:
    return (
        type(value) is dict
        and len(value) <= 1024
        and all(
            key.isascii() and key.isdigit() and type(bias) in (int, float) and -100 <= bias <= 100
            for key, bias in value.items()
        )
    )


def _is_stream_options(value: Any) -> bool:
    return (
        type(value) is dict
        and value.keys() <= {"include_usage"}
        and all(type(each) is bool for each in value.values())
    )


def _is_metadata(value: Any) -> bool:
    return (
        type(value) is dict
        and len(value) <= 16
        and all(type(each) is str and len(each) <= 512 for each in value.values())
    )


def _is_text_part(part: Any) -> bool:
    return (
        type(part) is dict
        and part.get("type") == "text"
        and type(part.get("text")) is str
        and len(part) == 2
    )


def _is_content(value: Any) -> bool:
    return type(value) is str or (
        type(value) is list and len(value) > 0 and all(_is_text_part(part) for part in value)
    )


def _is_message(message: Any) -> bool:
    return (
        type(message) is dict
        and message.keys() <= {"role", "content", "name"}
        and message.get("role") in ("system", "developer", "user", "assistant")
        and _is_content(message.get("content"))
        and type(message.get("name", "")) is str
    )


def _is_messages(value: Any) -> bool:
    return type(value) is list and len(value) > 0 and all(_is_message(each) for each in value)


def _is_prompt(value: Any) -> bool:
    if type(value) is str:
        return True
    if type(value) is not list or not value:
        return False
    if type(value[0]) is int:
        return _is_token_list(value)
    if type(value[0]) is str:
        return all(type(each) is str for each in value)
    return all(_is_token_list(each) and each for each in value)


_FLAG = Check(lambda value: type(value) is bool, "true or false")
_TRUE = Check(lambda value: type(value) is bool, "true or false")

_SHARED: dict[str, Check] = {
    "model": _text(256, 1),
    "max_tokens": _integer(1, TOKENS_MAX),
    "n": _integer(1, 128),
    "stream": _FLAG,
    "stream_options": Check(_is_stream_options, 'an object such as {"include_usage": true}'),
    "temperature": _number(0, 2),
    "top_p": _number(0, 1),
    "top_k": _integer(-1, 1 << 20),
    "min_p": _number(0, 1),
    "seed": _integer(-(1 << 63), (1 << 63) - 1),
    "stop": Check(_is_stop, "a string or at most 16 strings, none of them empty"),
    "presence_penalty": _number(-2, 2),
    "frequency_penalty": _number(-2, 2),
    "repetition_penalty": _number(0.01, 10),
    "logit_bias": Check(_is_logit_bias, "a map of token ids to numbers from -100 to 100"),
    "min_tokens": _integer(0, TOKENS_MAX),
    "ignore_eos": _FLAG,
    "user": _text(512),
    "return_token_ids": _TRUE,
}

CHAT: dict[str, Check] = {
    **_SHARED,
    "messages": Check(_is_messages, "a non-empty list of {role, content} whose contents are text"),
    "max_completion_tokens": _integer(1, TOKENS_MAX),
    "logprobs": _FLAG,
    "top_logprobs": _integer(0, 20),
    "metadata": Check(_is_metadata, "at most 16 short strings by name"),
    "store": Check(lambda value: value is False, "false: nothing is stored"),
    "response_format": Check(
        lambda value: type(value) is dict and value.get("type") == "text" and len(value) == 1,
        '{"type": "text"}',
    ),
}
"""Parameters of /v1/chat/completions."""

COMPLETION: dict[str, Check] = {
    **_SHARED,
    "prompt": Check(_is_prompt, "a string, a list of strings, or lists of token ids"),
    "logprobs": _integer(0, 5),
}
"""Parameters of /v1/completions."""

UNSUPPORTED: dict[str, str] = {
    "tools": "tool calls are not recounted",
    "tool_choice": "tool calls are not recounted",
    "functions": "tool calls are not recounted",
    "function_call": "tool calls are not recounted",
    "parallel_tool_calls": "tool calls are not recounted",
    "audio": "only text is served",
    "modalities": "only text is served",
    "echo": "the prompt would be counted as output",
    "suffix": "the engines served here do not insert",
    "best_of": "answers nobody sees cannot be counted",
    "reasoning_effort": "reasoning is not counted apart",
    "chat_template_kwargs": "the prompt is counted by the template as it is",
}
"""Parameters OpenAI or vLLM know, and why they are refused."""
