"""A supplier's event stream, sans I/O: hash it, hold back what the client did not ask for.

Whole events go through as they come, but comments with the first data after them: they are no
answer, and until there is one another supplier may give it. The hash covers every event, a stripped
usage event included, since it is what the supplier signed; the frames of signed responses are under
no hash.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from gateway.errors import UpstreamBrokenError, UpstreamInvalidError
from relay_mining import STREAM_FRAME_PREFIX, BodyHasher, Hash32

EVENT_END = b"\n\n"
DONE = b"data: [DONE]\n\n"
BEAT = b": waiting\n\n"
VERDICT = b": lode "
"""What the gateway's own word in a stream begins with, as no supplier's may."""
EVENT_BYTES_MAX = 1 << 20
_FINISH = re.compile(rb'"finish_reason"[ \t\r\n]*:[ \t\r\n]*"')


@dataclass(frozen=True, slots=True)
class Frame:
    """A signed response inside a stream, and the hash of all events before it."""

    data: bytes
    body_hash: Hash32


class StreamReader:
    """Reads one stream to its end; `read` yields what to forward, and the frames between.

    Whoever reads says by `end` that a frame was the last. Raises UpstreamInvalidError for a stream
    past `bytes_max`, for an event that never ends, for bytes after the end and for comments that
    only the gateway writes; UpstreamBrokenError where the engine reports an error as its first
    data.
    """

    __slots__ = (
        "_buffer", "_bytes_max", "_has_begun", "_hasher", "_held", "_parts", "_size", "_tail",
        "_wants_usage", "is_ended", "usage",
    )  # fmt: skip

    def __init__(self, wants_usage: bool, bytes_max: int) -> None:
        self._wants_usage = wants_usage
        self._bytes_max = bytes_max
        self._hasher = BodyHasher()
        self._buffer = b""
        self._parts: list[bytes] = []
        self._held: list[bytes] = []
        """What came before the first data."""
        self._has_begun = False
        """Whether that has come."""
        self._size = 0
        self._tail = b""
        self.is_ended = False
        """Whether the last frame has come."""
        self.usage = b""
        """The event with the usage alone, where the client asked for it: it waits for the cost."""

    def read(self, chunk: bytes) -> Iterator[bytes | Frame]:
        """Take the next bytes; yield whole events for the client, and frames, in their order."""
        self._size += len(chunk)
        if self._size > self._bytes_max:
            raise UpstreamInvalidError("the supplier's stream exceeds what was asked for")
        data = self._buffer + chunk if self._buffer else chunk
        end = data.rfind(EVENT_END) + len(EVENT_END)
        whole, self._buffer = (data[:end], data[end:]) if end >= len(EVENT_END) else (b"", data)
        while whole and not self.is_ended:
            place = _find_frame(whole)
            events = whole if place < 0 else whole[:place]
            if events and (kept := self._pass_on(events)):
                yield kept
            if place < 0:
                whole = b""
                break
            end = whole.index(EVENT_END, place) + len(EVENT_END)
            frame, whole = whole[place:end], whole[end:]
            yield Frame(frame, self._hasher.digest())
        if self.is_ended:
            self._extend_tail(whole)
        elif len(self._buffer) > EVENT_BYTES_MAX:
            raise UpstreamInvalidError("an event of the supplier's stream never ends")

    def end(self) -> None:
        """Take nothing but the closing event from now on."""
        self.is_ended = True

    @property
    def has_done(self) -> bool:
        """Whether the closing event has come."""
        return self._tail == DONE

    @property
    def is_finished(self) -> bool:
        """Whether some choice says why it ended; what does is looked for from the end."""
        return any(is_finished(each) for each in reversed(self._parts))

    @property
    def body(self) -> bytes:
        """All events so far, as signed."""
        return b"".join(self._parts)

    def _extend_tail(self, whole: bytes) -> None:
        self._tail += whole + self._buffer
        self._buffer = b""
        if not DONE.startswith(self._tail):
            raise UpstreamInvalidError("the supplier sent more after its signed response")

    def _pass_on(self, events: bytes) -> bytes:
        if not self._has_begun and _from_data(events).startswith(b'data: {"error"'):
            raise UpstreamBrokenError("the supplier's engine failed")
        if b"[DONE]" in events and _has_done(events):
            raise UpstreamInvalidError("the stream ended without the supplier's signed response")
        if (VERDICT in events or BEAT.rstrip() in events) and _has_own_comment(events):
            raise UpstreamInvalidError("the supplier writes what only the gateway says")
        self._hasher.update(events)
        self._parts.append(events)
        kept = events if b'"usage"' not in events else self._without_usage(events)
        return kept if self._has_begun else self._begin(kept)

    def _begin(self, events: bytes) -> bytes:
        """All that was held back and these, once there is data among them."""
        self._held.append(events)
        if not _from_data(events):
            return b""
        self._has_begun = True
        held, self._held = b"".join(self._held), []
        return held

    def _without_usage(self, events: bytes) -> bytes:
        kept = []
        *whole, blank = events.split(EVENT_END)
        for each in whole:
            if not _is_usage(each):
                kept.append(each + EVENT_END)
            elif self._wants_usage:
                self.usage = each + EVENT_END
        return b"".join(kept) + blank


def is_finished(answer: bytes) -> bool:
    """Whether some choice of an answer, or of events, says why it ended."""
    return _FINISH.search(answer) is not None


def is_own_comment(line: bytes) -> bool:
    """Whether a line of a stream is one that the gateway adds to what is signed."""
    return line.startswith(VERDICT) or line == BEAT.rstrip()


def _has_own_comment(events: bytes) -> bool:
    return any(is_own_comment(line) for line in events.splitlines())


def _from_data(events: bytes) -> bytes:
    """The first line of data and what follows; empty where there is none."""
    if events.startswith(b"data:"):
        return events
    return events[at + 1 :] if (at := events.find(b"\ndata:")) >= 0 else b""


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
    line = event.lstrip(b"\n")
    if b'"usage"' not in line or not line.startswith(b"data: {"):
        return False
    try:
        members = orjson.loads(line[6:])
    except orjson.JSONDecodeError:
        return False
    return members.get("choices") == [] and members.get("usage") is not None
