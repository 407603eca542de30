"""The dashboard's site on both servers: pages, files, JSON, the live stream, and who may log in."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import orjson
import pytest
import uvicorn
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from gateway.access.accounts import Accounts
from gateway.access.api_keys import KeyStore
from gateway.access.database import Database
from gateway.control import create_control
from gateway.control_server import ControlServer
from node.dashboard import Ask, Feed, site_handler
from node.dashboard.access import COOKIE, SESSION_S, WRONG_MAX, WRONG_S, Access
from node.dashboard.feed import FOLLOWERS_MAX
from node.http import serve
from tests.dashboard.history import History
from tests.dashboard.stage import ADMIN_TOKEN, Stage, not_found
from tests.factories import APPLICATION

pytestmark = pytest.mark.anyio

GUARD = {"x-lode-dashboard": "1"}
SMALL = {"suppliers": 12, "services": 3, "sessions": 20, "claims": 6, "auctioned": True}
PAGES = ("/", "/prices", "/prices/0x00", "/suppliers/0x00")


@pytest.fixture
def stage() -> Stage:
    return Stage.build(History(**SMALL))


@pytest.fixture(params=["chassis", "control"])
async def client(
    stage: Stage, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the same site behind each of the two servers."""
    if request.param == "chassis":
        async with httpx.AsyncClient(base_url=await stage.serve()) as client:
            yield client
        await stage.close()
        return
    tables = Database(tmp_path / "keys.db")
    app: FastAPI = create_control(
        KeyStore(tables),
        Accounts(),
        APPLICATION,
        CollectorRegistry(),
        dict,
        list,
        ADMIN_TOKEN,
        stage.board.site,
    )
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://control") as client:
        yield client
    tables.close()


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_a_shell_that_nothing_foreign_gets_into(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(path)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "://" not in answer.text


async def test_every_file_a_page_needs_is_served_and_names_no_other_host(
    client: httpx.AsyncClient, stage: Stage
) -> None:
    for path in stage.board.site.assets.paths:
        answer = await client.get(path)
        assert answer.status_code == 200
        assert "https://" not in answer.text
        again = await client.get(path, headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    ["/assets/../board.py", "/assets/%2e%2e/board.py", "/assets/shared/../../site.py", "/assets/"],
)
async def test_no_path_leads_out_of_the_files(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404


async def test_what_each_page_asks_for(client: httpx.AsyncClient, stage: Stage) -> None:
    market = (await client.get("/dashboard/api/market")).json()
    assert market["counts"]["suppliers"] == 12
    assert [each["stage"] for each in market["stages"]] == [
        "serving", "claiming", "proving", "settled",
    ]  # fmt: skip
    assert market["totals"]["claims"] == str(20 * 6)
    assert len(market["sessions"]) == 3

    query = "/dashboard/api/suppliers?order=stake&limit=5&offset=2"
    found = (await client.get(query)).json()
    stakes = [int(each["stake"]) for each in found["suppliers"]]
    assert (found["total"], len(stakes)) == (12, 5)
    assert stakes == sorted(stakes, reverse=True)
    wanted = found["suppliers"][0]
    by_url = (await client.get(f"/dashboard/api/suppliers?find={wanted['url'][8:]}")).json()
    assert [each["id"] for each in by_url["suppliers"]] == [wanted["id"]]

    one = (await client.get(f"/dashboard/api/suppliers/{wanted['id']}")).json()
    assert one["url"] == wanted["url"]
    assert sum(each["state"] == "paid" for each in one["claims_shown"]) == one["claims_paid"]

    service = market["services"][0]
    book = (await client.get(f"/dashboard/api/services/{service['id']}")).json()["book"]
    prices = [int(each["price"]) for each in book]
    assert prices == sorted(prices)
    assert str(prices[0]) == service["low"]
    assert service["posted"] is None

    auction = stage.history.rounds
    sold = (await client.get(f"/dashboard/api/services/0x{auction.service.hex()}")).json()
    past = auction.past(sold["round"]["epoch"])
    assert sold["posted"] == sold["path"][-1][1] == str(past.price)
    assert [each["price"] for each in sold["book"]] == sorted(
        (str(each.price) for each in past.book.asks), key=int
    )
    assert [int(each["price"]) for each in sold["bids"]] == sorted(
        (each.price for each in past.book.bids), reverse=True
    )
    assert any(each["price_now"] for each in sold["book"])
    (listed,) = (each for each in market["services"] if each["id"] == sold["id"])
    assert listed["path"] == [posted for _, posted, _ in sold["path"]]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("suppliers/0x00", 404), ("suppliers/nonsense", 404), ("services/0x1", 404),
        ("suppliers?limit=x&offset=-1&order=__class__", 200),
        ("suppliers?limit=999999999999999999999", 200), ("nothing", 404), ("", 404),
    ],
)  # fmt: skip
async def test_nonsense_is_refused_or_passed_over(
    client: httpx.AsyncClient, path: str, status: int
) -> None:
    answer = await client.get("/dashboard/api/" + path)
    assert answer.status_code == status
    if status == 404:
        assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
    else:
        assert len(answer.json()["suppliers"]) <= 200


async def test_only_the_admin_token_logs_in_and_the_cookie_is_no_script_s(
    client: httpx.AsyncClient,
) -> None:
    async def me() -> bool:
        logged_in: bool = (await client.get("/dashboard/api/me")).json()["logged_in"]
        return logged_in

    login, logout = "/dashboard/api/login", "/dashboard/api/logout"
    assert not await me()
    assert (await client.post(login, json={"token": ADMIN_TOKEN})).status_code == 403
    for body in (b"", b"[]", b'{"token": 7}', b'{"token": "wrong"}'):
        answer = await client.post(login, content=body, headers=GUARD)
        assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)
    right = await client.post(login, json={"token": ADMIN_TOKEN}, headers=GUARD)
    cookie = right.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert ADMIN_TOKEN not in cookie
    assert await me()
    await client.post(logout, headers=GUARD)
    assert not await me()
    bearer = {"authorization": f"Bearer {ADMIN_TOKEN}"}
    assert (await client.get("/dashboard/api/me", headers=bearer)).json()["logged_in"]


async def test_wrong_tokens_are_soon_not_looked_at_any_more() -> None:
    now = 0.0
    access = Access(ADMIN_TOKEN, lambda: now)
    session = access.open(ADMIN_TOKEN)
    for _ in range(WRONG_MAX):
        assert not access.is_throttled()
        assert access.open("wrong") is None
    assert access.is_throttled()
    assert session is not None
    assert access.is_open(session)
    now = WRONG_S + 1
    assert not access.is_throttled()
    now = SESSION_S + 1
    assert not access.is_open(session)


async def test_wrong_bearer_tokens_are_wrong_tokens(stage: Stage) -> None:
    site = stage.board.site
    session = site.access.open(ADMIN_TOKEN)
    wrong = Ask("GET", "/", headers={"authorization": "Bearer wrong"})
    for _ in range(WRONG_MAX):
        assert not site.access.is_throttled()
        assert not site.is_logged_in(wrong)
    assert site.access.is_throttled()
    assert not site.is_logged_in(
        Ask("GET", "/", headers={"authorization": f"Bearer {ADMIN_TOKEN}"})
    )
    assert site.is_logged_in(Ask("GET", "/", headers={"cookie": f"{COOKIE}={session}"}))


@pytest.mark.parametrize(
    ("said", "count"),
    [("", 5), ("7", 7), ("100", 50), ("-1", 5), ("\u0664", 5), ("9" * 19, 50), ("9" * 5_000, 50)],
    ids=range(7),
)
def test_a_count_in_a_query_is_brought_within_its_bounds(said: str, count: int) -> None:
    assert Ask("GET", "/", {"limit": said}).number("limit", 5, 50) == count


async def test_without_an_admin_token_nobody_logs_in() -> None:
    for given in ("", "None", ADMIN_TOKEN):
        assert Access(None).open(given) is None
        assert Access("").open(given) is None


async def test_a_live_update_reaches_whoever_follows(stage: Stage) -> None:
    url = await stage.serve()
    async with (
        httpx.AsyncClient(base_url=url) as client,
        client.stream("GET", "/dashboard/api/stream") as stream,
    ):
        assert stream.headers["content-type"] == "text/event-stream"
        lines = stream.aiter_lines()
        await anext(lines)
        amount = {"application": bytes(20), "amount": 123_456_789}
        stage.happen(stage.history.event("escrow", "Deposit", **amount))
        async with asyncio.timeout(5):
            data = next_data = ""
            while not next_data:
                data = await anext(lines)
                next_data = data.removeprefix("data: ") if data.startswith("data: ") else ""
        pulse = orjson.loads(next_data)
        assert pulse["activity"][0]["kind"] == "deposit"
        assert pulse["activity"][0]["amount"] == 123_456_789
    async with asyncio.timeout(5):
        while stage.board.feed.followers:
            await asyncio.sleep(0.01)
    await stage.close()


async def test_a_control_plane_that_is_watched_still_ends(stage: Stage, tmp_path: Path) -> None:
    tables = Database(tmp_path / "keys.db")
    app: FastAPI = create_control(
        KeyStore(tables), Accounts(), APPLICATION, CollectorRegistry(), dict, list, ADMIN_TOKEN,
        stage.board.site,
    )  # fmt: skip
    server = ControlServer(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    running = asyncio.create_task(server.serve())
    await server.listening.wait()
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client,
        client.stream("GET", "/dashboard/api/stream") as stream,
    ):
        lines = stream.aiter_lines()
        await anext(lines)
        assert stage.board.feed.followers == 1
        stage.happen(stage.history.event("escrow", "Deposit", application=bytes(20), amount=1))
        assert [line async for line in lines_to(lines, "data: ")]
        stage.board.close()
        server.should_exit = True
        async with asyncio.timeout(10):
            await running
    tables.close()


async def lines_to(lines: AsyncIterator[str], start: str) -> AsyncIterator[str]:
    """The first line that begins so."""
    async with asyncio.timeout(5):
        async for line in lines:
            if line.startswith(start):
                yield line
                return


async def test_a_slow_follower_skips_to_the_newest() -> None:
    feed = Feed()
    frames = feed.follow()
    await anext(frames)
    for number in range(1000):
        feed.publish(b"%d" % number)
    assert await anext(frames) == b"id: 1000\ndata: 999\n\n"
    feed.close()
    assert [each async for each in frames] == []
    assert feed.followers == 0


async def test_a_quiet_stream_says_that_it_is_there() -> None:
    feed = Feed(quiet_s=0.01)
    frames = feed.follow()
    await anext(frames)
    assert await anext(frames) == b": still here\n\n"
    await frames.aclose()


async def test_no_more_follow_than_there_is_room_for(stage: Stage) -> None:
    stage.board.feed.followers = FOLLOWERS_MAX
    server = await serve(site_handler(stage.board.site, not_found))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        assert (await client.get("/dashboard/api/stream")).status_code == 503
    await server.close(0)
