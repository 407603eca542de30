"""The client's side of a request: what whoever answers may do with it, and its event stream."""

import asyncio
from contextlib import suppress
from typing import Protocol

from gateway.routing.sse import BEAT
from node.http import ClientDisconnected, HeaderList, Response

STREAM_HEADERS = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))
STREAM_TYPE = b"text/event-stream"


class Writer(Protocol):
    """The body of a streamed answer; both raise ClientDisconnected once the client is gone."""

    async def write(self, data: bytes) -> None:
        """Send bytes, at the client's pace."""

    async def close(self, last: bytes = b"") -> None:
        """End the body, with its last bytes."""


class Client(Protocol):
    """Somebody who waits for an answer: a connection, or what stands between it and us."""

    @property
    def disconnected(self) -> asyncio.Future[None]:
        """Done once nobody waits any more."""

    def respond(self, answer: Response) -> None:
        """Send a whole answer at once."""

    def respond_stream(
        self, status: int, headers: HeaderList, content_type: bytes | None, first: bytes = b""
    ) -> Writer:
        """Send the head of a streamed answer, and the first bytes of its body."""


class EventStream:
    """One streamed answer, over all tries: nothing is sent before the first event or beat.

    While no event comes, as during a long prefill, a comment is sent every `beat_s` seconds, so
    that nobody in between takes the connection for dead. Another supplier may still answer then.
    """

    __slots__ = ("_beat_s", "_beating", "_client", "_headers", "_timer", "has_begun", "writer")

    def __init__(self, client: Client, headers: HeaderList, beat_s: float) -> None:
        self._client = client
        self._headers = headers
        self._beat_s = beat_s
        self._beating: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(beat_s, self._beat)
        self.has_begun = False
        """Whether an event was sent."""
        self.writer: Writer | None = None
        """None while not even the head is sent."""

    async def write(self, events: bytes) -> None:
        """Send events; raises ClientDisconnected."""
        self._begin()
        if self.writer is None:
            self._open(events)
        else:
            await self.writer.write(events)

    async def end(self, events: bytes) -> None:
        """Send the last events, where the client is still there."""
        self._begin()
        writer = self.writer or self._open(b"")
        with suppress(ClientDisconnected):
            await writer.close(events)

    def stop_beating(self) -> None:
        """Send no more comments."""
        self._timer.cancel()

    def _begin(self) -> None:
        if not self.has_begun:
            self.stop_beating()
            self.has_begun = True

    def _open(self, first: bytes) -> Writer:
        headers = (*STREAM_HEADERS, *self._headers)
        self.writer = self._client.respond_stream(200, headers, STREAM_TYPE, first)
        return self.writer

    def _beat(self) -> None:
        self._beating = asyncio.ensure_future(self._send_beat())
        self._timer = asyncio.get_running_loop().call_later(self._beat_s, self._beat)

    async def _send_beat(self) -> None:
        if self.has_begun:  # since the timer fired
            return
        if self.writer is None:
            self._open(BEAT)
            return
        with suppress(ClientDisconnected):
            await self.writer.write(BEAT)
