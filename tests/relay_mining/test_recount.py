"""Tokens counted again, by a tokenizer made here, against suppliers that inflate."""

import json
import sys
from datetime import UTC, datetime
from threading import Thread

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from relay_mining import ChatTemplate, Recounter, RecountError, RecountLimits, TemplateError

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
SPECIAL = ["<|end|>", "<|im_start|>", "<|im_end|>"]
TEXT = "The capital of France is Paris. Ünïcode 漢字 too, and again the capital."


def train() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([TEXT] * 20, trainer)
    return tokenizer


TOKENIZER = train()
JSON = TOKENIZER.to_str().encode()
RECOUNTER = Recounter(JSON, CHATML)
IDS = TOKENIZER.encode(TEXT).ids


def by_bytes(text: str) -> list[int]:
    """The text cut into single bytes: as many tokens as can be made of it."""
    letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return [TOKENIZER.token_to_id(c) for word, _ in letters.pre_tokenize_str(text) for c in word]


def test_ids_that_decode_to_the_text_are_counted_exactly() -> None:
    count = RECOUNTER.recount_output(TEXT, IDS)
    assert (count.tokens, count.is_exact, count.tokens_max) == (len(IDS), True, len(IDS))
    assert RECOUNTER.count_output(TEXT, [*IDS, 2]) == len(IDS) + 1  # the closing token
    assert RECOUNTER.count_output("", []) == 0
    assert RECOUNTER.count_output("", [0]) == 1
    assert RECOUNTER.count_output("", None) == 0


def test_another_cut_of_the_same_text_is_counted_within_the_tolerance() -> None:
    resampled = [*by_bytes(TEXT[:6]), *TOKENIZER.encode(TEXT[6:]).ids]
    assert TOKENIZER.decode(resampled) == TEXT
    count = RECOUNTER.recount_output(TEXT, resampled)
    assert (count.tokens, count.is_exact) == (len(resampled), True)


def test_a_text_cut_into_its_bytes_earns_no_more_than_the_tolerance() -> None:
    text = TEXT * 20
    encoded = len(TOKENIZER.encode(text).ids)
    ids = by_bytes(text)
    assert TOKENIZER.decode(ids) == text
    assert len(ids) > 2 * encoded
    count = RECOUNTER.recount_output(text, ids)
    assert not count.is_exact
    assert count.tokens == count.tokens_max == encoded + 8 + encoded // 10


@pytest.mark.parametrize(
    "ids",
    [[*IDS, *([0] * 1_000)], [*IDS, 0, 0], [0, *IDS], [*IDS, *IDS], IDS[:-1], [10**9], [-1],
     [2**32], [], [*IDS, 399, 2]],
)  # fmt: skip
def test_ids_of_another_text_prove_nothing(ids: list[int]) -> None:
    count = RECOUNTER.recount_output(TEXT, ids)
    assert (count.tokens, count.is_exact) == (len(IDS), False)
    assert count.tokens_max == len(IDS) + RECOUNTER.tolerance(len(IDS))


def test_a_stop_string_may_cut_the_text_short_and_nothing_else_may() -> None:
    cut = TEXT.index(" Ünï")
    stopped, ids = TEXT[:cut], TOKENIZER.encode(TEXT[: cut + 4]).ids
    assert RECOUNTER.recount_output(stopped, ids, stop=[" Ün"]).is_exact
    assert not RECOUNTER.recount_output(stopped, ids, stop=["Paris"]).is_exact
    assert not RECOUNTER.recount_output(stopped, ids, stop=[""]).is_exact
    assert not RECOUNTER.recount_output(stopped, ids).is_exact


def test_a_character_that_was_still_incomplete_is_forgiven() -> None:
    ids = TOKENIZER.encode("so 漢").ids[:-1]
    text = TOKENIZER.decode(ids).rstrip("\ufffd")
    assert text == "so "
    assert RECOUNTER.recount_output(text, ids).is_exact


def test_a_prompt_is_counted_as_its_engine_sees_it() -> None:
    messages = [{"role": "user", "content": TEXT}]
    rendered = f"<|im_start|>user\n{TEXT}<|im_end|><|im_start|>assistant\n"
    assert RECOUNTER.count_prompt(messages) == len(TOKENIZER.encode(rendered).ids)
    parts = [{"role": "user", "content": [{"type": "text", "text": TEXT}]}]
    assert RECOUNTER.count_prompt(parts) == RECOUNTER.count_prompt(messages)
    shorter = RECOUNTER.count_prompt(messages, add_generation_prompt=False)
    assert shorter < RECOUNTER.count_prompt(messages)
    assert RECOUNTER.count_prompt(TEXT) == len(IDS)
    assert RECOUNTER.count_prompt([5, 6, 7]) == 3
    assert RECOUNTER.count_prompt("") == 0


def test_messages_that_cannot_be_counted_are_refused() -> None:
    picture = [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]
    for messages in (picture, ["text"], [{"role": "user"}]):
        with pytest.raises((RecountError, TemplateError)):
            RECOUNTER.count_prompt(messages)  # type: ignore[arg-type]
    with pytest.raises(RecountError, match="without a chat template"):
        Recounter(JSON, None).count_prompt([{"role": "user", "content": "x"}])


def test_lengths_are_limited() -> None:
    small = Recounter(JSON, CHATML, limits=RecountLimits(text_chars_max=10))
    assert small.count_output("x" * 10, None) >= 1
    with pytest.raises(RecountError, match="11 characters"):
        small.count_output("x" * 11, None)
    assert not small.recount_output("x", [5] * 11).is_exact
    with pytest.raises(RecountError, match="bytes"):
        Recounter(JSON, None, limits=RecountLimits(tokenizer_bytes_max=len(JSON) - 1))


@pytest.mark.parametrize(
    "hostile",
    [b"", b"{}", b"\xff\xfe", JSON[:-1], json.dumps({"model": None}).encode(), b"[" * 100_000],
)
def test_a_hostile_tokenizer_is_refused(hostile: bytes) -> None:
    with pytest.raises(RecountError):
        Recounter(hostile, None)


def test_truncation_that_the_tokenizer_asks_for_is_not_obeyed() -> None:
    sly = Tokenizer.from_str(TOKENIZER.to_str())
    sly.enable_truncation(3)
    sly.enable_padding(length=50)
    assert Recounter(sly.to_str().encode(), None).count_output(TEXT, None) == len(IDS)


REAL = """{{- bos_token }}{%- set ns = namespace(system='') %}
{%- if messages[0]['role'] == 'system' %}{%- set ns.system = messages[0]['content'] | trim %}
{%- set messages = messages[1:] %}{%- endif %}
{%- macro turn(m) %}[{{ m.role | upper }}] {{ m.content }}{% endmacro %}
{%- for m in messages if m.role != 'tool' %}{%- if loop.first and ns.system %}
{{- ns.system ~ '\\n' }}{%- endif %}{{- turn(m) ~ loop.index ~ '/' ~ loop.length }}
{%- if m.tool_calls is defined and m.tool_calls %}{{ m.tool_calls | tojson }}{% endif %}
{%- if (loop.index0 % 2 == 0) != (m['role'] == 'user') %}
{{- raise_exception('roles must alternate') }}{% endif %}{%- endfor %}
{%- generation %}{{ strftime_now('%d %b %Y') }}{% endgeneration %}
{{- messages | map(attribute='content') | join('|') }}"""


def test_what_real_templates_use_is_rendered() -> None:
    template = ChatTemplate(REAL, {"bos_token": "<s>"})
    messages = [
        {"role": "system", "content": " Be brief. "},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "tool_calls": [{"name": "é"}]},
    ]
    now = datetime(2026, 1, 2, tzinfo=UTC)
    assert template.render(messages, now=now) == (
        '<s>Be brief.\n[USER] a1/2[ASSISTANT] b2/2[{"name": "é"}]02 Jan 2026a|b'
    )
    with pytest.raises(TemplateError, match="roles must alternate"):
        template.render(messages[1:] + messages[1:2] * 2, now=now)
    with pytest.raises(TemplateError, match="date"):
        template.render(messages)


DOUBLING = "{% set n=namespace(x='aa', y=[1], z=[1]) %}{% for i in range(60) %}"
LONG = "{% set a='x'*100000 %}{% for i in range(99999) %}"
TWICE = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"

HOSTILE = {
    "huge range": "{% for i in range(1000000000) %}{% endfor %}",
    "nested loops": TWICE,
    "doubled by ~": DOUBLING + "{% set n.x = n.x ~ n.x %}{% endfor %}",
    "doubled by +": DOUBLING + "{% set n.x = n.x + n.x %}{% endfor %}",
    "doubled block": DOUBLING + "{% set n.x %}{{ n.x }}{{ n.x }}{% endset %}{% endfor %}",
    "shared lists": DOUBLING + "{% set n.y = [n.y, n.y] %}{% endfor %}{{ n.y }}",
    "compared lists": DOUBLING + "{% set n.y = [n.y, n.y] %}{% set n.z = [n.z, n.z] %}{% endfor %}"
    "{{ n.y == n.z }}",
    "repeated text": "{{ 'a' * 1000000000 }}",
    "repeated list": "{{ [1] * 1000000000 }}",
    "power": "{{ 2 ** 1000000000 }}",
    "wide %": "{{ '%1000000000d' % 1 }}",
    "wide format": "{{ '{:1000000000}'.format(1) }}",
    "wide center": "{{ 'x'.center(1000000000) }}",
    "wide filter": "{{ 'x' | center(1000000000) }}",
    "wide indent": "{{ [1] | tojson(indent=1000000000) }}",
    "round": "{{ 1.5 | round(100000000, 'floor') }}",
    "exponential macro": "{% macro f(n) %}{{ f(n-1) }}{{ f(n-1) }}{% endmacro %}{{ f(60) }}",
    "written text": "{% for i in range(99999) %}" + "y" * 50_000 + "{% endfor %}",
    "replace product": "{% set a='x'*1000000 %}{{ a.replace('x', a) }}",
    "join product": "{% set a='x'*1000000 %}{{ a.join(a) }}",
    "filter product": "{% set a='x'*1000000 %}{{ a | replace('x', a) }}",
    "search": LONG + "{{ 'zz' in a }}{% endfor %}",
    "slices": LONG + "{% set b = a[1:] %}{% endfor %}",
    "recursive loop": "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "hidden budget": "{% set __budget__ = 3 %}" + TWICE,
    "include": "{% include 'x' %}",
    "lipsum": "{{ lipsum(100000) }}",
    "Python's insides": "{{ ''.__class__.__mro__ }}",
    "globals": "{{ cycler.__init__.__globals__ }}",
    "attr": "{{ (messages | map(attribute='__class__') | first).__mro__ }}",
    "changed messages": "{{ messages.append(1) }}",
    "deep brackets": "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
    "endless macro": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "deep blocks": "{% if 1 %}" * 5_000 + "{% endif %}" * 5_000,
    "deep set blocks": "{% set a %}" * 5_000 + "{% endset %}" * 5_000,
    "long elif": "{% if 0 %}" + "{% elif 0 %}" * 9_000 + "{% endif %}",
    "long not": "{{ " + "not " * 30_000 + "1 }}",
    "long sum": "{{ " + "1+" * 30_000 + "1 }}",
    "long attribute": "{{ a" + ".a" * 30_000 + " }}",
    "nested lazies": "{% set n = namespace(x=[[1]]) %}{% for i in range(90000) %}"
    "{% set n.x = n.x | map('list') %}{% endfor %}{{ n.x | list }}",
    "nested hidden lazies": "{% set n = namespace(x=[1]) %}{% for i in range(90000) %}"
    "{% set n.x = [n.x] | map('_turns', 0) | first %}{% endfor %}{{ n.x | list }}",
    "long number": "{{ " + "9" * 5_000 + " }}",
    "big number": "{{ " + "9" * 30 + " }}",
    "wide date": "{{ strftime_now('%1000000000d') }}",
    "no syntax": "{% for %}",
    "too long": " " * (1 << 18),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_is_stopped(name: str) -> None:
    """Under the recursion limit that a process which speaks web3 has."""
    messages = [{"role": "user", "content": "hi"}]
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    try:
        with pytest.raises(TemplateError):
            Recounter(JSON, HOSTILE[name]).count_prompt(
                messages, now=datetime(2026, 1, 2, tzinfo=UTC)
            )
    finally:
        sys.setrecursionlimit(limit)


def test_a_long_conversation_is_within_the_limits() -> None:
    messages = [{"role": "user", "content": "word " * 200}] * 1_000
    assert RECOUNTER.count_prompt(messages) > 200_000


def test_threads_share_one_recounter() -> None:
    counts: list[int] = []
    messages = [{"role": "user", "content": TEXT}]
    threads = [Thread(target=lambda: counts.append(RECOUNTER.count_prompt(messages)))
               for _ in range(8)]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [RECOUNTER.count_prompt(messages)] * 8
