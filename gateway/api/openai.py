"""Reading an OpenAI request: one parse, an allowlist, limits, and what the market must know of it.

The client's own bytes go to the supplier. Where a field must be added (`return_token_ids`, a
default `max_tokens`, `stream_options.include_usage`) it is written before the last brace; where
the client had set it otherwise, the later of two equal names counts, as in every JSON reader of
the engines served here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import orjson

from gateway.api.body import RequestLimits, parse_object, splice
from gateway.api.checks import Check
from gateway.api.combinations import check_repetition, check_tool_choice
from gateway.api.messages import check_messages
from gateway.api.parameters import CHAT, COMPLETION, EMBEDDING, UNSUPPORTED
from gateway.errors import (
    InvalidParameterError,
    MissingParameterError,
    UnknownParameterError,
    UnsupportedParameterError,
)
from relay_mining import value_class

PATIENT_TIERS = ("flex", "batch")
"""What `service_tier` says of a request that can wait."""
HEAD_CHARS = 512
"""Of a message's content, that prompts are told apart by."""
TOKENS_PER_TOOL_EXTRA = 16
"""Tokens a template may write for a tool beyond the bytes the client sent for it."""
NORMALISED_MAX = 11
"""Bytes that a tokenizer's normalisation (NFKC) makes of one at most; ASCII it leaves as it is."""

ANSWER_BYTES_MIN = 1 << 20
ANSWER_BYTES_PER_TOKEN = 4096
ANSWER_BYTES_PER_VECTOR = 128 << 10
ANSWER_BYTES_MAX = 32 << 20


class Endpoint(Enum):
    """The endpoints whose requests are relayed, by their path."""

    CHAT = b"/v1/chat/completions"
    COMPLETIONS = b"/v1/completions"
    EMBEDDINGS = b"/v1/embeddings"
    EDGE = b"/v1/edge/infer"
    """Read by `gateway.edge`, not here."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What one endpoint's requests are made of."""

    checks: Mapping[str, Check]
    subject: str
    """The parameter without which there is nothing to do."""


_SHAPES = {
    Endpoint.CHAT: Shape(CHAT, "messages"),
    Endpoint.COMPLETIONS: Shape(COMPLETION, "prompt"),
    Endpoint.EMBEDDINGS: Shape(EMBEDDING, "input"),
}


@dataclass(frozen=True, slots=True)
class PromptOverhead:
    """Tokens a service's chat template writes that no byte of a body stands for."""

    plain: int = 64
    with_tools: int = 64


@value_class
class OpenAIRequest:
    """What the gateway needs to know of a request; the rest stays in its bytes."""

    endpoint: Endpoint
    model: str
    is_stream: bool
    wants_usage: bool
    choices: int
    """Answers to be generated: `n` times the number of prompts; none for embeddings."""
    prompts: int
    tools: int
    echoes: bool
    """Whether the prompt is shown again, with its log-probabilities where those are asked for."""
    output_tokens_max: int | None
    """Per answer; None where the client leaves it open, 0 where nothing is generated."""
    body: bytes
    additions: bytes
    """Members to splice in, each `"name":value`, joined by commas; empty for none."""
    head: bytes = b""
    """What the prompt begins with: requests that share it may share a supplier's cache."""
    can_wait: bool = False
    """Whether the client says that others may go first."""

    def worst_case_tokens(
        self, context_length: int, output_tokens_max: int, overhead: PromptOverhead
    ) -> tuple[int, int]:
        """Most input and output tokens the request can take; no prompt exceeds the context."""
        return (
            min(self._input_tokens_max(overhead), context_length * self.prompts),
            min(output_tokens_max, context_length) * self.choices,
        )

    def output_default(self, context_length: int, default: int, overhead: PromptOverhead) -> int:
        """Tokens to allow each answer where the client has not said: what surely fits."""
        fits = context_length - self._input_tokens_max(overhead)
        return max(min(default, fits), min(16, context_length), 1)

    def surely_fits(
        self, context_length: int, output_tokens_max: int, overhead: PromptOverhead
    ) -> bool:
        """Whether the context holds each prompt and its answers by any honest count.

        Never said of tools, which templates write anew, nor where escapes may spell their names.
        """
        if b'"tool' in self.body or b"\\u" in self.body:
            return False
        growth = 1 if self.body.isascii() else NORMALISED_MAX
        return growth * self._input_tokens_max(overhead) + output_tokens_max <= context_length

    def answer_bytes_max(self, input_tokens_max: int, output_tokens_max: int) -> int:
        """More bytes than an honest answer to this has."""
        tokens = output_tokens_max + (input_tokens_max if self.echoes else 0)
        vectors = self.prompts if self.endpoint is Endpoint.EMBEDDINGS else 0
        return min(
            ANSWER_BYTES_MAX,
            ANSWER_BYTES_MIN
            + ANSWER_BYTES_PER_TOKEN * tokens
            + ANSWER_BYTES_PER_VECTOR * vectors
            + 16 * len(self.body),
        )

    def _input_tokens_max(self, overhead: PromptOverhead) -> int:
        """A token of text is at least one byte of the body; the rest is the template's own."""
        own = overhead.with_tools if self.tools else overhead.plain
        return len(self.body) + own * self.prompts + TOKENS_PER_TOOL_EXTRA * self.tools

    def forwarded_body(self, output_tokens_max: int) -> bytes:
        """The body a supplier is sent, `max_tokens` written in where the client left it open."""
        additions = self.additions
        if self.output_tokens_max is None:
            additions += b',"max_tokens":%d' % output_tokens_max
        return splice(self.body, additions)


def read_request(endpoint: Endpoint, body: bytes, limits: RequestLimits) -> OpenAIRequest:
    """Parse and check a body once; raises RequestError with the parameter at fault."""
    members = parse_object(body, limits)
    check_parameters(members, _SHAPES[endpoint])
    if endpoint is Endpoint.EMBEDDINGS:
        return _read_embedding(members, body, limits)
    if endpoint is Endpoint.CHAT:
        check_messages(members["messages"], limits.messages_max)
        check_tool_choice(members)
    output_tokens_max = read_output_tokens_max(members)
    check_repetition(members, output_tokens_max)
    return _read_generation(endpoint, members, body, limits, output_tokens_max)


def _read_generation(
    endpoint: Endpoint, members: Mapping[str, Any], body: bytes, limits: RequestLimits,
    output_tokens_max: int | None,
) -> OpenAIRequest:  # fmt: skip
    is_stream = members.get("stream") is True
    options = members.get("stream_options")
    if options is not None and not is_stream:
        raise InvalidParameterError(
            "stream_options is allowed only where stream is true", param="stream_options"
        )
    wants_usage = bool(options and options.get("include_usage") is True)
    prompts = 1 if endpoint is Endpoint.CHAT else len(split_inputs(endpoint, members))
    answers = members.get("n") or 1
    if prompts * answers > limits.choices_max:
        raise InvalidParameterError(
            f"n asks for {prompts * answers} answers; at most {limits.choices_max} are served",
            param="n",
        )
    if (members.get("best_of") or answers) != answers:
        raise InvalidParameterError(
            "best_of must equal n: answers that are not shown cannot be counted again",
            param="best_of",
        )
    return OpenAIRequest(
        endpoint=endpoint,
        model=members["model"],
        is_stream=is_stream,
        wants_usage=wants_usage,
        choices=prompts * answers,
        prompts=prompts,
        tools=len(members.get("tools") or ()),
        echoes=members.get("echo") is True,
        output_tokens_max=output_tokens_max,
        body=body,
        additions=write_additions(members, is_stream, wants_usage),
        head=read_head(members),
        can_wait=members.get("service_tier") in PATIENT_TIERS,
    )


def _read_embedding(
    members: Mapping[str, Any], body: bytes, limits: RequestLimits
) -> OpenAIRequest:
    inputs = len(split_inputs(Endpoint.EMBEDDINGS, members))
    if inputs > limits.inputs_max:
        raise InvalidParameterError(
            f"{inputs} inputs; at most {limits.inputs_max} are embedded at once", param="input"
        )
    return OpenAIRequest(
        endpoint=Endpoint.EMBEDDINGS,
        model=members["model"],
        is_stream=False,
        wants_usage=True,
        choices=0,
        prompts=inputs,
        tools=0,
        echoes=False,
        output_tokens_max=0,
        body=body,
        additions=b"",
    )


def read_head(members: Mapping[str, Any]) -> bytes:
    """What a conversation keeps over its turns: the first of instructions and first question.

    Of a prompt without turns, its first characters.
    """
    turns = members.get("messages")
    if turns is None:
        return str(members["prompt"][:HEAD_CHARS]).encode()
    first = str(turns[0].get("content"))[:HEAD_CHARS]
    if turns[0]["role"] in ("system", "developer") and len(turns) > 1:
        first += str(turns[1].get("content"))[:HEAD_CHARS]
    return first.encode()


def split_inputs(endpoint: Endpoint, members: Mapping[str, Any]) -> list[str | list[int]]:
    """The prompts of a completion, or the inputs of an embedding: each a text or token ids."""
    value = members[_SHAPES[endpoint].subject]
    if isinstance(value, str) or isinstance(value[0], int):
        return [value]
    return list(value)


def check_parameters(members: Mapping[str, Any], shape: Shape) -> None:
    """Refuse unknown names and values outside their rule (RequestError)."""
    needed = ("model", shape.subject)
    for name, value in members.items():
        check = shape.checks.get(name)
        if check is None:
            if value is not None or name not in UNSUPPORTED:
                _refuse_name(name, shape)
        elif value is None:
            if name in needed:
                raise MissingParameterError(f"{name} is null", param=name)
        elif not check.is_allowed(value):
            raise InvalidParameterError(f"{name} must be {check.rule}", param=name)
    for name in needed:
        if name not in members:
            raise MissingParameterError(f"you must provide {name}", param=name)


def _refuse_name(name: str, shape: Shape) -> None:
    shown = name[:64]
    if name in UNSUPPORTED:
        raise UnsupportedParameterError(
            f"{shown} is not supported: {UNSUPPORTED[name]}", param=shown
        )
    raise UnknownParameterError(
        f"unrecognized request argument supplied: {shown}; known are {', '.join(shape.checks)}",
        param=shown,
    )


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
