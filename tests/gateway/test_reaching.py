"""Suppliers ask whether a gateway reaches them: over real sockets, by what is registered."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from contracts import ChainError
from gateway.errors import GatewayBusyError
from gateway.routing.reaching import FOLDER, KEPT_MAX, KEPT_S, OPEN_MAX, Reacher
from node.http import ClientPool, Lines, Request, Response, serve
from relay_mining import Address
from tests.factories import SUPPLIER, an_address
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import a_gateway

pytestmark = pytest.mark.anyio


class Registered:
    """What is registered where, and how often it was looked up."""

    def __init__(self, urls: Mapping[Address, str]) -> None:
        self.urls = urls
        self.asked = 0

    async def find(self, supplier: Address) -> str:
        self.asked += 1
        return self.urls.get(supplier, "")


async def health(request: Request) -> Response:
    return Response(200, orjson.dumps({"status": "ok", "supplier": "0x" + SUPPLIER.hex()}))


async def test_a_supplier_is_told_whether_it_is_reached(tmp_path: Path) -> None:
    server = await serve(health)
    url, other = f"http://127.0.0.1:{server.port}", an_address("another at the same place")
    registered = Registered({SUPPLIER: url + "/", other: url})
    async with a_gateway(tmp_path, FakeSupplier("one")) as gateway, ClientPool() as pool:
        gateway.plane.mount(FOLDER, Reacher(pool, registered.find).answer)

        async def ask(name: str) -> dict[str, Any]:
            async with httpx.AsyncClient() as client:
                answer = await client.get(gateway.url + FOLDER.decode() + name)
            found: dict[str, Any] = answer.json()
            return found

        name = "0x" + SUPPLIER.hex()
        assert await ask(name) == {"supplier": name, "url": url, "is_reached": True, "why": ""}
        assert (await ask("0x" + other.hex()))["why"] == "something else answers there"
        assert (await ask("0x" + bytes(20).hex()))["why"] == "no such supplier is registered"
        assert (await ask("0x12"))["error"]["param"] == "supplier"
    await server.close(0)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'"0x"', b"\xff", b'{"supplier":1}'])
async def test_what_answers_in_its_place_is_not_it(body: bytes) -> None:
    async def answer(request: Request) -> Response:
        return Response(200, body)

    server = await serve(answer)
    registered = Registered({SUPPLIER: f"http://127.0.0.1:{server.port}"})
    async with ClientPool() as pool:
        assert not (await Reacher(pool, registered.find).reach(SUPPLIER)).is_reached
    await server.close(0)


async def test_who_dials_is_reached_on_its_lines_and_a_chain_may_be_away() -> None:
    async def away(supplier: Address) -> str:
        raise ChainError("no endpoint answers")

    async with ClientPool(lines=Lines()) as pool:
        dials = await Reacher(pool, Registered({SUPPLIER: "dial:"}).find).reach(SUPPLIER)
        assert (dials.is_reached, dials.why) == (False, "it has no line to this gateway")
        assert "chain" in (await Reacher(pool, away).reach(SUPPLIER)).why


async def test_what_came_of_it_is_kept_for_a_while() -> None:
    now, registered = [0.0], Registered({SUPPLIER: "http://127.0.0.1:1"})
    async with ClientPool() as pool:
        reacher = Reacher(pool, registered.find, lambda: now[0])
        first = await reacher.reach(SUPPLIER)
        assert not first.is_reached
        now[0] = KEPT_S - 1
        assert await reacher.reach(SUPPLIER) is first
        now[0] = KEPT_S
        await reacher.reach(SUPPLIER)
        assert registered.asked == 2
        for each in range(KEPT_MAX):
            await reacher.reach(an_address(str(each)))
        await reacher.reach(SUPPLIER)  # forgotten for the newest
        assert registered.asked == KEPT_MAX + 3


async def test_few_are_opened_at_a_time() -> None:
    held = asyncio.Event()

    async def hang(supplier: Address) -> str:
        await held.wait()
        return ""

    async with ClientPool() as pool:
        reacher = Reacher(pool, hang)
        open_ = [
            asyncio.create_task(reacher.reach(an_address(str(each)))) for each in range(OPEN_MAX)
        ]
        await asyncio.sleep(0)
        with pytest.raises(GatewayBusyError):
            await reacher.reach(SUPPLIER)
        held.set()
        await asyncio.gather(*open_)
        assert not (await reacher.reach(SUPPLIER)).is_reached
