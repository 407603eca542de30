"""What a request leaves in memory once the requests that are kept have reached their number.

And that none of it waits for the garbage collector, which looks at old objects once an hour.
"""

import asyncio
import gc
import tracemalloc
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from node.http import ClientPool
from tests.collecting import no_collections
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, Gateway, a_gateway

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
OURS = [tracemalloc.Filter(True, f"{ROOT}/{name}/*") for name in ("gateway", "relay_mining")]
"""Not the chassis: how many connections a pool has open depends on the moment."""
KEPT = 64
CLIENTS = 8
ASKED = 800
LEFT_MAX = 40
"""Bytes a request on average: less than one object, and more than the stories that are kept differ
by, which have their recounts by now or not."""


async def ask(gateway: Gateway, client: httpx.AsyncClient, count: int) -> None:
    """Ask so often, half of it streamed, and wait for what comes after the answers."""
    asked: dict[str, Any] = {
        "model": MODEL, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 50,
    }  # fmt: skip

    async def one() -> None:
        for number in range(count // CLIENTS):
            answer = await client.post(
                "/v1/chat/completions", json=asked | {"stream": number % 2 == 1}
            )
            assert answer.status_code == 200

    await asyncio.gather(*(one() for _ in range(CLIENTS)))
    await gateway.settled()
    await gateway.ledger.flush()


def held(fakes: list[FakeSupplier]) -> int:
    """Bytes that this project's own lines have allocated and the gateway has not let go of."""
    for each in fakes:
        for kept in (each.receipts, each.responses, each.cancelled, each.headers, each.bodies):
            kept.clear()
    gc.collect()
    found = tracemalloc.take_snapshot().filter_traces(OURS)
    return sum(each.size for each in found.statistics("filename"))


async def test_a_request_leaves_nothing_behind_but_in_the_history_of_so_many(
    tmp_path: Path,
) -> None:
    fakes = [FakeSupplier("one"), FakeSupplier("two")]
    async with a_gateway(tmp_path, *fakes, observe_all=lambda event: None) as gateway:
        gateway.plane.history.size = KEPT
        headers = {"authorization": f"Bearer {gateway.key}"}
        async with httpx.AsyncClient(base_url=gateway.url, headers=headers, timeout=60) as client:
            await ask(gateway, client, 2 * KEPT)
            tracemalloc.start()
            try:
                await ask(gateway, client, 2 * KEPT)  # what is kept is traced now, all of it
                before = held(fakes)
                await ask(gateway, client, ASKED)
                assert held(fakes) - before < LEFT_MAX * ASKED
            finally:
                tracemalloc.stop()


@pytest.mark.parametrize("kind", ["plain", "streamed", "left"])
async def test_no_request_waits_for_the_collector(tmp_path: Path, kind: str) -> None:
    async with (
        a_gateway(tmp_path, FakeSupplier("one"), observe_all=lambda event: None) as gateway,
        ClientPool() as pool,
    ):
        gateway.plane.history.size = KEPT
        asked = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
        body = orjson.dumps(asked | {"stream": kind != "plain"})
        headers = ((b"authorization", b"Bearer " + gateway.key.encode()),)

        async def ask_often() -> None:
            for _ in range(KEPT):
                url = gateway.url + "/v1/chat/completions"
                async with pool.stream(b"POST", url, headers, body) as stream:
                    chunks = stream.chunks()
                    await anext(chunks)
                    if kind == "left":
                        stream.abort()
                        continue
                    async for _ in chunks:
                        pass
            await gateway.settled()

        await ask_often()
        with no_collections() as found:
            await ask_often()
        assert found.total() < KEPT, found.most_common(12)
