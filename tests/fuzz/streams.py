"""What is read from sockets and files: HTTP, event streams, the records of logs."""

import tempfile
from pathlib import Path

from gateway.errors import UpstreamError
from gateway.routing.sse import Frame, StreamReader
from gateway.settlement.outbox import OwedReceipt, decode_owed, encode_owed
from node.http import Limits
from node.http.request_reader import Phase, Refusal, RequestReader
from node.log_format import CorruptLog, frame, new_head, scan
from relay_mining import SignedResponse, encode_stream_frame
from supplier.server.usage import EngineAnswerError, StreamMeter, split_events
from tests.factories import (
    GATEWAY_SIGNER,
    SUPPLIER,
    WEIGHTS,
    a_hash,
    a_response,
    a_session,
    an_address,
)
from tests.fuzz.target import Target

LIMITS = Limits(header_bytes_max=1000, body_bytes_max=500)
SIGNATURE = GATEWAY_SIGNER.sign(a_hash("anything"))
REQUESTS = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n0\r\nx: y\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n.",
    b"OPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
)
EVENTS = (
    b'data: {"choices":[{"index":0,"delta":{"content":"hi"},"token_ids":[1]}],'
    b'"prompt_token_ids":[1,2]}\n\n'
    b'data: {"choices":[{"index":0,"text":"a","finish_reason":"length"}]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":2,"completion_tokens":1,'
    b'"prompt_tokens_details":{"cached_tokens":1}}}\n\n'
)
FRAME = encode_stream_frame(SignedResponse(a_response(), SIGNATURE))
STREAMS = (EVENTS + FRAME + b"data: [DONE]\n\n", FRAME + EVENTS, EVENTS + b"data: [DONE]\n\n")
OWED = encode_owed(
    OwedReceipt(a_session(), an_address("signer"), SUPPLIER, a_hash(1), a_hash(2), a_hash(3), 1_500)
)
HEAD = new_head()
PAYLOADS = [b"one", b"", b"three" * 9, b"four"]
SEGMENT = HEAD + b"".join(
    frame(HEAD, payload, first=index % 2 == 0) for index, payload in enumerate(PAYLOADS)
)
FOLDER = tempfile.TemporaryDirectory(prefix="lode-fuzz-")


def read_requests(data: bytes) -> bool:
    """Whether all of it was requests; at most one refusal, and nothing after it."""
    reader = RequestReader(LIMITS)
    for half in (data[: len(data) // 2], data[len(data) // 2 :]):
        reader.feed(half)
    refusals = [each for each in reader.ready if isinstance(each, Refusal)]
    assert refusals in ([], [reader.ready[-1]] if reader.ready else [])
    assert not refusals or reader.phase is Phase.DEAF
    return bool(reader.ready) and not refusals


def read_stream(data: bytes) -> bool:
    """Whether a gateway takes a stream; it forwards what was sent, less frames and usage."""
    reader, forwarded = StreamReader(wants_usage=True, bytes_max=1 << 16), b""
    try:
        for start in range(0, len(data), 97):
            for piece in reader.read(data[start : start + 97]):
                if isinstance(piece, Frame):
                    reader.end()
                else:
                    forwarded += piece
    except UpstreamError:
        return False
    assert data.startswith(reader.body)
    assert _without_usage(forwarded) == _without_usage(reader.body)
    return reader.has_done


def _without_usage(stream: bytes) -> list[bytes]:
    return [event for event in stream.split(b"\n\n") if b'"usage"' not in event]


def meter_stream(data: bytes) -> bool:
    """Whether a supplier counts an engine's stream to its end."""
    meter = StreamMeter(WEIGHTS, prompt_tokens=3)
    try:
        events, _ = split_events(data)
        for event in events:
            if not meter.read(event):
                break
    except EngineAnswerError:
        return False
    assert meter.counted_units >= 0
    return meter.is_done


def read_owed(data: bytes) -> bool:
    """Whether a gateway's log of what it owes takes a record."""
    if len(data) != len(OWED):
        return False
    owed = decode_owed(data)
    assert encode_owed(owed)[1:] == data[1:]
    return True


def read_segment(data: bytes) -> bool:
    """Whether a log is whole; under its own head, nothing is read that was not written."""
    path = Path(FOLDER.name) / "main.log"
    path.write_bytes(data)
    try:
        payloads = [payload for payload, _ in scan(path)]
    except CorruptLog:
        return False
    assert not data.startswith(HEAD) or set(payloads) <= set(PAYLOADS)
    return payloads == PAYLOADS


TARGETS = (
    Target("HTTP requests", REQUESTS, read_requests),
    Target("supplier's stream at the gateway", STREAMS, read_stream),
    Target("engine's stream at the supplier", STREAMS, meter_stream),
    Target("record of what is owed", (OWED,), read_owed),
    Target("segment of a log", (SEGMENT,), read_segment),
)
