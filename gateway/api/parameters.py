"""The allowlist: which parameters a request may carry, and what each may be.

A parameter is here only if the market can bound, count and check an answer made with it.
"""

from gateway.api import schemas
from gateway.api.checks import (
    FLAG,
    TOKENS_MAX,
    TOOLS_MAX,
    Check,
    integer,
    is_input,
    is_logit_bias,
    is_metadata,
    is_prompt,
    is_response_format,
    is_stop,
    is_stream_options,
    is_template_variables,
    is_tool_choice,
    is_tools,
    number,
    one_of,
    text,
)

_ANY: dict[str, Check] = {"model": text(256, 1), "user": text(512)}

_GENERATED: dict[str, Check] = {
    **_ANY,
    "max_tokens": integer(1, TOKENS_MAX),
    "n": integer(1, 128),
    "stream": FLAG,
    "stream_options": Check(
        is_stream_options, 'an object such as {"include_usage": true}', schemas.STREAM_OPTIONS
    ),
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "top_k": integer(-1, 1 << 20),
    "min_p": number(0, 1),
    "seed": integer(-(1 << 63), (1 << 63) - 1),
    "stop": Check(is_stop, "a string or at most 16 strings, none of them empty", schemas.STOP),
    "presence_penalty": number(-2, 2),
    "frequency_penalty": number(-2, 2),
    "repetition_penalty": number(0.01, 10),
    "logit_bias": Check(
        is_logit_bias, "a map of token ids to numbers from -100 to 100", schemas.LOGIT_BIAS
    ),
    "min_tokens": integer(0, TOKENS_MAX),
    "return_token_ids": FLAG,
    "service_tier": one_of("auto", "default", "flex", "batch"),
}

CHAT: dict[str, Check] = {
    **_GENERATED,
    "messages": Check(lambda value: type(value) is list, "a list of messages", schemas.MESSAGES),
    "max_completion_tokens": integer(1, TOKENS_MAX),
    "logprobs": FLAG,
    "top_logprobs": integer(0, 20),
    "metadata": Check(is_metadata, "at most 16 short strings by name", schemas.METADATA),
    "store": Check(lambda value: value is False, "false: nothing is stored", {"const": False}),
    "response_format": Check(
        is_response_format,
        '{"type": "text"}, {"type": "json_object"} or {"type": "json_schema", "json_schema": '
        '{"name": ..., "schema": {...}}}',
        schemas.RESPONSE_FORMAT,
    ),
    "tools": Check(
        is_tools,
        f'at most {TOOLS_MAX} of {{"type": "function", "function": {{"name": ..., '
        '"parameters": {...}}}',
        schemas.TOOLS,
    ),
    "tool_choice": Check(
        is_tool_choice,
        'none, auto, required, or {"type": "function", "function": {"name": ...}}',
        schemas.TOOL_CHOICE,
    ),
    "parallel_tool_calls": FLAG,
    "reasoning_effort": one_of("none", "minimal", "low", "medium", "high", "xhigh", "max"),
    "verbosity": one_of("low", "medium", "high"),
    "modalities": Check(
        lambda value: value == ["text"], '["text"]: only text is served', {"const": ["text"]}
    ),
    "prompt_cache_key": text(512),
    "safety_identifier": text(512),
    "chat_template_kwargs": Check(
        is_template_variables,
        "at most 16 flags, numbers or short strings by name",
        schemas.TEMPLATE_VARIABLES,
    ),
}
"""Parameters of /v1/chat/completions."""

COMPLETION: dict[str, Check] = {
    **_GENERATED,
    "prompt": Check(
        is_prompt, "a string, a list of strings, or lists of token ids", schemas.PROMPT
    ),
    "logprobs": integer(0, 5),
    "echo": FLAG,
    "best_of": integer(1, 128),
}
"""Parameters of /v1/completions."""

EMBEDDING: dict[str, Check] = {
    **_ANY,
    "input": Check(
        is_input, "a string, a list of strings, or lists of token ids, none empty", schemas.INPUT
    ),
    "encoding_format": one_of("float", "base64"),
    "dimensions": integer(1, 1 << 16),
}
"""Parameters of /v1/embeddings."""

UNSUPPORTED: dict[str, str] = {
    "functions": "use tools",
    "function_call": "use tool_choice",
    "audio": "only text is served",
    "ignore_eos": "tokens after the end are not shown and cannot be counted; use min_tokens",
    "suffix": "the engines served here do not insert; put the text before the gap into prompt",
}
"""Parameters OpenAI or vLLM know that must be null here, and why."""
