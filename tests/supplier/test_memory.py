"""What a relay leaves in memory: nothing that only the garbage collector can free.

Such objects would stay for an hour at thirty relays a second, since the collector looks at old ones
that rarely; a soak of twenty minutes showed a supplier grow by a hundred MiB of them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from relay_mining import encode_request_header
from tests.collecting import no_collections
from tests.supplier.market import (
    CHAT,
    FakeEngine,
    FakeMarket,
    RelayWorld,
    a_body,
    relay_world,
    until,
)

pytestmark = pytest.mark.anyio

ASKED = 30


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """The loop that nodes run on: the transports of asyncio's own hold themselves."""
    return "asyncio", {"loop_factory": uvloop.new_event_loop}


async def ask(world: RelayWorld) -> None:
    """A plain relay, receipted."""
    signed, response = await world.relay()
    assert (await world.deliver(world.receipt(signed, response))).status == 200


async def read(world: RelayWorld) -> None:
    """A stream, read to its end."""
    body = a_body(stream=True, max_tokens=9)
    answer = await world.post(body, world.sign(body))
    assert answer.body.endswith(b"data: [DONE]\n\n")


async def leave(world: RelayWorld) -> None:
    """A stream whose reader leaves at its first event."""
    body = a_body(stream=True, max_tokens=9)
    header = (b"lode-request", encode_request_header(world.sign(body)).encode())
    world.engine.gate = asyncio.Event()
    async with world.pool.stream(b"POST", world.url + CHAT.decode(), (header,), body) as stream:
        await anext(stream.chunks())
        stream.abort()
    await until(lambda: not world.relays.open)
    world.engine.gate = None


@pytest.mark.parametrize("kind", [ask, read, leave])
async def test_a_relay_leaves_nothing_to_the_collector(
    tmp_path: Path, kind: Callable[[RelayWorld], Awaitable[None]]
) -> None:
    market = FakeMarket(cap=10**24)
    async with relay_world(tmp_path, market=market, engine=FakeEngine(tokens=9)) as world:
        for _ in range(ASKED):
            await kind(world)
        with no_collections() as found:
            for _ in range(ASKED):
                await kind(world)
            await until(lambda: not world.relays.open)
        assert found.total() < ASKED, found.most_common(12)
