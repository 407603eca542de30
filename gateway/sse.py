"""A supplier's event stream, sans I/O: hash it, hold back what the client did not ask for.

Whole events go through as they come. The hash covers every byte before the frame of the signed
response, a stripped usage event included, since it is what the supplier signed.
"""

import orjson

from gateway.errors import UpstreamBrokenError, UpstreamInvalidError
from relay_mining import STREAM_FRAME_PREFIX, BodyHasher, Hash32

EVENT_END = b"\n\n"
DONE = b"data: [DONE]\n\n"
EVENT_BYTES_MAX = 1 << 20


class StreamReader:
    """Reads one stream to its end; `feed` returns what may be forwarded at once.

    Raises UpstreamInvalidError for a stream past `bytes_max`, for an event that never ends and for
    bytes after the end; UpstreamBrokenError where the engine reports an error as its first event.
    """

    __slots__ = ("_buffer", "_bytes_max", "_hasher", "_parts", "_size", "_wants_usage", "frame")

    def __init__(self, wants_usage: bool, bytes_max: int) -> None:
        self._wants_usage = wants_usage
        self._bytes_max = bytes_max
        self._hasher = BodyHasher()
        self._buffer = b""
        self._parts: list[bytes] = []
        self._size = 0
        self.frame = b""
        """The frame of the signed response, once it has come, with all that follows it."""

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes; return whole events for the client."""
        self._size += len(chunk)
        if self._size > self._bytes_max:
            raise UpstreamInvalidError("the supplier's stream exceeds what was asked for")
        if self.frame:
            self._extend_frame(chunk)
            return b""
        data = self._buffer + chunk if self._buffer else chunk
        end = data.rfind(EVENT_END) + len(EVENT_END)
        if end < len(EVENT_END):
            return self._hold(data)
        self._hold(data[end:])
        events = data[:end]
        place = _find_frame(events)
        if place >= 0:
            self._extend_frame(data[place:])
            events = events[:place]
        return self._pass_on(events) if events else b""

    @property
    def body(self) -> bytes:
        """Everything before the frame, as signed."""
        return b"".join(self._parts)

    @property
    def body_hash(self) -> Hash32:
        """The hash of `body`."""
        return self._hasher.digest()

    def split_frame(self) -> tuple[bytes, bytes]:
        """The frame and what came after it; raises UpstreamInvalidError where none came."""
        end = self.frame.find(EVENT_END) + len(EVENT_END)
        if end < len(EVENT_END):
            raise UpstreamInvalidError("the stream ended without the supplier's signed response")
        frame, tail = self.frame[:end], self.frame[end:]
        if tail not in (DONE, b""):
            raise UpstreamInvalidError("the supplier sent more after its signed response")
        return frame, tail

    def _hold(self, data: bytes) -> bytes:
        if len(data) > EVENT_BYTES_MAX:
            raise UpstreamInvalidError("an event of the supplier's stream never ends")
        self._buffer = data
        return b""

    def _extend_frame(self, data: bytes) -> None:
        self._buffer = b""
        self.frame += data
        if len(self.frame) > 4096:
            raise UpstreamInvalidError("the supplier sent more after its signed response")

    def _pass_on(self, events: bytes) -> bytes:
        if not self._parts and events.startswith(b'data: {"error"'):
            raise UpstreamBrokenError("the supplier's engine failed")
        if b"[DONE]" in events and _has_done(events):
            raise UpstreamInvalidError("the stream ended without the supplier's signed response")
        self._hasher.update(events)
        self._parts.append(events)
        if self._wants_usage or b'"usage"' not in events:
            return events
        kept = [each for each in events.split(EVENT_END)[:-1] if not _is_usage(each)]
        return b"".join([each + EVENT_END for each in kept])


def _find_frame(events: bytes) -> int:
    if events.startswith(STREAM_FRAME_PREFIX):
        return 0
    place = events.find(EVENT_END + STREAM_FRAME_PREFIX)
    return place if place < 0 else place + len(EVENT_END)


def _has_done(events: bytes) -> bool:
    """Whether a client would take some line for the end of the stream."""
    return any(
        line.startswith(b"data:") and line[5:].lstrip().startswith(b"[DONE]")
        for line in events.splitlines()
    )


def _is_usage(event: bytes) -> bool:
    """Whether an event carries the usage alone, as `include_usage` adds at the end."""
    if b'"usage"' not in event or not event.startswith(b"data: {"):
        return False
    try:
        members = orjson.loads(event[6:])
    except orjson.JSONDecodeError:
        return False
    return members.get("choices") == [] and members.get("usage") is not None
