"""Many callers, servers and clients that fail at random: nothing leaks, no answer is mixed up."""

import asyncio
import random

from node.http import ClientLimits, ClientPool, HttpClientError, Request, Response, Timeout
from tests.node.loops import on_loops, until
from tests.node.wire import serving

CALLERS = 60
CALLS = 25


async def unreliable(request: Request) -> Response | None:
    """Answer the body whole, late, cut or not at all."""
    dice = random.random()
    if dice < 0.05:
        request._connection.abort()
    elif dice < 0.10:
        async with request.respond_stream() as writer:
            await writer.write(request.body[:10])
            request._connection.abort()
    elif dice < 0.12:
        await request.disconnected
    elif dice < 0.2:
        await asyncio.sleep(0.01)
    elif dice < 0.5:
        async with request.respond_stream() as writer:
            for at in range(0, len(request.body), 1000):
                await writer.write(request.body[at : at + 1000])
        return None
    return Response(200, request.body)


@on_loops
async def test_chaos_leaks_nothing_and_mixes_nothing_up() -> None:
    good = failed = cancelled = 0

    async def call(pool: ClientPool, url: str, number: int) -> None:
        nonlocal good, failed, cancelled
        body = b"%d:" % number + random.randbytes(random.choice((0, 1, 100, 20_000, 90_000)))
        timeout = Timeout(first_byte=0.1, total=2)
        task = asyncio.create_task(pool.request("POST", url, (), body, timeout))
        if random.random() < 0.05:
            await asyncio.sleep(random.random() * 0.01)
            task.cancel()
        try:
            answer = await task
        except HttpClientError:
            failed += 1
        except asyncio.CancelledError:
            cancelled += 1
        else:
            assert answer.body == body
            good += 1

    async def caller(pool: ClientPool, url: str, first: int) -> None:
        for number in range(first, first + CALLS):
            await call(pool, url, number)

    limits = ClientLimits(connections_per_origin_max=20, idle_s=0.2)
    async with serving(unreliable) as server, ClientPool(limits) as pool:
        url = f"http://127.0.0.1:{server.port}/"
        await asyncio.gather(*(caller(pool, url, i * CALLS) for i in range(CALLERS)))
        assert good + failed + cancelled == CALLERS * CALLS
        assert good > CALLERS * CALLS / 2
        assert failed > 0
        await until(lambda: server.in_flight == 0)
        await until(lambda: server.connections == 0)  # idle ones were closed by the client
        assert all(origin.is_unused for origin in pool._origins.values())
