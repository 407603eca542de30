"""Text in pieces: whole characters only, nothing lost, stop strings found across pieces."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from relay_mining import ChatTemplate
from supplier.engines.embedded.chat_template import load_chat_template, render_chat
from supplier.engines.embedded.detokenizer import WindowDetokenizer, make_detokenizer
from supplier.engines.embedded.errors import ModelError, RequestError
from supplier.engines.embedded.stops import StopMatcher
from supplier.engines.embedded.tokenizer import TextTokenizer
from tests.supplier.engines.parts import DEMO, demo_tokenizer


def make_byte_fallback_tokenizer() -> TextTokenizer:
    """Return a SentencePiece-like tokenizer: spaces as U+2581, unknown characters as bytes."""
    names = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", "a", "b", "c"]
    vocabulary = {name: index for index, name in enumerate(names)}
    tokenizer = Tokenizer(
        models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>", byte_fallback=True)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return TextTokenizer(tokenizer, json.loads(tokenizer.to_str()))


SENTENCEPIECE = make_byte_fallback_tokenizer()
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def pieces_of(tokenizer: TextTokenizer, tokens: list[int], skip: bool = True) -> list[str]:
    detokenizer = make_detokenizer(tokenizer, skip_special_tokens=skip)
    return [*(detokenizer.push(token) for token in tokens), detokenizer.finish()]


@given(TEXTS)
def test_pieces_join_to_the_text_and_none_is_broken(text: str) -> None:
    tokens = demo_tokenizer().encode(text, add_special_tokens=False)
    pieces = pieces_of(demo_tokenizer(), tokens, skip=False)
    assert "".join(pieces) == text
    assert "\ufffd" in text or not any("\ufffd" in piece for piece in pieces)


@given(st.lists(st.integers(0, 1023), max_size=60), st.booleans())
def test_any_tokens_decode_in_pieces_as_at_once(tokens: list[int], skip: bool) -> None:
    whole = demo_tokenizer().decode(tokens, skip_special_tokens=skip)
    assert "".join(pieces_of(demo_tokenizer(), tokens, skip)) == whole


@given(TEXTS)
def test_other_decoders_give_whole_characters_too(text: str) -> None:
    tokens = SENTENCEPIECE.encode(text, add_special_tokens=False)
    pieces = pieces_of(SENTENCEPIECE, tokens)
    assert "".join(pieces) == SENTENCEPIECE.decode(tokens, skip_special_tokens=True)
    assert "\ufffd" in text or not any("\ufffd" in piece for piece in pieces)


def test_other_decoders_use_the_window() -> None:
    detokenizer = make_detokenizer(SENTENCEPIECE, skip_special_tokens=True)
    assert isinstance(detokenizer, WindowDetokenizer)
    tokens = SENTENCEPIECE.encode("a €b", add_special_tokens=False)
    assert [detokenizer.push(token) for token in tokens] == ["a", " ", "", "", "€", "b"]


def test_a_character_cut_by_the_end_is_shown_as_broken() -> None:
    tokens = demo_tokenizer().encode("\U0001f600", add_special_tokens=False)
    assert len(tokens) == 4
    assert pieces_of(demo_tokenizer(), tokens[:3]) == ["", "", "", "\ufffd"]


def test_token_bytes_of_both_kinds() -> None:
    euro = demo_tokenizer().encode("€", add_special_tokens=False)
    assert b"".join(map(demo_tokenizer().token_bytes, euro)) == "€".encode()
    assert demo_tokenizer().token_bytes(1) == b"<|im_start|>"
    assert demo_tokenizer().token_bytes(10**6) == b""
    euro = SENTENCEPIECE.encode(" €", add_special_tokens=False)
    assert b"".join(map(SENTENCEPIECE.token_bytes, euro)) == " €".encode()


@given(
    st.text("ab", max_size=30),
    st.lists(st.text("ab", min_size=1, max_size=4), max_size=3),
    st.lists(st.integers(0, 4), min_size=1, max_size=30),
    st.booleans(),
)
def test_stops_are_found_however_the_text_is_cut(
    text: str, stops: list[str], cuts: list[int], include: bool
) -> None:
    matcher = StopMatcher(tuple(stops), include=include)
    given_out, place, index, found = "", 0, 0, None
    while place < len(text) and found is None:
        size = max(1, cuts[index % len(cuts)])
        match = matcher.push(text[place : place + size])
        given_out, found = given_out + match.text, match.stop
        place, index = place + size, index + 1
    if found is None:
        assert given_out + matcher.finish() == text
        assert not any(stop in text for stop in stops)
    else:
        end = len(given_out) if include else len(given_out) + len(found)
        assert text[:end] == (given_out if include else given_out + found)


def test_the_earliest_stop_wins_and_the_longer_of_two_at_one_place() -> None:
    matcher = StopMatcher(("cd", "bcd", "b"))
    assert matcher.push("ab").stop == "b"
    matcher = StopMatcher(("bc", "bcd"))
    match = matcher.push("abcd")
    assert (match.text, match.stop) == ("a", "bcd")


def test_nothing_is_held_back_that_cannot_become_a_stop() -> None:
    matcher = StopMatcher(("\n\n",))
    assert matcher.push("a\n").text == "a"
    assert matcher.push("b").text == "\nb"
    assert matcher.finish() == ""


def test_what_a_template_refuses_is_the_client_s_fault() -> None:
    template = ChatTemplate("{{ raise_exception('no') }}")
    with pytest.raises(RequestError, match="no"):
        render_chat(template, [{"role": "user", "content": "x"}], add_generation_prompt=True)


def test_a_directory_s_template_is_given_its_special_tokens(tmp_path: Path) -> None:
    shutil.copytree(DEMO, tmp_path, dirs_exist_ok=True)
    (tmp_path / "chat_template.jinja").write_text("{{ bos_token }}{{ messages[0].content }}")
    (tmp_path / "tokenizer_config.json").write_text('{"bos_token": {"content": "<s>"}}')
    template = load_chat_template(tmp_path)
    assert template is not None
    messages = [{"role": "user", "content": "x"}]
    assert render_chat(template, messages, add_generation_prompt=True) == "<s>x"
    (tmp_path / "chat_template.jinja").write_text("{% for %}")
    with pytest.raises(ModelError):
        load_chat_template(tmp_path)
