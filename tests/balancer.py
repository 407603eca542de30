"""An L4 balancer, as stands before several servers: each connection to the next healthy one."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import count

CHUNK = 1 << 16
HEALTHY_S_MAX = 1.0


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def _connected(
    port: int,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        await _hang_up(writer)


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


async def _is_healthy(port: int) -> bool:
    """Whether a server answers at all, as balancers find out."""
    try:
        async with asyncio.timeout(HEALTHY_S_MAX), _connected(port) as (reader, writer):
            writer.write(b"GET /lode/v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            found = await reader.read(12)
    except (OSError, TimeoutError):
        return False
    return found.startswith(b"HTTP/1.1 200")


class _Balancer:
    def __init__(self, ports: list[int]) -> None:
        self._ports = ports
        self._turn = count()
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        try:
            await self._forward(reader, writer)
        finally:
            await _hang_up(writer)
            del self._open[task]

    async def close(self) -> None:
        """End every connection; what copies it ends by that."""
        for writer in self._open.values():
            writer.transport.abort()
        await asyncio.gather(*self._open)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = next(self._turn)
        for step in range(len(self._ports)):
            port = self._ports[(first + step) % len(self._ports)]
            if not await _is_healthy(port):
                continue
            with suppress(OSError):  # it may just have died
                async with _connected(port) as (inner, outer):
                    await asyncio.gather(_pump(reader, outer), _pump(inner, writer))
                return


@contextmanager
def balanced(port: int, ports: list[int]) -> Iterator[None]:
    """Listen on `port` for whoever of `ports` is up, in a thread of its own."""
    ready, stop = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        balancer = _Balancer(ports)
        async with await asyncio.start_server(balancer.serve, "127.0.0.1", port):
            ready.set()
            await stop.wait()
        await balancer.close()

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(10)
        assert not thread.is_alive()
