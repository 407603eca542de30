"""A supplier's stream, read in any pieces, passes on every byte but what is held back by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UpstreamBrokenError
from gateway.routing.sse import Frame, StreamReader

WORD = b'data: {"choices":[{"index":0,"text":"a"}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":2,"completion_tokens":1}}\n\n'
PIECES = (WORD, USAGE, b"\n", b": ping\n\n", b'data: torn "usage"}\r\n\n')


def read_whole(stream: bytes, size: int) -> tuple[bytes, StreamReader]:
    reader, forwarded = StreamReader(wants_usage=True, bytes_max=1 << 16), b""
    for start in range(0, len(stream), size):
        for piece in reader.read(stream[start : start + size]):
            assert not isinstance(piece, Frame)
            forwarded += piece
    return forwarded, reader


def test_a_blank_line_after_the_usage_is_not_swallowed() -> None:
    forwarded, reader = read_whole(WORD + USAGE + b"\n" + WORD, 1 << 16)
    assert forwarded == WORD + b"\n" + WORD
    assert reader.usage == USAGE


@given(st.lists(st.sampled_from(PIECES), max_size=8), st.integers(1, 200))
def test_everything_but_the_usage_is_forwarded(pieces: list[bytes], size: int) -> None:
    stream = b"".join([*pieces, WORD])
    forwarded, reader = read_whole(stream, size)
    assert reader.body == stream
    kept = stream.replace(USAGE, b"")
    assert forwarded.replace(b"\n", b"") == kept.replace(b"\n", b"")


@given(st.integers(1, 200))
def test_comments_wait_for_the_first_data_and_come_before_it(size: int) -> None:
    reader, comments, last = StreamReader(False, 1 << 16), b": ping\n\n: pong\n\n", b": x\n\n"
    for stream, passed in (
        (comments, b""), (USAGE, b""), (WORD, comments + WORD), (last, last),
    ):  # fmt: skip
        pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
        forwarded = [each for piece in pieces for each in reader.read(piece)]
        assert b"".join(each for each in forwarded if isinstance(each, bytes)) == passed
    assert reader.body == comments + USAGE + WORD + last


@pytest.mark.parametrize("before", [b"", b": ping\n\n", b": ping\n\n\n", b"event: error\n"])
def test_an_engine_that_fails_before_any_word_leaves_room_for_another(before: bytes) -> None:
    reader = StreamReader(False, 1 << 16)
    with pytest.raises(UpstreamBrokenError):
        list(reader.read(before + b'data: {"error":{"message":"no"}}\n\n'))
