"""An L4 balancer, as stands before several servers: each connection to the next healthy one."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

CHUNK = 1 << 16
HEALTHY_S_MAX = 1.0


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _is_healthy(port: int) -> bool:
    """Whether a server answers at all, as balancers find out."""
    try:
        async with asyncio.timeout(HEALTHY_S_MAX):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /lode/v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            found = await reader.read(12)
            writer.close()
    except (OSError, TimeoutError):
        return False
    return found.startswith(b"HTTP/1.1 200")


class _Balancer:
    def __init__(self, ports: list[int]) -> None:
        self._ports = ports
        self._turn = count()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = next(self._turn)
        for step in range(len(self._ports)):
            port = self._ports[(first + step) % len(self._ports)]
            if not await _is_healthy(port):
                continue
            inner, outer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_pump(reader, outer), _pump(inner, writer))
            return
        writer.close()


@contextmanager
def balanced(port: int, ports: list[int]) -> Iterator[None]:
    """Listen on `port` for whoever of `ports` is up, in a thread of its own."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    stop = asyncio.Event()

    async def run() -> None:
        server = await asyncio.start_server(_Balancer(ports).serve, "127.0.0.1", port)
        async with server:
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
