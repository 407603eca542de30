"""The HTTP chassis: a plain answer, one proxy hop, a streamed hop, durable appends.

Server, proxy and load generator are processes of their own, so on two cores they compete; the
figures are what one process of ours does on the core it gets, and a floor for a wider machine.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

from node.append_log import AppendLog
from node.http import ClientPool, Handler, Request, Response, StreamWriter, run, serve

SECONDS = 3.0
CONCURRENCY = 64
BODY = b'{"model":"m","messages":[{"role":"user","content":"hello"}]}' * 4
ANSWER = b'{"choices":[{"message":{"content":"hello"}}]}' * 8
EVENT = b'data: {"choices":[{"delta":{"content":"token"},"token_ids":[42]}]}\n\n'
EVENTS = 100
RECEIPT = b"r" * 260


async def answer(request: Request) -> Response | StreamWriter:
    """Answer as an engine would: whole, or as a stream of events."""
    if request.path != b"/stream":
        return Response(200, ANSWER)
    async with request.respond_stream(200, (), b"text/event-stream") as writer:
        for _ in range(EVENTS):
            await writer.write(EVENT)
            await asyncio.sleep(0)  # one system call an event, as from a real engine
    return writer


def make_proxy(upstream: str) -> Handler:
    """Return a handler that forwards to `upstream` and adds nothing."""
    pool = ClientPool()

    async def forward(request: Request) -> Response | StreamWriter:
        url = upstream + request.target.decode("ascii")
        headers = [(b"content-type", b"application/json")]
        if request.path != b"/stream":
            got = await pool.request(request.method, url, headers, request.body)
            return Response(got.status, got.body)
        async with (
            pool.stream(request.method, url, headers, request.body) as got_stream,
            request.respond_stream(got_stream.status, (), b"text/event-stream") as writer,
        ):
            async for chunk in got_stream.chunks():
                await writer.write(chunk)
        return writer

    return forward


def serve_process(upstream: str, ready: Connection) -> None:
    """Serve until killed, reporting the port through `ready`."""

    async def main() -> None:
        server = await serve(make_proxy(upstream) if upstream else answer)
        ready.send(server.port)
        await asyncio.Event().wait()

    run(main())


def start(upstream: str = "") -> tuple[multiprocessing.Process, str]:
    """Return a running server process and its URL."""
    mine, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=serve_process, args=(upstream, theirs), daemon=True)
    process.start()
    return process, f"http://127.0.0.1:{mine.recv()}"


async def load(work: Callable[[], Awaitable[object]]) -> tuple[float, float, float]:
    """Return calls a second, and their median and 99th percentile in milliseconds."""
    took: list[float] = []
    end = time.perf_counter() + SECONDS

    async def caller() -> None:
        while (began := time.perf_counter()) < end:
            await work()
            took.append(time.perf_counter() - began)

    await asyncio.gather(*(caller() for _ in range(CONCURRENCY)))
    took.sort()
    return len(took) / SECONDS, took[len(took) // 2] * 1e3, took[len(took) * 99 // 100] * 1e3


async def measure(direct: str, proxied: str) -> None:
    """Print the figures."""
    async with ClientPool() as pool:

        async def stream(url: str) -> None:
            async with pool.stream("POST", url + "/stream", (), BODY) as got:
                async for _ in got.chunks():
                    pass

        works: dict[str, Callable[[], Awaitable[object]]] = {
            "plain answer, direct": lambda: pool.request("POST", direct + "/", (), BODY),
            "plain answer, one hop": lambda: pool.request("POST", proxied + "/", (), BODY),
            f"stream of {EVENTS} events, direct": lambda: stream(direct),
            f"stream of {EVENTS} events, one hop": lambda: stream(proxied),
        }
        for name, work in works.items():
            rate, median, tail = await load(work)
            print(f"{name:36} {rate:9.0f} /s   p50 {median:7.2f} ms   p99 {tail:7.2f} ms")
    with tempfile.TemporaryDirectory() as directory:
        async with AppendLog(directory) as log:
            rate, median, tail = await load(lambda: log.append_many([RECEIPT] * 16))
            name = "durable receipts (16 an append)"
            print(f"{name:36} {rate * 16:9.0f} /s   p50 {median:7.2f} ms   p99 {tail:7.2f} ms")


def main() -> None:
    """Start the processes, measure, stop them."""
    upstream, direct = start()
    proxy, proxied = start(direct)
    try:
        print(f"{os.cpu_count()} cores, {CONCURRENCY} callers, {SECONDS:.0f} s each")
        run(measure(direct, proxied))
    finally:
        for process in (proxy, upstream):
            process.kill()
            process.join()


if __name__ == "__main__":
    main()
