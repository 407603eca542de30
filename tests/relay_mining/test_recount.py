"""Tokens counted again, by a tokenizer made here, against suppliers that inflate."""

import json
from datetime import UTC, datetime
from threading import Thread

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from relay_mining import (
    Conversation,
    ConversationError,
    Recounter,
    RecountError,
    RecountLimits,
    TemplateError,
    read_conversation,
)

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
SPECIAL = ["<|end|>", "<|im_start|>", "<|im_end|>"]
TEXT = "The capital of France is Paris. Ünïcode 漢字 too, and again the capital."


def train(*corpus: str) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400 * len(corpus), special_tokens=SPECIAL, initial_alphabet=alphabet,
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(corpus * 20, trainer)
    return tokenizer


TOKENIZER = train(TEXT)
JSON = TOKENIZER.to_str().encode()
RECOUNTER = Recounter(JSON, CHATML)
IDS = TOKENIZER.encode(TEXT).ids


def count_output(text: str, ids: list[int] | None) -> int:
    return RECOUNTER.recount_output(text, ids).tokens


def count_chat(messages: object, **body: object) -> int:
    conversation = read_conversation({"messages": messages, **body})
    return RECOUNTER.count_chat(conversation).tokens


def by_bytes(text: str) -> list[int]:
    """The text cut into single bytes: as many tokens as can be made of it."""
    letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return [TOKENIZER.token_to_id(c) for word, _ in letters.pre_tokenize_str(text) for c in word]


def test_ids_that_decode_to_the_text_are_counted_exactly() -> None:
    count = RECOUNTER.recount_output(TEXT, IDS)
    assert (count.tokens, count.is_exact, count.tokens_max) == (len(IDS), True, len(IDS))
    assert count_output(TEXT, [*IDS, 2]) == len(IDS) + 1  # the closing token
    assert count_output("", []) == 0
    assert count_output("", [0]) == 1
    assert count_output("", None) == 0


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
    assert count_chat(messages) == len(TOKENIZER.encode(rendered).ids)
    parts = [{"role": "user", "content": [{"type": "text", "text": TEXT}]}]
    assert count_chat(parts) == count_chat(messages)
    conversation = read_conversation({"messages": messages})
    shorter = RECOUNTER.count_chat(conversation, add_generation_prompt=False)
    assert shorter.tokens < count_chat(messages)
    assert RECOUNTER.count_prompt(TEXT).tokens == len(IDS)
    assert RECOUNTER.count_prompt([5, 6, 7]).tokens == 3
    assert RECOUNTER.count_prompt("").tokens == 0
    assert RECOUNTER.count_prompt("").tokens_max == RecountLimits().input_tokens


def test_special_tokens_are_counted_where_the_spec_says_that_the_engine_adds_them() -> None:
    adding = Tokenizer.from_str(TOKENIZER.to_str())
    adding.post_processor = processors.TemplateProcessing(
        single="<|end|> $A", special_tokens=[("<|end|>", 0)]
    )
    recounter = Recounter(adding.to_str().encode(), CHATML)
    conversation = read_conversation({"messages": [{"role": "user", "content": TEXT}]})
    for count, more in (
        (lambda flag: recounter.count_prompt(TEXT, add_special_tokens=flag), len(IDS)),
        (lambda flag: recounter.count_chat(conversation, add_special_tokens=flag),
         RECOUNTER.count_chat(conversation).tokens),
    ):  # fmt: skip
        assert count(False).tokens == more
        assert count(True).tokens == more + 1


def test_a_template_that_asks_the_date_is_counted_over_three_days() -> None:
    dated = Recounter(JSON, "{{ strftime_now('%d') }}{{ 'x ' * (9 - strftime_now('%d') | int) }}")
    conversation = Conversation(({"role": "user", "content": "hi"},))
    counts = {
        day: dated.count_chat(conversation, now=datetime(2026, 3, day, 12, tzinfo=UTC)).tokens
        for day in (3, 4, 5)
    }
    assert counts[3] > counts[4] > counts[5]
    assert counts[4] == len(TOKENIZER.encode("03" + "x " * 6).ids)
    with pytest.raises(TemplateError, match="date"):
        dated.count_chat(conversation)


def test_messages_that_cannot_be_counted_are_refused() -> None:
    picture = [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]
    for messages in (picture, ["text"], "text", None, [{"role": "user", "content": 3}]):
        with pytest.raises(ConversationError):
            count_chat(messages)
    with pytest.raises(RecountError, match="without a chat template"):
        Recounter(JSON, None).count_chat(Conversation(({"role": "user", "content": "x"},)))


def test_lengths_are_limited() -> None:
    small = Recounter(JSON, CHATML, limits=RecountLimits(text_chars_max=10))
    assert small.recount_output("x" * 10, None).tokens >= 1
    with pytest.raises(RecountError, match="11 characters"):
        small.recount_output("x" * 11, None)
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
    assert Recounter(sly.to_str().encode(), None).recount_output(TEXT, None).tokens == len(IDS)


def test_a_long_conversation_is_within_the_limits() -> None:
    messages = [{"role": "user", "content": "word " * 200}] * 1_000
    assert count_chat(messages) > 200_000


def test_threads_share_one_recounter() -> None:
    counts: list[int] = []
    messages = [{"role": "user", "content": TEXT}]
    threads = [Thread(target=lambda: counts.append(count_chat(messages)))
               for _ in range(8)]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [count_chat(messages)] * 8
