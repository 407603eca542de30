"""Reading and splicing: what is let in, and that no byte of the client's is re-encoded."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.body import RequestLimits, parse_object, splice
from gateway.api.openai import Endpoint, PromptOverhead, read_request
from gateway.errors import (
    BodyTooLargeError,
    InvalidParameterError,
    MalformedBodyError,
    RequestError,
    UnknownParameterError,
)
from supplier.server.scheduling import Priority
from supplier.server.usage import CHAT_PATH, parse_body
from tests.gateway.endpoints import OPENAI

LIMITS = RequestLimits()
MESSAGES = [{"role": "user", "content": "hi"}]
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
objects = st.dictionaries(st.text(), values, max_size=6)
spaces = st.text(" \t\r\n", max_size=4).map(str.encode)


def read(endpoint: Endpoint = Endpoint.CHAT, **members: object):
    return read_request(endpoint, orjson.dumps(members), LIMITS)


@given(objects, spaces, spaces, st.booleans())
def test_a_spliced_body_is_the_object_and_the_field(
    members: dict, before: bytes, after: bytes, indent: bool
) -> None:
    text = orjson.dumps(members, option=orjson.OPT_INDENT_2 if indent else None)
    spliced = splice(before + text + after, b',"return_token_ids":true,"max_tokens":7')
    expected = {**members, "return_token_ids": True, "max_tokens": 7}
    assert orjson.loads(spliced) == expected
    assert spliced.startswith(before + text.rstrip()[:-1].rstrip(b" \n"))


@given(objects)
def test_splicing_nothing_changes_nothing(members: dict) -> None:
    body = orjson.dumps(members)
    assert splice(body, b"") is body


@given(st.binary(max_size=200) | objects.map(orjson.dumps))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    for endpoint in OPENAI:
        try:
            read_request(endpoint, body, LIMITS)
        except RequestError as error:
            assert 400 <= error.status < 500


@given(st.sampled_from(["temperature", "n", "stop", "seed", "stream", "messages", "logit_bias",
                        "stream_options", "max_tokens", "user", "model"]), values)  # fmt: skip
def test_any_value_of_a_parameter_is_read_or_refused(name: str, value: object) -> None:
    try:
        request = read(**{"model": "m", "messages": MESSAGES, name: value})
    except RequestError as error:
        assert error.status == 400
    else:
        assert request.choices <= LIMITS.choices_max
        orjson.loads(request.forwarded_body(5))


@pytest.mark.parametrize("depth", [31, 32])
def test_depth_is_bounded(depth: int) -> None:
    inner = b"[" * (depth - 1) + b"]" * (depth - 1)
    assert parse_object(b'{"x":' + inner + b"}", LIMITS)


@pytest.mark.parametrize("depth", [33, 34, 900, 100_000])
def test_too_deep_is_refused(depth: int) -> None:
    inner = b"[" * (depth - 1) + b"]" * (depth - 1)
    with pytest.raises(MalformedBodyError):
        parse_object(b'{"x":' + inner + b"}", LIMITS)


def test_wide_is_not_deep() -> None:
    assert parse_object(orjson.dumps({"x": [[1]] * 1000}), LIMITS)


def test_size_is_bounded() -> None:
    body = b'{"x":1}'
    limits = RequestLimits(body_bytes_max=len(body))
    assert parse_object(body, limits) == {"x": 1}
    with pytest.raises(BodyTooLargeError):
        parse_object(body + b" ", limits)


@pytest.mark.parametrize("n", [1, 5])
def test_choices_in_bounds(n: int) -> None:
    assert read(model="m", messages=MESSAGES, n=n).choices == n


@pytest.mark.parametrize("n", [0, 6, 129, True, 1.0, "1"])
def test_choices_out_of_bounds(n: object) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        read(model="m", messages=MESSAGES, n=n)
    assert caught.value.param == "n"


@pytest.mark.parametrize(
    ("tier", "priority"),
    [
        ("flex", Priority.BATCH),
        ("batch", Priority.BATCH),
        ("auto", Priority.INTERACTIVE),
        ("default", Priority.INTERACTIVE),
        (None, Priority.INTERACTIVE),
    ],
)
def test_a_tier_reaches_the_suppliers_queue(tier: str | None, priority: Priority) -> None:
    asked = read(model="m", messages=MESSAGES, service_tier=tier)
    assert parse_body(CHAT_PATH, asked.forwarded_body(5)).priority is priority


def test_a_tier_that_nobody_serves_is_refused() -> None:
    with pytest.raises(InvalidParameterError) as caught:
        read(model="m", messages=MESSAGES, service_tier="priority")
    assert caught.value.param == "service_tier"


def test_an_unknown_name_is_named() -> None:
    with pytest.raises(UnknownParameterError) as caught:
        read(model="m", messages=MESSAGES, zz=1)
    assert caught.value.param == "zz"
    assert "known are model, user, max_tokens" in str(caught.value)
    with pytest.raises(UnknownParameterError):
        read(model="m", messages=MESSAGES, zz=None)


@pytest.mark.parametrize(
    ("members", "added"),
    [
        ({}, {"return_token_ids": True, "max_tokens": 9}),
        ({"max_tokens": 3}, {"return_token_ids": True}),
        ({"max_completion_tokens": 3, "return_token_ids": True}, {}),
        ({"max_tokens": None}, {"return_token_ids": True, "max_tokens": 9}),
        (
            {"stream": True, "max_tokens": 3},
            {"return_token_ids": True, "stream_options": {"include_usage": True}},
        ),
        (
            {"stream": True, "max_tokens": 3, "stream_options": {"include_usage": False}},
            {"return_token_ids": True, "stream_options": {"include_usage": True}},
        ),
    ],
)
def test_what_is_added(members: dict, added: dict) -> None:
    sent = {"model": "m", "messages": MESSAGES, **members}
    assert orjson.loads(read(**sent).forwarded_body(9)) == {**sent, **added}


@pytest.mark.parametrize(
    ("prompt", "choices"),
    [("a", 1), (["a", "b"], 2), ([1, 2, 3], 1), ([[1], [2], [3]], 3)],
)
def test_prompts(prompt: object, choices: int) -> None:
    assert read(Endpoint.COMPLETIONS, model="m", prompt=prompt).choices == choices


@pytest.mark.parametrize("prompt", [[], [""] * 6, [[]], [1, "a"], {"a": 1}, [-1], [2**32]])
def test_bad_prompts(prompt: object) -> None:
    with pytest.raises(InvalidParameterError):
        read(Endpoint.COMPLETIONS, model="m", prompt=prompt)


@given(st.text(max_size=300), st.integers(1, 4096), st.integers(1, 5))
def test_the_worst_case_covers_every_byte(content: str, allowed: int, n: int) -> None:
    message = [{"role": "user", "content": content}]
    request = read(model="m", messages=message, n=n, max_tokens=allowed)
    inputs, outputs = request.worst_case_tokens(8192, allowed, PromptOverhead())
    assert inputs >= len(content.encode("utf-8", "surrogatepass"))
    assert outputs == n * allowed


@given(st.integers(1, 4096), st.integers(1, 4096), st.integers(0, 3000))
def test_the_default_length_fits_the_context(context: int, default: int, size: int) -> None:
    request = read(model="m", messages=[{"role": "user", "content": "x" * size}])
    assert 1 <= request.output_default(context, default, PromptOverhead()) <= max(context, 1)


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CALL: dict[str, Any] = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
NOTHING = dict.fromkeys(("refusal", "annotations", "audio", "function_call", "reasoning"))
ASKED = [{"role": "assistant", "content": None, "tool_calls": [CALL]},
         {"role": "tool", "tool_call_id": "1", "content": "x"}]  # fmt: skip


@pytest.mark.parametrize(
    "members",
    [
        {"tools": [TOOL], "tool_choice": "auto"},
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
        {"tools": [TOOL] * 128, "parallel_tool_calls": True},
        {"tools": [], "tool_choice": "none"},
        {"messages": [*MESSAGES, *ASKED]},
        {"messages": [{"role": "assistant", "content": "x", "reasoning_content": "y"}]},
        {"messages": [{**NOTHING, "role": "assistant", "content": "x", "tool_calls": []}]},
        {"messages": [{**NOTHING, **ASKED[0]}, ASKED[1]]},
        {
            "messages": [
                {
                    "role": "assistant",
                    "content": "1",
                    "parsed": 1,
                    "tool_calls": [
                        {**CALL, "function": {**CALL["function"], "parsed_arguments": {}}}
                    ],
                },
                ASKED[1],
            ]
        },
        {"messages": [{**NOTHING, "role": "assistant", "content": "x", "annotations": [{}]}]},
        {"messages": [{**NOTHING, "role": "assistant", "content": None, "refusal": "no"}]},
        {"messages": [{"role": "assistant", "reasoning": "hm"}]},
        {"messages": [{"role": "assistant", "content": None, "reasoning_content": "hm"}]},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}},
        {"chat_template_kwargs": {"enable_thinking": False, "style": "x", "n": 1.5}},
        {"reasoning_effort": "low"},
        {"reasoning_effort": "xhigh", "verbosity": "low", "modalities": ["text"]},
        {"prompt_cache_key": "a", "safety_identifier": "b"},
        dict.fromkeys(("functions", "function_call", "audio", "modalities", "ignore_eos")),
        {"logit_bias": {"5": 100}, "presence_penalty": -1, "max_tokens": 8},
        {"logit_bias": {"5": -100}, "frequency_penalty": 1, "repetition_penalty": 1.2},
    ],
)
def test_what_is_newly_let_in_goes_through_unchanged(members: dict) -> None:
    body = orjson.dumps({"model": "m", "messages": MESSAGES, **members})
    request = read_request(Endpoint.CHAT, body, LIMITS)
    assert request.forwarded_body(5).startswith(body[:-1])
    assert request.tools == len(members.get("tools", []))


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"tools": [TOOL] * 129}, "tools"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"tools": [{**TOOL, "function": {"name": "a b"}}]}, "tools"),
        ({"tools": [{**TOOL, "function": {"name": "x" * 65}}]}, "tools"),
        ({"tools": [{**TOOL, "function": {"name": "f", "parameters": []}}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [], "tool_choice": "required"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}},
         "tool_choice"),
        ({"tools": [TOOL], "tool_choice": "any"}, "tool_choice"),
        ({"functions": []}, "functions"),
        ({"function_call": "auto"}, "function_call"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"reasoning_effort": "a lot"}, "reasoning_effort"),
        ({"safety_identifier": "x" * 513}, "safety_identifier"),
        ({"ignore_eos": True}, "ignore_eos"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"logit_bias": {"5": 1}, "max_tokens": 9}, "logit_bias"),
        ({"presence_penalty": -0.1}, "presence_penalty"),
        ({"frequency_penalty": -2, "max_tokens": 100}, "frequency_penalty"),
        ({"repetition_penalty": 0.9}, "repetition_penalty"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": {"type": "grammar"}}, "response_format"),
        ({"chat_template_kwargs": {"messages": "x"}}, "chat_template_kwargs"),
        ({"chat_template_kwargs": {"x": []}}, "chat_template_kwargs"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [*MESSAGES, {"role": "user", "content": 3}]}, "messages[1].content"),
        ({"messages": [{"role": "user", "content": "x", "tool_calls": []}]},
         "messages[0].tool_calls"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "assistant", "content": None}]}, "messages[0].content"),
        ({"messages": [{**NOTHING, "role": "assistant", "refusal": ""}]}, "messages[0].content"),
        ({"messages": [{"role": "assistant", "content": "x", "annotations": {}}]},
         "messages[0].annotations"),
        ({"messages": [{"role": "assistant", "content": "x", "audio": {"id": "a"}}]},
         "messages[0].audio"),
        ({"messages": [{"role": "assistant", "function_call": {"name": "f", "arguments": ""}}]},
         "messages[0].function_call"),
        ({"messages": [{"role": "user", "content": "x", "annotations": None}]},
         "messages[0].annotations"),
        ({"messages": [{"role": "assistant", "tool_calls": [{**CALL, "function": {}}]}]},
         "messages[0].tool_calls[0]"),
        ({"messages": [{"role": "assistant", "tool_calls": [
            {**CALL, "function": {"name": "f", "arguments": "{"}}]}]},
         "messages[0].tool_calls[0].function.arguments"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
         "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0]"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_part_at_fault(members: dict, param: str) -> None:
    with pytest.raises(RequestError) as caught:
        read(**{"model": "m", "messages": MESSAGES, **members})
    assert caught.value.param == param


@pytest.mark.parametrize("depth", [28, 29])
def test_a_tool_schema_may_fill_the_depth(depth: int) -> None:
    parameters: dict = {}
    for _ in range(depth - 1):
        parameters = {"properties": parameters}
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    if depth == 28:
        assert read(model="m", messages=MESSAGES, tools=[tool]).tools == 1
    else:
        with pytest.raises(MalformedBodyError):
            read(model="m", messages=MESSAGES, tools=[tool])


def test_tools_are_in_the_worst_case() -> None:
    overhead = PromptOverhead(plain=100, with_tools=900)
    plain = read(model="m", messages=MESSAGES)
    tooled = read(model="m", messages=MESSAGES, tools=[TOOL, TOOL])
    assert plain.worst_case_tokens(8192, 5, overhead)[0] == len(plain.body) + 100
    assert tooled.worst_case_tokens(8192, 5, overhead)[0] == len(tooled.body) + 900 + 32


@pytest.mark.parametrize(("n", "best_of", "is_read"), [(2, 2, True), (1, 1, True), (1, 2, False),
                                                       (2, 1, False)])  # fmt: skip
def test_best_of_shows_all_its_answers(n: int, best_of: int, is_read: bool) -> None:
    members = {"model": "m", "prompt": "p", "n": n, "best_of": best_of, "echo": True}
    if is_read:
        assert read(Endpoint.COMPLETIONS, **members).choices == n
    else:
        with pytest.raises(InvalidParameterError, match="cannot be counted again"):
            read(Endpoint.COMPLETIONS, **members)


@pytest.mark.parametrize(
    ("given", "inputs"), [("a", 1), (["a"] * 2048, 2048), ([1, 2], 1), ([[1], [2]], 2)]
)
def test_inputs_to_embed(given: object, inputs: int) -> None:
    request = read(Endpoint.EMBEDDINGS, model="m", input=given, dimensions=3)
    assert (request.prompts, request.choices) == (inputs, 0)
    assert request.worst_case_tokens(64, 512, PromptOverhead())[1] == 0
    assert request.forwarded_body(512) is request.body


@pytest.mark.parametrize("given", ["", [], [""], ["a", ""], [[]], [1, "a"], {}, ["a"] * 2049, None])
def test_bad_inputs_to_embed(given: object) -> None:
    with pytest.raises(RequestError) as caught:
        read(Endpoint.EMBEDDINGS, model="m", input=given)
    assert caught.value.param == "input"


@given(st.sampled_from(["tools", "tool_choice", "response_format", "chat_template_kwargs",
                        "messages", "input", "dimensions", "encoding_format", "echo", "best_of"]),
       values, st.sampled_from(OPENAI))  # fmt: skip
def test_any_value_of_a_new_parameter_is_read_or_refused(
    name: str, value: object, endpoint: Endpoint
) -> None:
    subject = {"messages": MESSAGES, "prompt": "p", "input": "i"}
    mine = {Endpoint.CHAT: "messages", Endpoint.COMPLETIONS: "prompt", Endpoint.EMBEDDINGS: "input"}
    body = {"model": "m", mine[endpoint]: subject[mine[endpoint]], name: value}
    try:
        read_request(endpoint, orjson.dumps(body), LIMITS)
    except RequestError as error:
        assert error.status == 400


def chat(content: str, **members: object) -> bytes:
    messages = [{"role": "user", "content": content}]
    return orjson.dumps({"model": "m", "messages": messages, **members})


@pytest.mark.parametrize(
    ("endpoint", "body", "fits"),
    [
        (Endpoint.CHAT, chat("x" * 300), True),
        (Endpoint.CHAT, chat("x" * 400), False),
        (Endpoint.CHAT, chat("x" * 300, n=5), True),
        (Endpoint.CHAT, chat("\ufdfa" * 10), False),  # eighteen characters each, to some tokenizers
        (Endpoint.CHAT, chat("\n\t" * 10), True),
        (Endpoint.CHAT, chat("hi", tools=[{"type": "function", "function": {"name": "f"}}]), False),
        (Endpoint.CHAT, chat("hi").replace(b"hi", b"\\u0068i"), False),
        (Endpoint.COMPLETIONS, b'{"model":"m","prompt":"%b"}' % (b"x" * 300), True),
        (Endpoint.COMPLETIONS, b'{"model":"m","prompt":["%b","y"]}' % (b"x" * 250), True),
        (Endpoint.COMPLETIONS, b'{"model":"m","prompt":["x","x","x","x","x"]}', True),
        (Endpoint.COMPLETIONS, b'{"model":"m","echo":true,"prompt":"%b"}' % (b"x" * 400), False),
        (Endpoint.EMBEDDINGS, b'{"model":"m","input":[1,2,3]}', True),
    ],
)  # fmt: skip
def test_what_surely_fits_into_the_context(endpoint: Endpoint, body: bytes, fits: bool) -> None:
    request = read_request(endpoint, body, LIMITS)
    assert request.surely_fits(512, 64, PromptOverhead()) is fits
