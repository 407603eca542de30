"""The request parser: the same answer however the bytes are cut, and none it cannot name."""

from hypothesis import given, settings
from hypothesis import strategies as st

import node.http
from node.http import Limits
from node.http.request_reader import ParsedRequest, Phase, Refusal, RequestReader

LIMITS = Limits(header_bytes_max=1000, body_bytes_max=500)
NAMES = st.sampled_from([b"Accept", b"x-a", b"Authorization", b"X-LONG" * 10])
VALUES = st.binary(max_size=40).map(lambda b: b.hex().encode())
BODIES = st.binary(max_size=600)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """One well-formed request, its body within or past the limit."""
    head = b"POST /%b HTTP/1.1\r\nHost: a\r\n" % draw(VALUES)
    for name in draw(st.lists(NAMES, max_size=4)):
        head += b"%b: %b\r\n" % (name, draw(VALUES))
    body = draw(BODIES)
    if draw(st.booleans()):
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    size = draw(st.integers(1, 300))
    chunks = [body[i : i + size] for i in range(0, len(body), size)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"


def read(parts: list[bytes]) -> list[tuple[object, ...]]:
    reader = RequestReader(LIMITS)
    for part in parts:
        reader.feed(part)
    return [
        (item.status,)
        if isinstance(item, Refusal)
        else (item.method, item.target, tuple(item.headers), item.body, item.keep_alive)
        for item in reader.ready
    ]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places})
    return [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]


@given(st.lists(requests(), min_size=1, max_size=4), st.lists(st.integers(0, 10**6), max_size=30))
@settings(max_examples=200)
def test_cuts_change_nothing(parts: list[bytes], places: list[int]) -> None:
    data = b"".join(parts)
    whole = read([data])
    assert read(cut(data, places)) == whole
    assert read([data[i : i + 1] for i in range(len(data))]) == whole


@given(requests(), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4))
@settings(max_examples=500)
def test_mutants_end_in_requests_or_refusals(data: bytes, edits: list[tuple[int, int]]) -> None:
    mutant = bytearray(data)
    for place, value in edits:
        mutant[place % len(mutant)] = value
    reader = RequestReader(LIMITS)
    reader.feed(bytes(mutant))
    refusals = [item for item in reader.ready if isinstance(item, Refusal)]
    assert len(refusals) <= 1
    if refusals:
        assert refusals[0] is reader.ready[-1]
        assert reader.phase is Phase.DEAF
    for item in reader.ready:
        if isinstance(item, ParsedRequest):
            assert len(item.body) <= LIMITS.body_bytes_max
            assert item.target.startswith(b"/")


def test_the_door_of_the_package_opens() -> None:
    assert all(hasattr(node.http, name) for name in node.http.__all__)
    assert sorted(node.http.__all__) == list(node.http.__all__)
