"""A chat from the dashboard: answered by the same parts as any client's, without a connection.

The page shows its API key like every client; its limits and budgets are the key's.
"""

import asyncio
from collections.abc import AsyncIterator

from gateway.api.openai import Endpoint
from gateway.errors import GatewayError
from gateway.routing.dispatch import Answer
from gateway.routing.relaying import Call, Relays
from node.dashboard import Ask, Reply
from node.http import ClientDisconnected, HeaderList, Headers, Response

PIECES_MAX = 64
"""Pieces of an answer that wait for a slow page; then its supplier waits too."""
AUTHORIZATION = "authorization"


class PageClient:
    """A page that waits for an answer: the client's side of one request."""

    def __init__(self) -> None:
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue(PIECES_MAX)
        self.disconnected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.opened = asyncio.Event()
        """Set once a streamed answer has begun."""
        self.answer: Response | None = None

    def respond(self, answer: Response) -> None:
        """Take a whole answer."""
        self.answer = answer

    def respond_stream(
        self, status: int, headers: HeaderList, content_type: bytes | None, first: bytes = b""
    ) -> "PageClient":
        """Begin a streamed answer; this is also its writer."""
        if first:
            self._pieces.put_nowait(first)
        self.opened.set()
        return self

    async def write(self, data: bytes) -> None:
        """Take bytes, at the page's pace; raises ClientDisconnected once it is gone."""
        await self._put(data)

    async def close(self, last: bytes = b"") -> None:
        """End the answer; raises ClientDisconnected where the page is gone."""
        if last:
            await self._put(last)
        await self._put(None)

    def leave(self) -> None:
        """The page is gone."""
        if not self.disconnected.done():
            self.disconnected.set_result(None)

    async def pieces(self, work: "asyncio.Task[Answer]") -> AsyncIterator[bytes]:
        """The streamed answer as it comes, until it ends or `work` fails."""
        while True:
            take = asyncio.ensure_future(self._pieces.get())
            try:
                await asyncio.wait({take, work}, return_when=asyncio.FIRST_COMPLETED)
                if not take.done() and self._pieces.empty():
                    return
                piece = await take
            finally:
                take.cancel()
            if piece is None:
                await asyncio.wait({work})
                return
            yield piece

    async def _put(self, piece: bytes | None) -> None:
        if self.disconnected.done():
            raise ClientDisconnected
        put = asyncio.ensure_future(self._pieces.put(piece))
        await asyncio.wait({put, self.disconnected}, return_when=asyncio.FIRST_COMPLETED)
        if not put.done():
            put.cancel()
            raise ClientDisconnected


def _look_away(work: "asyncio.Task[Answer]") -> None:
    """Take note of how it ended: the page was told in the stream, or has gone."""
    if not work.cancelled():
        work.exception()


async def chat(relays: Relays, ask: Ask) -> Reply:
    """The answer to a chat that a page asks for, in OpenAI's words, plain or streamed.

    Cancelled where the page leaves before there is one.
    """
    client = PageClient()
    call = Call(client, read_headers(ask), ask.body)
    work = asyncio.ensure_future(relays.answer(call, Endpoint.CHAT))
    work.add_done_callback(_look_away)
    opened = asyncio.create_task(client.opened.wait())
    try:
        await asyncio.wait({work, opened}, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        client.leave()
        raise
    finally:
        opened.cancel()
    named = [(name.decode(), value.decode()) for name, value in call.answer_headers]
    if client.opened.is_set():
        return Reply(
            200, content_type="text/event-stream", headers=tuple(named),
            stream=client.pieces(work), on_end=client.leave,
        )  # fmt: skip
    try:
        found = await work
    except GatewayError as error:
        return Reply(error.status, error.body(), headers=tuple(named))
    answer = found if isinstance(found, Response) else client.answer
    return Reply(200, answer.body if answer else b"", headers=tuple(named))


def read_headers(ask: Ask) -> Headers:
    """What of a page's headers the gateway looks at: the API key."""
    return Headers(((b"authorization", ask.headers.get(AUTHORIZATION, "").encode("latin-1")),))
