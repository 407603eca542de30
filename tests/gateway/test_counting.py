"""Counting whole answers, without a socket: what is counted as what; nothing crashes it."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.openai import Endpoint, PromptOverhead
from gateway.errors import UpstreamInvalidError
from gateway.routing.specs import find_spec
from gateway.settlement.answers import read_choices, read_vector_indices
from gateway.settlement.counting import UNKNOWN, Count, CountFiles, CountJob, ServiceCounter
from relay_mining import Speech, ToolCall
from supplier.engines import (
    EngineSpec,
    compute_service_spec,
    encode_service_spec,
    hash_service_spec,
)
from tests.factories import SERVICE
from tests.gateway.endpoints import OPENAI
from tests.gateway.fakes import TEMPLATE, TOKENIZER, encode
from tests.supplier.engines.parts import DEMO

COUNTER = ServiceCounter(CountFiles(SERVICE, TOKENIZER, TEMPLATE))
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HI = [{"role": "user", "content": "hi"}]
members = st.sampled_from(["choices", "message", "delta", "content", "text", "index", "token_ids",
                           "tool_calls", "function", "name", "arguments", "reasoning", "data",
                           "embedding"])  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(members, inner, max_size=4),
    max_leaves=12,
)
answers = st.dictionaries(members, values, max_size=4)


def count(
    endpoint: Endpoint, body: dict[str, Any], *parts: dict[str, Any], stream: bool = False
) -> Count:
    events = b"".join(b"data: " + orjson.dumps(part) + b"\n\n" for part in parts)
    answer = events if stream else orjson.dumps(parts[0])
    return COUNTER.count(CountJob(SERVICE, endpoint, orjson.dumps(body), answer, stream, NOW))


@given(answers, st.booleans(), st.sampled_from(OPENAI))
def test_any_answer_is_counted_or_unknown(
    answer: dict[str, Any], stream: bool, endpoint: Endpoint
) -> None:
    body = {"messages": HI, "prompt": "p", "input": "i", "echo": True}
    counted = count(endpoint, body, answer, stream=stream)
    assert counted == UNKNOWN or counted.input_tokens is not None


@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_are_an_answer_of_no_choices(data: bytes, stream: bool) -> None:
    assert read_choices(data, stream) == {}
    assert read_vector_indices(data) == frozenset()


def test_a_call_in_pieces_is_one_call() -> None:
    deltas = [
        {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 1, "function": {"name": "g", "arguments": "{"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "}"}},
                        {"index": 0, "function": {"arguments": ":1}"}}]},
        {"reasoning": "one ", "reasoning_content": "one "},
        {"reasoning_content": "two"},
    ]  # fmt: skip
    parts = [{"choices": [{"index": 0, "delta": delta, "token_ids": [1]}]} for delta in deltas]
    events = b"".join(b"data: " + orjson.dumps(part) + b"\n\n" for part in parts)
    (choice,) = read_choices(events, True).values()
    assert choice.speech == Speech("", "one two", (ToolCall("f", '{"a":1}'), ToolCall("g", "{}")))
    assert choice.token_ids == [1] * 6


@pytest.mark.parametrize(
    "said", [{"content": "x"}, {"reasoning": "x"}, {"tool_calls": [{"function": {"name": "x"}}]}]
)
def test_a_part_without_ids_leaves_an_answer_without_proof(said: dict[str, Any]) -> None:
    parts = [{"choices": [{"delta": {}, "token_ids": [1]}]}, {"choices": [{"delta": said}]}]
    events = b"".join(b"data: " + orjson.dumps(part) + b"\n\n" for part in parts)
    assert read_choices(events, True)[0].token_ids is None


def test_answers_that_were_not_asked_for_are_not_paid() -> None:
    choices = [{"index": i, "text": "abcd", "token_ids": encode("abcd")} for i in range(9)]
    counted = count(Endpoint.COMPLETIONS, {"prompt": ["a", "b"], "n": 2}, {"choices": choices})
    assert (counted.input_tokens, counted.output_tokens) == (2, 16)


def test_calls_of_tools_that_nobody_offered_are_not_paid() -> None:
    calls = [{"index": i, "function": {"name": "f", "arguments": "{}"}} for i in range(9)]
    message = {"content": "abcd", "tool_calls": calls}
    answer = {"choices": [{"message": message, "token_ids": encode("abcd" + "f{}" * 9)}]}
    body = {"messages": HI, "tools": [{"function": {"name": "f"}}]}
    assert count(Endpoint.CHAT, body, answer).output_tokens == 31
    assert count(Endpoint.CHAT, {"messages": HI}, answer).output_tokens == 4
    unpaid = count(Endpoint.CHAT, {"messages": HI}, answer).output_tokens_max
    assert unpaid is not None
    assert unpaid >= 31


def test_an_echo_is_taken_off_where_it_stands_and_nowhere_else() -> None:
    def outputs(prompt: Any, *texts: str, n: int = 1) -> int | None:
        choices = [{"index": i, "text": text} for i, text in enumerate(texts)]
        body = {"prompt": prompt, "n": n, "echo": True}
        return count(Endpoint.COMPLETIONS, body, {"choices": choices}).output_tokens

    assert outputs("ab", "abab") == 2
    assert outputs("ab", "cdab") == 4
    assert outputs(["ab", "c"], "abx", "abyy", "cx", "czz", n=2) == 6
    assert outputs(encode("ab"), "abxyz") == 3
    assert outputs([10**6], "abxyz") == 5


def test_the_template_is_told_the_date_of_the_job() -> None:
    dated = ServiceCounter(CountFiles(SERVICE, TOKENIZER, "{{ strftime_now('%A') }}"))
    body = orjson.dumps({"messages": HI})
    job = CountJob(SERVICE, Endpoint.CHAT, body, b"{}", False, NOW)
    assert dated.count(job).input_tokens == len("Wednesday")  # the day before a Thursday


def test_special_tokens_are_given_to_the_template() -> None:
    files = CountFiles(SERVICE, TOKENIZER, "{{ bos_token }}{{ messages[0].content }}",
                       {"bos_token": "<bos>"})  # fmt: skip
    job = CountJob(SERVICE, Endpoint.CHAT, orjson.dumps({"messages": HI}), b"{}", False, NOW)
    assert ServiceCounter(files).count(job).input_tokens == len("<bos>hi")


def test_what_a_template_adds_is_measured() -> None:
    long = "{% if tools %}" + "t" * 900 + "{% endif %}" + "s" * 500
    overhead = ServiceCounter(CountFiles(SERVICE, TOKENIZER, long)).measure_overhead()
    assert (overhead.plain, overhead.with_tools) == (532, 1432)
    for template in (None, "{{ raise_exception('no') }}", "", "{{ 'x' * 10000000 }}"):
        counter = ServiceCounter(CountFiles(SERVICE, TOKENIZER, template))
        assert counter.measure_overhead() == PromptOverhead()


def test_a_supplier_s_spec_is_read_as_it_was_written() -> None:
    spec = compute_service_spec(DEMO, EngineSpec("lode-demo", "embedded"))
    document = {"services": [{"spec": orjson.loads(encode_service_spec(spec))}]}
    read = find_spec(document, hash_service_spec(spec))
    assert (read.name, read.task, read.context_length) == ("lode-demo", "generate", 1024)
    assert read.special_tokens == spec.special_tokens
    assert (read.chat_adds_special_tokens, read.prompt_adds_special_tokens) == (False, True)


@pytest.mark.parametrize(
    "tokens",
    [
        {"messages": "x"},
        {"bos_token": 1},
        {"bos_token": "x" * 257},
        {"x" * 60 + "_token": ""},
        {f"{i}_token": "" for i in range(65)},
        ["bos_token"],
        None,
    ],
)
def test_a_hostile_spec_is_refused(tokens: Any) -> None:
    honest = compute_service_spec(DEMO, EngineSpec("m", "embedded"))
    spec = orjson.loads(encode_service_spec(honest))
    spec["special_tokens"] = tokens
    canonical = orjson.dumps(spec, option=orjson.OPT_SORT_KEYS)
    with pytest.raises(UpstreamInvalidError, match="lacks a field"):
        find_spec(spec, hashlib.sha256(canonical).digest())
