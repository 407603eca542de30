"""The client's side of a stream, without sockets."""

import asyncio

import pytest

from gateway.api.clients import EventStream
from node.http import HeaderList, Response


class Pen:
    """A body that notes what was written, and takes nothing once it is closed."""

    def __init__(self, first: bytes) -> None:
        self.written = [first]
        self.closed = False

    async def write(self, data: bytes) -> None:
        self.written.append(data)

    async def close(self, last: bytes = b"") -> None:
        self.closed = True
        self.written.append(last)


class Listener:
    """A client who hears all."""

    def __init__(self) -> None:
        self.disconnected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.pen: Pen | None = None

    def respond(self, answer: Response) -> None:
        raise NotImplementedError

    def respond_stream(
        self, status: int, headers: HeaderList, content_type: bytes | None, first: bytes = b""
    ) -> Pen:
        self.pen = Pen(first)
        return self.pen


@pytest.mark.anyio
@pytest.mark.parametrize("turns", range(6))
async def test_no_beat_comes_after_the_end(turns: int) -> None:
    """However many turns of the loop pass between the beat's timer and the stream's end."""
    listener = Listener()
    stream = EventStream(listener, (), 0.0)
    for _ in range(turns):
        await asyncio.sleep(0)
    await stream.end(b"end")
    for _ in range(6):
        await asyncio.sleep(0)
    assert listener.pen is not None
    assert listener.pen.closed
    assert listener.pen.written[-1] == b"end"
