"""Reading an OpenAI request: one parse, an allowlist, limits, and bytes spliced, never re-encoded.

The client's own bytes go to the supplier. Where a field must be added (`return_token_ids`, a
default `max_tokens`, `stream_options.include_usage`) it is written before the last brace; where
the client had set it otherwise, the later of two equal names counts, as in every JSON reader of
the engines served here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import orjson

from gateway.errors import (
    BodyTooLargeError,
    InvalidParameterError,
    MalformedBodyError,
    MissingParameterError,
    RequestError,
    UnknownParameterError,
    UnsupportedParameterError,
)
from gateway.parameters import CHAT, COMPLETION, UNSUPPORTED, Check
from node.nesting import is_deeper

WHITESPACE = b" \t\r\n"
PROMPT_TOKENS_EXTRA = 64
"""Tokens a chat template may add that no byte of the body stands for."""


class Endpoint(Enum):
    """The generating endpoints, by their path."""

    CHAT = b"/v1/chat/completions"
    COMPLETIONS = b"/v1/completions"


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Bounds on one request; sizes in bytes."""

    body_bytes_max: int = 10 << 20
    depth_max: int = 32
    choices_max: int = 5
    messages_max: int = 2048


@dataclass(frozen=True, slots=True)
class OpenAIRequest:
    """What the gateway needs to know of a request; the rest stays in its bytes."""

    endpoint: Endpoint
    model: str
    is_stream: bool
    wants_usage: bool
    choices: int
    """Answers asked for: `n` times the number of prompts."""
    prompts: int
    output_tokens_max: int | None
    """Per answer; None where the client leaves it open."""
    body: bytes
    additions: bytes
    """Members to splice in, each `"name":value`, joined by commas; empty for none."""

    def worst_case_tokens(self, context_length: int, output_tokens_max: int) -> tuple[int, int]:
        """Most input and output tokens the request can take.

        A token of text is at least one byte of the body, and no prompt exceeds the context.
        """
        by_bytes = len(self.body) + PROMPT_TOKENS_EXTRA * self.prompts
        return (
            min(by_bytes, context_length * self.prompts),
            min(output_tokens_max, context_length) * self.choices,
        )

    def output_default(self, context_length: int, default: int) -> int:
        """Tokens to allow each answer where the client has not said: what surely fits."""
        fits = context_length - len(self.body) - PROMPT_TOKENS_EXTRA
        return max(min(default, fits), min(16, context_length), 1)

    def forwarded_body(self, output_tokens_max: int) -> bytes:
        """The body a supplier is sent, `max_tokens` written in where the client left it open."""
        additions = self.additions
        if self.output_tokens_max is None:
            additions += b',"max_tokens":%d' % output_tokens_max
        return splice(self.body, additions)


def read_request(endpoint: Endpoint, body: bytes, limits: RequestLimits) -> OpenAIRequest:
    """Parse and check a body once; raises RequestError with the parameter at fault."""
    members = parse_object(body, limits)
    checks = CHAT if endpoint is Endpoint.CHAT else COMPLETION
    check_parameters(members, checks)
    is_stream = members.get("stream") is True
    options = members.get("stream_options")
    if options is not None and not is_stream:
        raise InvalidParameterError(
            "stream_options is allowed only where stream is true", param="stream_options"
        )
    wants_usage = bool(options and options.get("include_usage") is True)
    prompts = count_prompts(endpoint, members, limits)
    choices = prompts * (members.get("n") or 1)
    if choices > limits.choices_max:
        raise InvalidParameterError(
            f"n asks for {choices} answers; at most {limits.choices_max} are served", param="n"
        )
    return OpenAIRequest(
        endpoint=endpoint,
        model=members["model"],
        is_stream=is_stream,
        wants_usage=wants_usage,
        choices=choices,
        prompts=prompts,
        output_tokens_max=read_output_tokens_max(members),
        body=body,
        additions=write_additions(members, is_stream, wants_usage),
    )


def parse_object(body: bytes, limits: RequestLimits) -> dict[str, Any]:
    """The JSON object a body holds, refused by size, depth and form (RequestError)."""
    if len(body) > limits.body_bytes_max:
        raise BodyTooLargeError(f"the body exceeds {limits.body_bytes_max} bytes")
    try:
        members = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedBodyError(f"the body is not JSON: {error}") from error
    if not isinstance(members, dict):
        raise MalformedBodyError("the body is not a JSON object")
    if body.count(b"[") + body.count(b"{") > limits.depth_max:
        require_depth(members, limits.depth_max)
    return members


def require_depth(value: object, depth_max: int) -> None:
    """Refuse a value nested deeper than `depth_max` containers (MalformedBodyError)."""
    if is_deeper(value, depth_max):
        raise MalformedBodyError(f"the body is nested deeper than {depth_max} levels")


def check_parameters(members: Mapping[str, Any], checks: Mapping[str, Check]) -> None:
    """Refuse unknown names and values outside their rule (RequestError)."""
    for name, value in members.items():
        check = checks.get(name)
        if check is None:
            _refuse_name(name)
        elif value is None:
            if name in ("model", "messages", "prompt"):
                raise MissingParameterError(f"{name} is null", param=name)
        elif not check.is_allowed(value):
            raise InvalidParameterError(f"{name} must be {check.rule}", param=name)
    for name in ("model", "messages" if checks is CHAT else "prompt"):
        if name not in members:
            raise MissingParameterError(f"you must provide {name}", param=name)


def _refuse_name(name: str) -> None:
    shown = name[:64]
    if name in UNSUPPORTED:
        raise UnsupportedParameterError(
            f"{shown} is not supported: {UNSUPPORTED[name]}", param=shown
        )
    raise UnknownParameterError(f"unrecognized request argument supplied: {shown}", param=shown)


def count_prompts(endpoint: Endpoint, members: Mapping[str, Any], limits: RequestLimits) -> int:
    """How many prompts a request holds; raises RequestError where a message is malformed."""
    if endpoint is Endpoint.COMPLETIONS:
        prompt = members["prompt"]
        return 1 if isinstance(prompt, str) or isinstance(prompt[0], int) else len(prompt)
    messages = members["messages"]
    if len(messages) > limits.messages_max:
        raise InvalidParameterError(f"more than {limits.messages_max} messages", param="messages")
    return 1


def read_output_tokens_max(members: Mapping[str, Any]) -> int | None:
    """Tokens allowed per answer, None where the client names no limit."""
    old, new = members.get("max_tokens"), members.get("max_completion_tokens")
    if old is not None and new is not None and old != new:
        raise InvalidParameterError(
            "max_tokens and max_completion_tokens differ", param="max_completion_tokens"
        )
    named: int | None = old if new is None else new
    return named


def write_additions(members: Mapping[str, Any], is_stream: bool, wants_usage: bool) -> bytes:
    """The members the market needs and the client has not set."""
    additions = b""
    if members.get("return_token_ids") is not True:
        additions += b',"return_token_ids":true'
    if is_stream and not wants_usage:
        options = {**(members.get("stream_options") or {}), "include_usage": True}
        additions += b',"stream_options":' + orjson.dumps(options)
    return additions


def splice(body: bytes, additions: bytes) -> bytes:
    """`body` with `additions` (`,"name":value...`) before the brace that ends it."""
    if not additions:
        return body
    head = body.rstrip(WHITESPACE)[:-1]
    if head.rstrip(WHITESPACE).endswith(b"{"):
        additions = additions[1:]
    return b"".join((head, additions, b"}"))


RequestReader = Callable[[Endpoint, bytes, RequestLimits], OpenAIRequest]

__all__ = [
    "Endpoint",
    "OpenAIRequest",
    "RequestError",
    "RequestLimits",
    "parse_object",
    "read_request",
    "splice",
]
