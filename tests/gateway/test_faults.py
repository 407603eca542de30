"""Faults that have no page of their own: a bad event, clients that leave early, a bad database."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from prometheus_client import CollectorRegistry

from gateway.access.admission import Admission
from gateway.access.api_keys import KeyStore
from gateway.access.database import Database
from gateway.access.deny_list import DenyList
from gateway.access.table_reload import TableReload
from gateway.control import create_control
from tests.factories import APPLICATION
from tests.gateway.fakes import MALFORMED, FakeSupplier
from tests.gateway.harness import MODEL, a_gateway

pytestmark = pytest.mark.anyio
HI = [{"role": "user", "content": "hi"}]
TOKEN = "an admin token that is long enough"


async def test_a_malformed_event_does_not_end_a_stream(tmp_path: Path) -> None:
    async with a_gateway(tmp_path, FakeSupplier("one", "malformed")) as gateway:
        body: dict[str, Any] = {"model": MODEL, "messages": HI, "stream": True, "max_tokens": 50}
        async with httpx.AsyncClient() as client:
            answer = await client.post(
                gateway.url + "/v1/chat/completions", json=body,
                headers={"authorization": f"Bearer {gateway.key}"},
            )  # fmt: skip
        assert answer.content.startswith(MALFORMED)
        assert b'"world"' in answer.content
        assert b'"status":"ok"' in answer.content
        await gateway.settled()
        assert gateway.results == ["ok"]


@pytest.mark.parametrize("stream", [False, True])
async def test_who_leaves_before_the_first_byte_stops_the_supplier_and_nobody_else_is_asked(
    tmp_path: Path, stream: bool
) -> None:
    fakes = [FakeSupplier("one", "hang"), FakeSupplier("two", "hang")]
    async with a_gateway(tmp_path, *fakes) as gateway, gateway.client() as client:
        with pytest.raises(openai.APITimeoutError):
            await client.with_options(timeout=0.1).chat.completions.create(
                model=MODEL, messages=HI, stream=stream
            )
        async with asyncio.timeout(10):
            while not any(each.cancelled for each in fakes) or not gateway.results:
                await asyncio.sleep(0.01)
        assert sum(each.served for each in fakes) == 1
        assert gateway.results == ["client_abort"]
        assert gateway.ledger.requests.summary()["refunded"] == 1


async def test_who_left_before_its_turn_is_asked_for_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, left, let_in = FakeSupplier("one"), asyncio.Event(), Admission.let_in

    async def wait(admission: Admission, *request: Any) -> Any:
        grant = await let_in(admission, *request)
        await left.wait()
        return grant

    monkeypatch.setattr(Admission, "let_in", wait)
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        with pytest.raises(openai.APITimeoutError):
            await client.with_options(timeout=0.1).chat.completions.create(model=MODEL, messages=HI)
        async with asyncio.timeout(10):
            while gateway.server._connections:
                await asyncio.sleep(0.01)
            left.set()
            while not gateway.ledger.requests.summary()["refunded"]:
                await asyncio.sleep(0.01)
        assert fake.served == 0
        assert gateway.results == []


async def test_small_pieces_are_sent_at_once(tmp_path: Path) -> None:
    fake = FakeSupplier("one", pause=asyncio.Event())
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        stream = await client.chat.completions.create(model=MODEL, messages=HI, stream=True)
        await anext(aiter(stream))
        (downstream,) = gateway.server._connections
        pools = gateway.plane.relays.dispatcher.upstream.pool._origins.values()
        (upstream,) = [each for pool in pools for each in pool._busy]
        for connection in (downstream, upstream):
            raw = connection.transport.get_extra_info("socket")
            assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        fake.pause.set()
        assert [chunk async for chunk in stream]


async def test_a_database_that_fails_refuses_nobody_and_is_503_to_the_operator(
    tmp_path: Path,
) -> None:
    async with a_gateway(tmp_path, FakeSupplier("one")) as gateway, gateway.client() as client:
        path, database = tmp_path / "keys.db", Database(tmp_path / "keys.db")
        tables = TableReload(
            database, gateway.keys, DenyList(database), gateway.accounts, gateway.standing
        )
        await tables.step()
        whole = path.read_bytes()
        path.write_bytes(b"not a database" * 1000)
        await tables.step()
        assert (await client.models.list()).data
        with pytest.raises(openai.InternalServerError) as unknown:
            await client.with_options(api_key="lode_sk_new").models.list()
        assert unknown.value.code == "database_unavailable"
        assert unknown.value.response.headers["retry-after"] == "1"
        app = create_control(
            gateway.keys, gateway.accounts, APPLICATION, CollectorRegistry(), dict, list, TOKEN
        )
        transport = httpx.ASGITransport(app=app)
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://control") as operator:
            answer = await operator.get("/admin/keys", headers=headers)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert answer.json()["error"]["code"] == "database_unavailable"
        path.write_bytes(whole)
        KeyStore(database).revoke(gateway.key_id)
        await tables.step()
        with pytest.raises(openai.AuthenticationError):
            await client.models.list()
        database.close()
