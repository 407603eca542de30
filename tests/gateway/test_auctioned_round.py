"""What a gateway tells of an auction, beside what the chain made of its rounds."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import orjson
import pytest

from contracts import OrderSide, read_past_round
from gateway.api.market_pages import FOLDER, MarketPages
from gateway.dashboard import Scene
from gateway.dashboard.follower import Follower
from gateway.routing.standing import Standing
from node.dashboard import Ask, Token
from pricing import Book, Order, clear_epoch
from relay_mining import SessionKey
from tests.contracts.anvil import Anvil, start_anvil
from tests.contracts.trading_rounds import (
    APPLICATIONS,
    ASKS,
    BIDS,
    GATEWAY,
    PRICE,
    Rounds,
    open_market,
)
from tests.contracts.world import address
from tests.factories import APPLICATION
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import a_gateway

pytestmark = [pytest.mark.anvil, pytest.mark.anyio]


@pytest.fixture
def anvil() -> Iterator[Anvil]:
    running = start_anvil()
    yield running
    running.stop()


@asynccontextmanager
async def pages(
    folder: Path, rounds: Rounds
) -> AsyncIterator[tuple[MarketPages, httpx.AsyncClient]]:
    """The market's pages over the chain, and a client with an API key."""
    market = rounds.market
    follower = Follower(market, rounds.clock, 0, 1.0)
    await follower.catch_up()

    def scene() -> Scene:
        return Scene(
            follower.model, follower.rosters, Standing(monotonic), (), follower.model.block,
            Token("USDX", 6), GATEWAY,
        )  # fmt: skip

    async with a_gateway(folder, FakeSupplier("one")) as gateway:
        shown = MarketPages(
            gateway.plane.relays.admission, scene, rounds.clock, address(APPLICATIONS[0]),
            market.sessions.roster, market.auction.round,
            lambda service, epoch: read_past_round(market, service, epoch),
        )  # fmt: skip
        gateway.plane.mount(FOLDER, shown.answer)
        headers = {"authorization": f"Bearer {gateway.key}"}
        url = f"{gateway.url}/v1/market/services/0x{rounds.service.hex()}"
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
            yield shown, client


async def test_the_pages_of_an_auction_say_what_the_chain_made_of_its_rounds(
    anvil: Anvil, tmp_path: Path
) -> None:
    rounds = await open_market(anvil, tmp_path)
    epoch = rounds.clock.epoch_of(rounds.clock.session_at(anvil.height)) + 3
    await rounds.finish(epoch)
    async with pages(tmp_path, rounds) as (_, client):
        await check_book(rounds, epoch, (await client.get("")).json())
        await check_rounds(rounds, epoch, (await client.get("/rounds")).json()["data"])
    anvil.mine_to(rounds.clock.start(epoch * rounds.clock.epoch_sessions) + 1)
    async with rounds.market, pages(tmp_path / "later", rounds) as (shown, client):
        await check_own_bids(rounds, epoch, shown)
        bid = {"price": BIDS[0].price, "quantity": 20}
        found = (await client.get("/bids", params=bid)).json()["data"]
        await check_a_strangers_bid(rounds, epoch, found)


async def check_book(rounds: Rounds, epoch: int, page: dict[str, Any]) -> None:
    """Every order of the newest round that revealed any, and all posted prices."""
    newest = page["round"]["epoch"]
    assert newest >= epoch
    past = await read_past_round(rounds.market, rounds.service, newest)
    traders = [rounds.trader(side, n).trader for side in OrderSide for n in range(2)]
    wanted = dict(zip(traders, (*ASKS, *BIDS), strict=True))
    for name, side, orders in (
        ("supplier", "book", past.book.asks), ("application", "bids", past.book.bids),
    ):  # fmt: skip
        assert len(orders) == 2
        for each in page[side]:
            terms = wanted[bytes.fromhex(each[name][2:])]
            assert (each["price"], each["quantity"], each["in"]) == (
                str(terms.price), terms.quantity, True,
            )  # fmt: skip
        assert {each[name] for each in page[side]} == {"0x" + e.trader.hex() for e in orders}
    prices = {session // rounds.clock.epoch_sessions: price for session, price, _ in page["path"]}
    for each, price in prices.items():
        told = await rounds.market.auction.round(rounds.service, each)
        assert price == str(told.price)
    assert prices[epoch] == str(PRICE)
    assert page["posted"] == str(
        (await rounds.market.auction.round(rounds.service, max(prices))).price
    )
    (mean,) = (mean for session, _, mean in page["path"]
               if session == epoch * rounds.clock.epoch_sessions)  # fmt: skip
    told = await rounds.market.auction.round(rounds.service, epoch)
    assert mean == str(-(-told.paid // told.procured))


async def check_rounds(rounds: Rounds, epoch: int, found: list[dict[str, Any]]) -> None:
    (row,) = (each for each in found if each["epoch"] == epoch)
    told = await rounds.market.auction.round(rounds.service, epoch)
    assert told.is_cleared
    assert (row["cleared"], row["procured"], row["paid"]) == (True, told.procured, str(told.paid))
    assert (row["asks"], row["supply"], row["bids"], row["demand"]) == (2, 8, 2, 13)
    roster = await rounds.market.sessions.roster(rounds.service, epoch)
    assert row["sellers"] == [
        {"supplier": "0x" + each.supplier.hex(), "price": str(each.unit_price)} for each in roster
    ]


async def check_own_bids(rounds: Rounds, epoch: int, shown: MarketPages) -> None:
    """The very bid that was made is told to get and pay what the contract gave and took."""
    application, bid = address(APPLICATIONS[0]), BIDS[0]
    query = {"price": str(bid.price), "quantity": str(bid.quantity), "epochs": "1"}
    answer = await shown.endpoints()["bids/"].answer(
        Ask("GET", f"bids/0x{rounds.service.hex()}", query)
    )
    (row,) = orjson.loads(answer.body)["data"]
    assert row["epoch"] == epoch
    order = await rounds.market.auction.order(rounds.order_key(OrderSide.BID, 0, epoch))
    session = SessionKey(application, GATEWAY, rounds.service, epoch * rounds.clock.epoch_sessions)
    cap = await rounds.market.sessions.allotment(session)
    assert row["charge"] == str(order.deposit)
    assert int(row["claims"]) // rounds.clock.epoch_sessions == cap
    assert int(row["charge"]) + int(row["claims"]) == row["units"] * PRICE
    assert row["paid"] == (str(PRICE) if row["units"] else None)


async def check_a_strangers_bid(rounds: Rounds, epoch: int, found: list[dict[str, Any]]) -> None:
    """One more bid finds its place in the round's public order, by its key's application."""
    (row,) = (each for each in found if each["epoch"] == epoch)
    past = await read_past_round(rounds.market, rounds.service, epoch)
    assert past.seed is not None
    bid = Order(APPLICATION, BIDS[0].price, 20)
    outcome = clear_epoch(
        Book((*past.book.bids, bid), past.book.asks), PRICE, past.fee_bps, past.seed
    )
    assert row["units"] == sum(e.units for e in outcome.fills if e.application == APPLICATION)
    assert (row["quantity"], row["suppliers"], row["cleared"]) == (20, 2, True)
