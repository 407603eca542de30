"""What the dashboard takes of the gateway: each page, each live update, each event.

    python -m benchmarks.bench_dashboard

A market of 1,000 suppliers and 12,000 claims, and a gateway that has seen 100,000 requests. Times
are processor time of the whole process, so that a busy machine shows little; the median of 30.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

from gateway.dashboard.folding import apply
from gateway.dashboard.market_model import MarketModel
from gateway.routing.observation import Began, Ended, Observation, Recount, Result
from node.dashboard import Ask
from relay_mining import SessionKey
from tests.dashboard.history import CLOCK, History
from tests.dashboard.show import WORDS, Show, a_show, plane_of
from tests.dashboard.stage import ADMIN_TOKEN
from tests.factories import APPLICATION, GATEWAY

SUPPLIERS, REQUESTS, ROUNDS = 1_000, 100_000, 30
PAGE_MS_MAX, UPDATE_MS_MAX = 200.0, 100.0
ADMIN = {"authorization": f"Bearer {ADMIN_TOKEN}"}


async def time_ms(work: Callable[[], Awaitable[int]]) -> tuple[float, int]:
    """Milliseconds of processor time, and what the work returned: its bytes."""
    taken, size = [], 0
    for _ in range(ROUNDS):
        began = time.process_time()
        size = await work()
        taken.append((time.process_time() - began) * 1e3)
    return median(taken), size


def ask_all(show: Show, *paths: str) -> Callable[[], Awaitable[int]]:
    """Asks for everything that a page does; returns how many bytes came."""

    async def work() -> int:
        size = 0
        for path in paths:
            name, _, query = path.partition("?")
            fields = dict(each.split("=") for each in query.split("&")) if query else {}
            reply = await show.stage.board.site.answer(
                Ask("GET", "/dashboard/api/" + name, fields, ADMIN)
            )
            assert reply is not None
            assert reply.status == 200
            size += len(reply.body)
        return size

    return work


def pages(show: Show, history: History) -> dict[str, Callable[[], Awaitable[int]]]:
    """What each page asks for."""
    supplier, service = history.supplier(3).hex(), history.service(1).hex()
    market = ("market", "suppliers?order=earned&limit=12")
    return {
        "market": ask_all(show, *market),
        "market, all found": ask_all(show, "market", "suppliers?order=stake&find=gpu&limit=200"),
        "supplier": ask_all(show, f"suppliers/0x{supplier}"),
        "prices": ask_all(show, "services"),
        "prices of one": ask_all(show, f"services/0x{service}"),
        "application": ask_all(show, "me", "application"),
    }


def live_update(show: Show) -> Callable[[], Awaitable[int]]:
    """One update, as it is made for all who follow together."""
    board = show.stage.board

    async def work() -> int:
        show.stage.head_block += 1
        board.beat()
        return len(board.feed._frame)

    board.feed.followers = 1
    return work


def make_requests(show: Show, history: History) -> float:
    """A past of many requests in the gateway's books; microseconds for each."""
    ledger, recent = show.gateway.ledger, plane_of(show.gateway).history
    began = time.process_time()
    for number in range(REQUESTS):
        supplier, request = history.supplier(number % SUPPLIERS), os.urandom(16)
        session = SessionKey(APPLICATION, GATEWAY, history.service(0), number // 2_000)
        started = Began(request, show.gateway.key_id, "tiny")
        tried = Observation(
            supplier, session, "tiny", show.gateway.key_id, Result.OK, False, True, 0.2, None,
            700, 20, 15, price=2_000_000, request=request, request_hash=bytes(32), owed=1,
        )  # fmt: skip
        counted = Recount(
            supplier, session, "tiny", show.gateway.key_id, bytes(32), 700, 700, 20, 15, False,
            2_000_000, request,
        )  # fmt: skip
        ended = Ended(request, show.gateway.key_id, "tiny", 200, "", 0.2)
        for record in (ledger.record, recent.record):
            record(started)
        for observe in (ledger.observe, recent.observe):
            observe(tried)
            observe(counted)
        for record in (ledger.record, recent.record):
            record(ended)
    return (time.process_time() - began) / REQUESTS * 1e6


def fold(history: History) -> tuple[int, float]:
    """How many events the market has, and microseconds to take in each."""
    events = list(history.events())
    model = MarketModel(CLOCK)
    began = time.process_time()
    for event in events:
        apply(model, event)
    return len(events), (time.process_time() - began) / len(events) * 1e6


async def main() -> None:
    """Print the figures; fail where one is beyond its bound."""
    history = History(suppliers=SUPPLIERS, sessions=300, claims=40)
    count, each_us = fold(history)
    print(f"{count:,} events folded, {each_us:.1f} us each")
    with tempfile.TemporaryDirectory() as folder:
        async with a_show(Path(folder), history, WORDS) as show:
            print(f"{REQUESTS:,} requests in the books, {make_requests(show, history):.1f} us each")
            print(f"{'':20} {'ms':>8} {'bytes':>10}")
            for name, work in pages(show, history).items():
                await report(name, work, PAGE_MS_MAX)
            await report("a live update", live_update(show), UPDATE_MS_MAX)
            show.stage.board.feed.followers = 0


async def report(name: str, work: Callable[[], Awaitable[int]], ms_max: float) -> None:
    """One line of the table."""
    taken, size = await time_ms(work)
    print(f"{name:20} {taken:>8.2f} {size:>10,}")
    if taken > ms_max:
        raise SystemExit(f"{name} takes {taken:.1f} ms, more than {ms_max}")


if __name__ == "__main__":
    asyncio.run(main())
