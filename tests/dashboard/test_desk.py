"""Keys, requests and chats: what the application's pages show is what the gateway did."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from gateway.routing.costs import restore_signed
from node.dashboard import site_handler
from node.http import serve
from relay_mining import Claim, TrieRoot
from tests.dashboard.history import History
from tests.dashboard.show import add_desk, plane_of
from tests.dashboard.stage import ADMIN_TOKEN, Stage, not_found
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, Gateway, a_gateway

pytestmark = pytest.mark.anyio

ADMIN = {"authorization": f"Bearer {ADMIN_TOKEN}"}
GUARD = {"x-lode-dashboard": "1"}


@dataclass
class Place:
    """A gateway that answers, its dashboard, and a client of it."""

    gateway: Gateway
    stage: Stage
    client: httpx.AsyncClient

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.gateway.key}"}

    async def chat(self, text: str = "Hello", **fields: Any) -> httpx.Response:
        body = {"model": MODEL, "messages": [{"role": "user", "content": text}], **fields}
        return await self.client.post(
            "/dashboard/api/chat", json={"max_tokens": 50, **body}, headers=self.bearer | GUARD
        )

    async def story(self, request: str) -> dict[str, Any]:
        answer = await self.client.get(f"/dashboard/api/requests/{request}", headers=self.bearer)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def application(self) -> dict[str, Any]:
        found: dict[str, Any] = (
            await self.client.get("/dashboard/api/application", headers=ADMIN)
        ).json()
        return found


@asynccontextmanager
async def a_place(folder: Path, *suppliers: FakeSupplier) -> AsyncIterator[Place]:
    async with a_gateway(folder, *suppliers) as gateway:
        stage = Stage.build(History(suppliers=6, services=2, sessions=5, claims=3))
        add_desk(stage, gateway)
        server = await serve(site_handler(stage.board.site, not_found))
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
                yield Place(gateway, stage, client)
        finally:
            stage.board.close()
            await server.close(1)


async def test_a_streamed_chat_arrives_as_signed_with_its_story(tmp_path: Path) -> None:
    async with a_place(tmp_path, FakeSupplier("one")) as place:
        answer = await place.chat(stream=True, stream_options={"include_usage": True})
        assert answer.headers["content-type"] == "text/event-stream"
        await place.gateway.settled()
        story = await place.story(answer.headers["x-request-id"])

        assert story["disposition"] == "paid"
        signed = story["bill"]["receipts"][-1]["response"]["body_hash"]
        assert signed == "0x" + sha256(restore_signed(answer.content)).hexdigest()
        verdicts = {each["name"]: each["holds"] for each in story["verdicts"]}
        assert verdicts == {
            "answer": None, "recount": True, "receipt": True, "delivery": True, "claim": None,
        }  # fmt: skip


async def test_a_plain_chat_is_answered_and_charged_to_the_key(tmp_path: Path) -> None:
    async with a_place(tmp_path, FakeSupplier("one")) as place:
        answer = await place.chat()
        assert answer.json()["choices"][0]["message"]["content"]
        await place.gateway.settled()
        (key,) = (await place.application())["keys"]
        assert (key["name"], key["usage"]["requests"]) == ("test", "1")
        assert int(key["spent"]["today"]) > 0
        assert "sha256" not in key


async def test_what_the_gateway_refuses_the_page_is_told(tmp_path: Path) -> None:
    async with a_place(tmp_path, FakeSupplier("one")) as place:
        unknown = await place.client.post(
            "/dashboard/api/chat", json={}, headers=GUARD | {"authorization": "Bearer lode_sk_no"}
        )
        assert unknown.status_code == 401
        assert (await place.chat(model="none")).json()["error"]["code"] == "model_not_found"
        unguarded = await place.client.post("/dashboard/api/chat", json={}, headers=place.bearer)
        assert unguarded.status_code == 403
        assert place.gateway.results == []


async def test_a_page_that_leaves_is_a_client_that_leaves(tmp_path: Path) -> None:
    async with a_place(tmp_path, FakeSupplier("one", pause=asyncio.Event())) as place:
        body = {
            "model": MODEL, "stream": True, "max_tokens": 50,
            "messages": [{"role": "user", "content": "Hello"}],
        }  # fmt: skip
        async with place.client.stream(
            "POST", "/dashboard/api/chat", json=body, headers=place.bearer | GUARD
        ) as stream:
            await anext(stream.aiter_bytes())
        async with asyncio.timeout(10):
            while place.gateway.results != ["client_abort"]:
                await asyncio.sleep(0.01)


async def test_only_the_operator_sees_all_requests_and_only_the_key_its_own(
    tmp_path: Path,
) -> None:
    async with a_place(tmp_path, FakeSupplier("one")) as place:
        request = (await place.chat()).headers["x-request-id"]
        get = place.client.get
        for path in ("application", "requests"):
            assert (await get(f"/dashboard/api/{path}")).status_code == 401
            assert (await get(f"/dashboard/api/{path}", headers=place.bearer)).status_code == 401
        other, _ = place.gateway.keys.create("other", bytes(20))
        place.gateway.accounts.load(place.gateway.keys.list())
        theirs = {"authorization": f"Bearer {other}"}
        path = f"/dashboard/api/requests/{request}"
        assert (await get(path)).status_code == 401
        assert (await get(path, headers=theirs)).status_code == 404
        assert (await get("/dashboard/api/requests/req_1", headers=theirs)).status_code == 404
        listed = (await get("/dashboard/api/requests", headers=ADMIN)).json()["requests"]
        assert [each["id"] for each in listed] == [request]


async def test_models_are_those_of_the_key(tmp_path: Path) -> None:
    async with a_place(tmp_path, FakeSupplier("one")) as place:
        found = await place.client.get("/dashboard/api/models", headers=place.bearer)
        assert [each["id"] for each in orjson.loads(found.content)["data"]] == [MODEL]
        assert (await place.client.get("/dashboard/api/models")).status_code == 401


@pytest.mark.parametrize(("share", "finding"), [(1.0, "agrees"), (0.0001, "claimed less")])
async def test_receipts_are_compared_with_the_claims_of_whole_sessions(
    tmp_path: Path, share: float, finding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_place(tmp_path, FakeSupplier("one")) as place:
        await place.chat()
        await place.gateway.settled()
        history = plane_of(place.gateway).history
        (owed,) = history.all_receipts()
        assert (await place.application())["compared"] == []

        monkeypatch.setattr(type(history), "all_receipts", lambda _: [_at(owed, 6), owed])
        claim = Claim(
            owed.supplier, owed.session, TrieRoot(bytes(32), max(1, int(owed.units * share)), 1),
            7, 7, 1, 100, 1000,
        )  # fmt: skip
        stage = place.stage
        object.__setattr__(stage.board._sources, "gateway", owed.session.gateway)
        event = stage.history.event("claims", "ClaimSubmitted")
        stage.followed.model.claims.accept(claim, event)
        (row,) = (await place.application())["compared"]
        assert (row["session"], row["finding"]) == (7, finding)

        add_desk(stage, place.gateway, replicas=2)
        found = await place.application()
        assert (found["replicas"], found["compared"]) == (2, [])


def _at(owed: Any, number: int) -> Any:
    return replace(owed, session=replace(owed.session, number=number))
