"""A client that keeps what it is answered, and passes it on to one that may leave meanwhile."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from gateway.api.clients import Client, Writer
from node.http import ClientDisconnected, HeaderList, Response


@dataclass(slots=True)
class TapeWriter:
    """The body of a streamed answer, kept; its end is held back until `release`."""

    live: Writer | None
    """Whoever listens, until they leave."""
    kept: list[bytes]
    last: bytes = b""

    @property
    def body(self) -> bytes:
        """All that was kept so far."""
        return b"".join(self.kept)

    async def write(self, data: bytes) -> None:
        """Keep bytes and pass them on; a listener that leaves is let go."""
        self.kept.append(data)
        if self.live is not None:
            try:
                await self.live.write(data)
            except ClientDisconnected:
                self.live = None

    async def close(self, last: bytes = b"") -> None:
        """Keep the last bytes, and no more than that."""
        self.kept.append(last)
        self.last = last

    async def release(self) -> None:
        """Let a listener have the end."""
        if self.live is not None:
            with suppress(ClientDisconnected):
                await self.live.close(self.last)


class Tape:
    """Waits for an answer on behalf of whoever asks for it, now or later: it never leaves."""

    def __init__(self, live: Client | None) -> None:
        self._live = live
        self.disconnected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.writer: TapeWriter | None = None
        self.status = 200
        self.content_type: bytes | None = None

    def respond(self, answer: Response) -> None:
        """Keep the answer; it is passed on when it is returned."""

    def respond_stream(
        self, status: int, headers: HeaderList, content_type: bytes | None, first: bytes = b""
    ) -> TapeWriter:
        """Begin to keep a streamed answer, and pass it on."""
        live: Writer | None = None
        if self._live is not None:
            live = self._live.respond_stream(status, headers, content_type, first)
        self.status, self.content_type = status, content_type
        self.writer = TapeWriter(live, [first])
        return self.writer
