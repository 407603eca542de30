"""Reading and splicing: what is let in, and that no byte of the client's is re-encoded."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.body import RequestLimits, parse_object, splice
from gateway.errors import (
    BodyTooLargeError,
    InvalidParameterError,
    MalformedBodyError,
    RequestError,
    UnknownParameterError,
)
from gateway.openai import Endpoint, PromptOverhead, read_request

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
    for endpoint in Endpoint:
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


def test_an_unknown_name_is_named() -> None:
    with pytest.raises(UnknownParameterError) as caught:
        read(model="m", messages=MESSAGES, zz=1)
    assert caught.value.param == "zz"


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
