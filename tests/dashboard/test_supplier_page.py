"""The supplier's page: its figures are those of its books, its store and the chain's word."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from node.dashboard import Token, site_handler
from node.holding import TOKEN, Holding
from node.http import serve
from node.telemetry import metrics_handler
from supplier.dashboard import Board, Sources
from supplier.dashboard import board as board_module
from supplier.metrics import Metrics
from supplier.mining.books import Books
from supplier.mining.ends import SETTLED
from supplier.mining.store import SentAction, SessionRecord, Store
from tests.dashboard.history import CLOCK, name_address
from tests.supplier.market import CREDIT

pytestmark = pytest.mark.anyio

ENGINES = [
    {"name": "engine", "up": True, "restarts": 1, "running": 3, "waiting": 2, "kv_cache_used": 0.4}
]
HOLDINGS = (Holding("stake, free", 900_000_000, TOKEN, "", "supplier unstake AMOUNT"),)


@dataclass
class View:
    """Stands where the chain would."""

    head: int
    clock = CLOCK
    market = None


@dataclass
class Page:
    """A served page and what it looks at."""

    client: httpx.AsyncClient
    board: Board
    view: View
    store: Store

    async def data(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.client.get("/dashboard/api/node")).json()
        return found


@pytest.fixture
async def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Page]:
    store, metrics, view = Store(tmp_path / "supplier.db"), Metrics(), View(CLOCK.start(9) + 3)
    supplier = name_address("supplier")

    async def read_nothing(*_: object) -> Any:
        return type("Found", (), {"time": View(view.head)})()

    monkeypatch.setattr(board_module, "read_funds_view", read_nothing)
    monkeypatch.setattr(board_module, "describe_funds", lambda _: HOLDINGS)
    sources = Sources(
        supplier, view, Books(supplier, CREDIT), store, lambda: ENGINES, lambda: 5, 350_000
    )  # type: ignore[arg-type]
    board = Board(sources, Token("USDX", 6))
    server = await serve(site_handler(board.site, metrics_handler(metrics.registry)))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        yield Page(client, board, view, store)
    board.close()
    await server.close(1)
    store.close()


def a_record(number: int, **fields: Any) -> SessionRecord:
    given = {
        "session": f"{number:064x}", "number": number, "application": "aa" * 20,
        "gateway": "bb" * 20, "service": "cc" * 32, "relays": 10, "served": 1_000_000,
        "receipted": 900_000, "payable": 950_000, "lost": 100_000, "value": "1900000",
        "bond": "1900000", "paid": "1800000", "net": "1800000", "price": "2000000",
        "outcome": SETTLED,
    }  # fmt: skip
    return SessionRecord(**given | fields)


async def test_served_and_paid_differ_by_the_reasons_given(page: Page) -> None:
    page.store.close_session(a_record(4))
    page.store.close_session(a_record(5, paid="0", outcome="voided"))
    sums = {name: int(value) for name, value in (await page.data())["funnel"].items()}

    reasons = ("unreceipted", "sampling", "unclaimed", "shares", "lost", "pending")
    assert sums["served"] - sum(sums[each] for each in reasons) == sums["paid"] == 1_800_000
    assert (sums["lost"], sums["sampling"]) == (1_800_000, -200_000)


async def test_the_page_shows_engines_funds_sessions_and_what_was_sent(page: Page) -> None:
    page.store.close_session(a_record(4))
    page.store.add_action(SentAction(at=1.5, block=99, kind="Prove", number=4, transaction="ab"))
    data = await page.data()

    assert data["engines"] == ENGINES
    assert data["open_relays"] == 5
    assert data["clock"]["session"] == 9
    assert [(each["where"], each["amount"]) for each in data["holdings"]] == [
        ("stake, free", "900000000")
    ]
    assert [each["number"] for each in data["sessions"]] == [4]
    assert data["actions"][0] | {"kind": "Prove", "transaction": "0xab"} == data["actions"][0]


async def test_metrics_are_still_there_and_nobody_can_log_in(page: Page) -> None:
    assert "supplier_open_relays" in (await page.client.get("/metrics")).text
    assert (await page.client.get("/")).headers["content-type"].startswith("text/html")
    assert (await page.client.get("/nothing")).status_code == 404
    answer = await page.client.post(
        "/dashboard/api/login", json={"token": ""}, headers={"x-lode-dashboard": "1"}
    )
    assert answer.status_code == 403
    assert (await page.client.get("/dashboard/api/me")).json() == {
        "logged_in": False, "can_log_in": False,
    }  # fmt: skip


async def test_a_live_update_comes_when_something_is_new(page: Page) -> None:
    async with page.client.stream("GET", "/dashboard/api/stream") as stream:
        lines = stream.aiter_lines()
        await anext(lines)
        page.board.beat()
        page.board.beat()
        page.view.head += 1
        page.board.beat()
        async with asyncio.timeout(5):
            seen = [await anext(lines) for _ in range(3)]
    assert "id: 2" in seen
