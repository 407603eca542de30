"""Live updates as server-sent events: one encoding for all followers, the newest only.

A follower that is slow skips to the newest, so that none holds more than one update, and whoever
publishes never waits.
"""

import asyncio
from collections.abc import AsyncIterator

FOLLOWERS_MAX = 256
QUIET_S = 15.0
"""After so long without an update a comment is sent, so that what is between keeps the line up."""


class Feed:
    """The newest update and those who wait for the next."""

    def __init__(self, quiet_s: float = QUIET_S) -> None:
        self._quiet_s = quiet_s
        self._frame = b""
        self._number = 0
        self._next: asyncio.Event = asyncio.Event()
        self._is_closed = False
        self.followers = 0

    @property
    def is_full(self) -> bool:
        """Whether another follower would be one too many."""
        return self.followers >= FOLLOWERS_MAX

    def publish(self, data: bytes) -> None:
        """Give all followers an update: one line of JSON."""
        self._number += 1
        self._frame = b"id: %d\ndata: %b\n\n" % (self._number, data)
        self._wake()

    def close(self) -> None:
        """End every stream, so that a server that stops has none to wait for."""
        self._is_closed = True
        self._wake()

    async def follow(self) -> AsyncIterator[bytes]:
        """The newest update at once, then each newer one, as frames of an event stream."""
        self.followers += 1
        seen = 0
        try:
            yield b"retry: 2000\n\n"
            while not self._is_closed:
                if self._number != seen:
                    seen = self._number
                    yield self._frame
                    continue
                waiting = self._next
                try:
                    async with asyncio.timeout(self._quiet_s):
                        await waiting.wait()
                except TimeoutError:
                    yield b": still here\n\n"
        finally:
            self.followers -= 1

    def _wake(self) -> None:
        self._next.set()
        self._next = asyncio.Event()
