"""Counting a stream from what each of its events carries."""

from typing import Any

import orjson
import pytest

from relay_mining import UnitWeights
from supplier.server.usage import EngineAnswerError, StreamMeter, parse_body


def event(**members: Any) -> bytes:
    return b"data: " + orjson.dumps(members) + b"\n\n"


def test_one_of_several_prompts_does_not_stand_for_them_all() -> None:
    meter = StreamMeter(UnitWeights(0, 1, 0, 4), prompt_tokens=9)
    for index, ids in enumerate(([1, 2, 3, 4], [5, 6], [7, 8, 9])):
        meter.read(event(choices=[{"index": index, "prompt_token_ids": ids, "token_ids": [1]}]))

    assert (meter.prompt_tokens, meter.output) == (9, 3)


def test_the_engine_s_word_on_the_one_prompt_of_a_chat_counts() -> None:
    meter = StreamMeter(UnitWeights(0, 1, 0, 4), prompt_tokens=9)
    meter.read(event(prompt_token_ids=[1, 2, 3], choices=[]))

    assert meter.prompt_tokens == 3


def test_a_prompt_that_was_not_counted_before_is_never_less_than_one_of_its_parts() -> None:
    meter = StreamMeter(UnitWeights(0, 1, 0, 4))
    meter.read(event(choices=[{"prompt_token_ids": [1, 2]}, {"prompt_token_ids": [3, 4, 5]}]))

    assert meter.prompt_tokens == 3


@pytest.mark.parametrize(
    ("prompt", "counted", "reserved"),
    [("long", 5_000, 64), (["a", "long"], 5_000, 128), ("a", 3, 3)],
)
def test_a_prompt_beyond_the_context_is_the_engine_s_to_refuse(
    prompt: object, counted: int, reserved: int
) -> None:
    body = parse_body("/v1/completions", orjson.dumps({"prompt": prompt, "max_tokens": 8}))

    assert body.demand(counted, 64).input_tokens_max == reserved


@pytest.mark.parametrize(
    "members",
    [
        b'"choices":true',
        b'"choices":[null]',
        b'"choices":[{"index":[],"token_ids":[1]}]',
        b'"choices":[],"usage":{"prompt_tokens_details":[1]}',
    ],
)
def test_an_engine_s_answer_of_another_form_is_refused_by_name(members: bytes) -> None:
    with pytest.raises(EngineAnswerError):
        StreamMeter(UnitWeights(0, 1, 0, 4)).read(b"data: {" + members + b"}")


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (b'{"error":{"message":"out of memory"}}', "out of memory"),
        (b'{"error":"out of memory"}', "out of memory"),
        (b'{"error":' + b"[" * 1000 + b"]" * 1000 + b"}", "does not say why"),
        (b'{"usage":{"prompt_tokens":' + b"[" * 1000 + b"]" * 1000 + b"}}", "token counts"),
    ],
)
def test_what_an_engine_says_of_its_failure_is_a_text(event: bytes, says: str) -> None:
    with pytest.raises(EngineAnswerError, match=says):
        StreamMeter(UnitWeights(0, 1, 0, 4)).read(b"data: " + event)
