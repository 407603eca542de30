"""A whole dashboard for the browser: a synthetic market, and a gateway that answers.

`python -m tests.dashboard.show 8123` serves one in which something happens every second; with
`hostile`, every name, URL and answer in it is an attempt to be code.
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from contracts import PastRound, Round
from gateway.access.api_keys import KeyTerms
from gateway.api.data_plane import DataPlane
from gateway.api.market_pages import MarketPages
from gateway.dashboard import Desk
from relay_mining import Hash32, RosterEntry
from tests.dashboard.history import CLOCK, TOKEN, History
from tests.dashboard.stage import ADMIN_TOKEN, Stage
from tests.factories import GATEWAY
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, Gateway, a_gateway

WORDS = [
    "Tokyo", " is", " the", " capital", " of", " Japan", ",", " and", " has", " been", " its",
    " seat", " of", " government", " since", " 1868", ".",
]  # fmt: skip
HOSTILE = (
    "<img src=x onerror=window.caught=1>",
    "<script>window.caught=1</script>",
    '"><svg onload=window.caught=1>',
    "javascript:window.caught=1",
    "\u202eevil\u0000\n" + "w" * 5000,
)
BUDGETS = KeyTerms(daily_budget=2 * TOKEN // 1000, monthly_budget=20 * TOKEN // 1000)


@dataclass
class Show:
    """A served dashboard with everything on it."""

    url: str
    stage: Stage
    gateway: Gateway


def plane_of(gateway: Gateway) -> DataPlane:
    """What answers a gateway's clients."""
    found = gateway.server.handler.__self__  # type: ignore[attr-defined]
    assert isinstance(found, DataPlane)
    return found


def add_trial(stage: Stage, gateway: Gateway) -> None:
    """Have a stage's dashboard try bids in the rounds of its history."""

    async def read_past_round(service: Hash32, epoch: int) -> PastRound:
        return stage.history.rounds.past(epoch)

    async def no_roster(service: Hash32, epoch: int) -> tuple[RosterEntry, ...]:
        return ()

    async def no_round(service: Hash32, epoch: int) -> Round:
        raise NotImplementedError

    pages = MarketPages(
        plane_of(gateway).relays.admission, stage.board.scene, CLOCK,
        stage.history.application(0), no_roster, no_round, read_past_round,
    )  # fmt: skip
    stage.board.add(pages.endpoints())


def add_desk(stage: Stage, gateway: Gateway, replicas: int = 1) -> None:
    """Have a stage's dashboard show a gateway's books."""
    plane = plane_of(gateway)
    desk = Desk(
        gateway.keys, gateway.ledger, plane.history, gateway.deliverer.outbox, plane.relays,
        stage.board.scene, replicas,
    )  # fmt: skip
    stage.board.add(desk.endpoints())


@asynccontextmanager
async def a_show(
    folder: Path, history: History, words: list[str], port: int = 0
) -> AsyncIterator[Show]:
    """Serve a market's dashboard over a gateway with one supplier."""
    honest = FakeSupplier("honest", words=words)
    async with a_gateway(folder, honest, terms=BUDGETS) as gateway:
        stage = Stage.build(history, GATEWAY)
        add_desk(stage, gateway)
        add_trial(stage, gateway)
        try:
            yield Show(await stage.serve(port), stage, gateway)
        finally:
            await stage.close()


async def make_requests(gateway: Gateway, count: int) -> None:
    """Requests of all kinds: answered, streamed, refused."""
    headers = {"authorization": f"Bearer {gateway.key}"}
    async with httpx.AsyncClient(base_url=gateway.url, headers=headers) as client:
        for number in range(count):
            body = {
                "model": MODEL if number % 7 else "none",
                "messages": [{"role": "user", "content": "What is the capital of Japan?"}],
                "max_tokens": 60, "stream": number % 2 == 0,
            }  # fmt: skip
            await client.post("/v1/chat/completions", json=body)
    await gateway.settled()


async def main(port: int, is_hostile: bool) -> None:
    """Serve until stopped."""
    history, words = History(auctioned=True), WORDS
    if is_hostile:
        history = History(auctioned=True, names=HOSTILE, url=HOSTILE[0])
        words = list(HOSTILE[:3])
    with tempfile.TemporaryDirectory() as folder:
        async with a_show(Path(folder), history, words, port) as show:
            await make_requests(show.gateway, 16)
            print(show.url, ADMIN_TOKEN, show.gateway.key, flush=True)  # noqa: T201
            later = History(seed=9, sessions=400)
            head = show.stage.head_block
            for event in (each for each in later.events() if each.block_number > head):
                await asyncio.sleep(1)
                show.stage.happen(event)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), "hostile" in sys.argv))
