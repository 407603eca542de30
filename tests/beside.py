"""An HTTP server in a thread of its own, for commands that ask one while their test waits."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from node.http import Handler, serve

WAIT_S = 10


@contextmanager
def serving(handler: Handler) -> Iterator[int]:
    """The port on which `handler` answers."""
    started, port, stop = threading.Event(), [0], asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        server = await serve(handler)
        port[0] = server.port
        started.set()
        await stop.wait()
        await server.close(0)

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    started.wait(WAIT_S)
    try:
        yield port[0]
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(WAIT_S)
