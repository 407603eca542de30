"""Answers in parts counted again: tool calls and reasoning, against suppliers that inflate."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_mining import Recounter, RecountLimits, Speech, ToolCall
from tests.relay_mining.test_recount import train

LIMITS = RecountLimits()
ARGUMENTS = {"city": 'Zürich "HB"', "days": [1, 2.5, True, None], "why": {"note": "a\nb"}}
CALL = ToolCall("get_weather", json.dumps(ARGUMENTS))
AS_JSON = json.dumps(ARGUMENTS)
PLAIN_JSON = json.dumps(ARGUMENTS, ensure_ascii=False)
WRITTEN = {
    "hermes": f'<tool_call>\n{{"name": "get_weather", "arguments": {AS_JSON}}}\n</tool_call>',
    "llama": f'{{"name": "get_weather", "parameters": {PLAIN_JSON}}}',
    "xml": """<tool_call>
<function=get_weather>
<parameter=city>
Zürich "HB"
</parameter>
<parameter=days>
[1, 2.5, true, null]
</parameter>
<parameter=why>
{"note": "a\\nb"}
</parameter>
</function>
</tool_call>""",
    "python": """[get_weather(city='Zürich "HB"', days=[1, 2.5], why={'note': 'a\nb'})]""",
}
TOKENIZER = train(*WRITTEN.values(), "<think>\n</think>\n\n The capital of France, easily. Paris.")
RECOUNTER = Recounter(TOKENIZER.to_str().encode(), None)
texts = st.text(max_size=40)
values = st.recursive(texts | st.integers() | st.none(), lambda inner: st.lists(inner, max_size=3)
                      | st.dictionaries(texts, inner, max_size=3), max_leaves=6)  # fmt: skip


def ids_of(text: str) -> list[int]:
    return list(TOKENIZER.encode(text).ids)


def encoded(speech: Speech) -> int:
    parts = [speech.content, speech.reasoning]
    parts += [part for call in speech.calls for part in (call.name, call.arguments)]
    return sum(len(ids_of(part)) for part in parts)


@pytest.mark.parametrize("form", WRITTEN)
def test_ids_of_a_call_in_any_model_s_form_are_counted(form: str) -> None:
    ids = ids_of(WRITTEN[form])
    count = RECOUNTER.recount_speech(Speech("", "", (CALL,)), ids)
    assert (count.tokens, count.is_exact) == (len(ids), True)


def test_without_ids_the_parts_are_counted_and_the_marks_are_tolerance() -> None:
    speech = Speech("Let me look.", "They want weather.", (CALL, CALL))
    count = RECOUNTER.recount_speech(speech, None)
    assert (count.tokens, count.is_exact) == (encoded(speech), False)
    calls = encoded(Speech("", "", (CALL, CALL)))
    marks = LIMITS.reasoning_tokens + 2 * LIMITS.call_tokens + calls * LIMITS.call_bps // 10_000
    assert count.tokens_max == encoded(speech) + RECOUNTER.tolerance(encoded(speech)) + marks


def test_reasoning_is_counted_with_its_marks_and_what_is_hidden_is_not_paid() -> None:
    thought, said = "The capital of France, easily.", "Paris."
    written = f"<think>\n{thought}\n</think>\n\n{said}"
    ids = ids_of(written)
    shown = RECOUNTER.recount_speech(Speech(said, thought), ids)
    assert (shown.tokens, shown.is_exact) == (len(ids), True)
    hidden = RECOUNTER.recount_speech(Speech(said), ids)
    assert (hidden.tokens, hidden.is_exact) == (len(ids_of(said)), False)
    assert hidden.tokens_max == len(ids)


@pytest.mark.parametrize(
    "ids",
    [
        ids_of(WRITTEN["hermes"][:60]),
        ids_of(WRITTEN["hermes"].replace("get_weather", "get_time")),
        ids_of(WRITTEN["hermes"].replace("HB", "HX")),
        ids_of(WRITTEN["hermes"].replace("city", "town")),
        [],
        [10**9],
        [-1],
        [2**32],
    ],
)
def test_ids_of_another_call_prove_nothing(ids: list[int]) -> None:
    speech = Speech("", "", (CALL,))
    count = RECOUNTER.recount_speech(speech, ids)
    assert (count.tokens, count.is_exact) == (encoded(speech), False)


def test_padding_earns_no_more_than_the_allowance() -> None:
    speech = Speech("", "", (CALL,))
    most = RECOUNTER.recount_speech(speech, None).tokens_max
    padded = ids_of(WRITTEN["hermes"] + " and again the capital" * 5_000)
    count = RECOUNTER.recount_speech(speech, padded)
    assert (count.tokens, count.is_exact, count.tokens_max) == (most, False, len(padded))


def test_calls_of_no_name_have_no_allowance() -> None:
    empty = Speech("Paris.", "", (ToolCall("", ""),) * 512)
    padded = ids_of("Paris." + " and again the capital" * 300)
    plain = len(ids_of("Paris."))
    assert RECOUNTER.recount_speech(empty, padded).tokens == plain + RECOUNTER.tolerance(plain)


def test_arguments_cut_short_are_counted_by_what_was_sent() -> None:
    cut = CALL.arguments[:20]
    ids = ids_of(WRITTEN["hermes"].split(cut)[0] + cut)
    count = RECOUNTER.recount_speech(Speech("", "", (ToolCall("get_weather", cut),)), ids)
    assert (count.tokens, count.is_exact) == (len(ids), True)


@pytest.mark.parametrize("speech", [Speech("Let me look."), Speech("Let me look.", "", (CALL,))])
def test_what_an_engine_holds_back_or_swallows_is_unpaid_and_no_lie(speech: Speech) -> None:
    ids = ids_of("Let me look." + WRITTEN["hermes"] + WRITTEN["python"] * 9)
    cut = RECOUNTER.recount_speech(speech, ids)
    assert cut.tokens <= RECOUNTER.recount_speech(speech, None).tokens_max
    assert cut.tokens_max == len(ids) > cut.tokens
    other = RECOUNTER.recount_speech(Speech("Another text."), ids)
    assert other.tokens == len(ids_of("Another text."))
    assert other.tokens_max < len(ids)


@pytest.mark.parametrize("token", ["<|im_start|>", "!"])
@pytest.mark.parametrize("said", ["", "The capital"])
def test_one_token_that_a_client_has_repeated_is_no_lie(token: str, said: str) -> None:
    text = "!" * 80
    merging = Recounter(train(text * 20).to_str().encode(), None)
    tokenizer = train(text * 20)
    ids = [*tokenizer.encode(said).ids, *[tokenizer.token_to_id(token)] * 4_096]
    shown = tokenizer.decode(ids)  # as engines show it: special tokens are left out
    count = merging.recount_speech(Speech(shown), ids)
    encoded = len(tokenizer.encode(shown).ids)
    assert count.tokens <= encoded + merging.tolerance(encoded) < 1_000
    assert count.tokens_max == len(ids)


@given(st.dictionaries(texts, values, max_size=3), texts, st.booleans())
def test_whatever_a_call_says_its_own_json_holds(
    arguments: dict[str, object], content: str, is_ascii: bool
) -> None:
    text = json.dumps(arguments, ensure_ascii=is_ascii)
    speech = Speech(content, "", (ToolCall("f", text),))
    assert speech.is_within(content + '{"name": "f", "arguments": ' + text + "}")


@given(st.text(min_size=1, max_size=20).filter(str.strip))
def test_what_was_not_written_is_missed(secret: str) -> None:
    marked = "\x01" + secret.strip() + "\x02"
    speech = Speech("hello", "", (ToolCall("f", json.dumps({"a": marked})),))
    assert not speech.is_within("hello f a")


@pytest.mark.timeout(20)
def test_a_huge_call_is_not_searched_for_ever() -> None:
    many = json.dumps(["a"] * 200_000)
    speech = Speech("", "", (ToolCall("f", many),))
    assert not speech.is_within("f" + "a" * 2_000_000)
    deep = "[" * 500 + "]" * 500
    assert Speech("", "", (ToolCall("f", deep),)).is_within("f")
