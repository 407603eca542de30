"""Pages that leave while a chat is answered: on a real socket, and at each moment by hand."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from prometheus_client import CollectorRegistry

from gateway.control import create_control
from gateway.control_server import ControlServer
from gateway.dashboard.playground import PIECES_MAX, PageClient
from gateway.dashboard.shell import carry
from gateway.routing.upstream import UpstreamTimeouts
from node.dashboard import Reply
from node.http import ClientDisconnected
from tests.dashboard.history import History
from tests.dashboard.show import add_desk
from tests.dashboard.stage import Stage
from tests.factories import APPLICATION
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, Gateway, a_gateway

pytestmark = pytest.mark.anyio

PATIENT = UpstreamTimeouts(connect=1, first_byte=60, stall=60, total=90, cancel=1)


async def until(predicate: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not predicate():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def a_control_plane(gateway: Gateway) -> AsyncIterator[str]:
    """The gateway's own web server with a dashboard."""
    stage = Stage.build(History(suppliers=6, services=2, sessions=5, claims=3))
    add_desk(stage, gateway)
    app = create_control(
        gateway.keys, gateway.accounts, APPLICATION, CollectorRegistry(), dict, list, None,
        stage.board.site,
    )  # fmt: skip
    server = ControlServer(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve())
    try:
        await server.listening.wait()
        yield f"http://127.0.0.1:{server.port}"
    finally:
        stage.board.close()
        server.should_exit = True
        await serving


@pytest.mark.parametrize(
    ("is_stream", "beat_s"), [(False, 10.0), (True, 10.0), (True, 0.01)], ids=str
)
async def test_a_page_that_leaves_before_an_answer_gives_all_it_reserved_back(
    tmp_path: Path, is_stream: bool, beat_s: float
) -> None:
    fake = FakeSupplier("slow", lie="hang")
    async with (
        a_gateway(tmp_path, fake, timeouts=PATIENT, beat_s=beat_s) as gateway,
        a_control_plane(gateway) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        body = {"model": MODEL, "stream": is_stream, "messages": [{"role": "user", "content": "?"}]}
        headers = {"authorization": f"Bearer {gateway.key}", "x-lode-dashboard": "1"}
        asking = asyncio.create_task(
            client.post("/dashboard/api/chat", json=body, headers=headers, timeout=None)
        )
        await until(lambda: fake.served == 1)
        asking.cancel()

        await until(lambda: gateway.results == ["client_abort"])
        await until(lambda: gateway.plane.relays.in_flight == 0)
        assert gateway.standing.of(fake.supplier).reserved == 0


async def test_the_end_of_a_stream_that_was_never_begun_is_told() -> None:
    ended: list[bool] = []

    async def pieces() -> AsyncIterator[bytes]:
        yield b"never asked for"

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        await asyncio.Event().wait()

    reply = Reply(stream=pieces(), on_end=lambda: ended.append(True))
    await carry(reply)({"type": "http"}, receive, send)
    assert ended == [True]


async def test_an_answer_that_ends_in_a_full_queue_waits_no_longer_than_its_page() -> None:
    client = PageClient()
    client.respond_stream(200, (), None)
    for _ in range(PIECES_MAX):
        await client.write(b"piece")
    closing = asyncio.create_task(client.close())
    await asyncio.sleep(0)
    assert not closing.done()
    client.leave()
    async with asyncio.timeout(10):
        with pytest.raises(ClientDisconnected):
            await closing
