"""A TCP proxy that fails on demand, in a thread of its own: a bad RPC endpoint, a cut network."""

import asyncio
import threading
from contextlib import suppress
from enum import Enum
from itertools import count
from random import Random
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

CHUNK_BYTES = 64 << 10
CUT_AFTER_BYTES = 60
"""Within the head of an HTTP answer, so that no client takes what it has for an answer."""
STALL_LOOK_S = 0.05
SLOW_S = 0.4
"""Before each chunk of an answer."""
LAG_S_MAX = 0.8
"""Of a chunk, either way: what goes over one connection overtakes what goes over another."""
START_S_MAX = 10.0

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Mode(Enum):
    """How the proxy treats its connections."""

    PASS = "pass"
    REFUSE = "refuse"
    STALL = "stall"
    CUT = "cut"
    SLOW = "slow"
    OVERTAKE = "overtake"


class FaultProxy:
    """Stands before an endpoint, or before several in turn; `with FaultProxy() as proxy` ends it.

    `front` starts it and returns the URL that clients use; `mode` may be set from any thread.
    """

    def __init__(self) -> None:
        self.mode = Mode.PASS
        self.broken = 0
        """Connections refused, or cut within an answer."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._targets: list[tuple[str, int]] = []
        self._turn = count()
        self._random = Random(0)  # a simulation's, not a secret
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(START_S_MAX)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_S_MAX)
        self._loop.close()

    def front(self, *urls: str, port: int = 0) -> str:
        """Listen before the endpoints at `urls` and return the URL to use in their stead.

        Each connection goes to the next one that takes it, as an L4 balancer has it.
        """
        parts = [urlsplit(url) for url in urls]
        self._targets = [(each.hostname or "127.0.0.1", each.port or 80) for each in parts]
        started = asyncio.run_coroutine_threadsafe(self._listen(port), self._loop)
        user = f"{parts[0].username}@" if parts[0].username else ""
        place = f"{user}127.0.0.1:{started.result(START_S_MAX)}"
        return parts[0]._replace(netloc=place).geturl()

    async def _listen(self, port: int) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        taken: int = self._server.sockets[0].getsockname()[1]
        return taken

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        connections = asyncio.all_tasks() - {asyncio.current_task()}
        for each in connections:
            each.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found = None if self.mode is Mode.REFUSE else await self._connect()
        if found is None:
            self.broken += self.mode is Mode.REFUSE
            writer.transport.abort()
            return
        there, back = found
        ways = (
            asyncio.create_task(self._pump(reader, back, is_answer=False)),
            asyncio.create_task(self._pump(there, writer, is_answer=True)),
        )
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for each in (writer, back):
                each.transport.abort()

    async def _connect(self) -> Streams | None:
        """A connection to the next target that takes one; None where none does."""
        first = next(self._turn)
        for step in range(len(self._targets)):
            with suppress(OSError):
                target = self._targets[(first + step) % len(self._targets)]
                return await asyncio.open_connection(*target)
        return None

    def _lag_s(self, is_answer: bool) -> float:
        """How long a chunk waits."""
        if self.mode is Mode.OVERTAKE:
            return self._random.uniform(0.0, LAG_S_MAX)
        return SLOW_S if is_answer and self.mode is Mode.SLOW else 0.0

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        """Pass bytes on until either side ends, or until the mode has the connection broken."""
        with suppress(OSError):
            while data := await source.read(CHUNK_BYTES):
                while self.mode is Mode.STALL:  # noqa: ASYNC110  set from another thread
                    await asyncio.sleep(STALL_LOOK_S)
                await asyncio.sleep(self._lag_s(is_answer))
                is_cut = is_answer and self.mode is Mode.CUT
                if is_cut or self.mode is Mode.REFUSE:
                    sink.write(data[:CUT_AFTER_BYTES] if is_cut else b"")
                    self.broken += 1
                    return
                sink.write(data)
                await sink.drain()
