"""A supplier that breaks streams off after a few tokens, and ends them as if they were whole.

The prefix is hashed, counted and signed as a whole answer, so the protocol holds: it is paid for
the prefix and no more. No choice says why it ended, so the client is told that the answer is cut.

    python -m adversaries.truncator --config supplier.toml
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from adversaries.cheat import Cheat, Line
from adversaries.program import serve
from adversaries.relays import CheatingRelays, LyingPool
from node.http import ClientStream

EVENTS_SENT = 4
DONE = b"data: [DONE]\n\n"
CHEAT = Cheat(
    name="truncated stream",
    side="supplier",
    does=f"ends every stream after {EVENTS_SENT} events as if it were whole",
    line=Line.GATEWAY,
    check="without a finish reason",
)


class CutStream(ClientStream):
    """The first events of a stream, and the mark of its end."""

    __slots__ = ("_honest",)

    def __init__(self, honest: ClientStream) -> None:
        self._honest = honest
        self.status = honest.status
        self.headers = honest.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """Whole events, as many as are sent, then `[DONE]`."""
        buffer, sent = b"", 0
        async for chunk in self._honest.chunks():
            *events, buffer = (buffer + chunk).split(b"\n\n")
            for event in events:
                if sent == EVENTS_SENT:
                    yield DONE
                    return
                sent += 1
                yield event + b"\n\n"

    async def read(self, bytes_max: int) -> bytes:
        """The whole body, of an answer that is no stream."""
        return await self._honest.read(bytes_max)


class CuttingPool(LyingPool):
    """Cuts every stream."""

    @asynccontextmanager
    async def stream(self, *arguments: Any, **options: Any) -> AsyncIterator[ClientStream]:
        """The beginning of the engine's stream."""
        async with super().stream(*arguments, **options) as stream:
            yield CutStream(stream)


class TruncatingRelays(CheatingRelays):
    """Asks the engine through a pool that cuts."""

    def __init__(self, *parts: Any, **options: Any) -> None:
        super().__init__(*parts, **options)
        self.pool = CuttingPool(self.pool)


if __name__ == "__main__":
    serve(relays=TruncatingRelays)
