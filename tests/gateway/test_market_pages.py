"""The market as the gateway shows it to its clients: services, book, prices, past bids."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from random import Random

import httpx
import orjson
import pytest

from contracts import ChainUnavailableError, PastRound, Round
from gateway.access.admission import Admission
from gateway.api.market_pages import EPOCHS_MAX, FOLDER, MarketPages
from gateway.api.past_bids import PPM, judge_bid, judge_bids
from gateway.api.past_orders import judge_order
from node.dashboard import Ask, Reply
from pricing import Book, Order, accepted_balance, clear_epoch
from relay_mining import RosterEntry
from tests.dashboard.history import CLOCK, History
from tests.dashboard.stage import Stage
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import Gateway, a_gateway

HISTORY = History(suppliers=12, services=1, auctioned=True, sessions=40)
ROUNDS = HISTORY.rounds
STAGE = Stage.build(HISTORY)
CURRENT = CLOCK.epoch_of(CLOCK.session_at(STAGE.followed.model.block))


def entry(number: int, price: int, weight: int) -> RosterEntry:
    return RosterEntry(bytes([number]) * 20, price, weight)


@dataclass
class PastRosters:
    """A chain whose rosters are known; counts what is asked of it."""

    asked: list[int] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)
    is_down: bool = False

    async def read(self, service: bytes, epoch: int) -> tuple[RosterEntry, ...]:
        if self.is_down:
            raise ChainUnavailableError([("endpoint", "down")])
        self.asked.append(epoch)
        return () if epoch % 2 else (entry(1, 100, 1), entry(2, 200 + epoch, 3))

    async def read_round(self, service: bytes, epoch: int) -> Round:
        """Every other round was cleared; the newest has no orders yet."""
        if self.is_down:
            raise ChainUnavailableError([("endpoint", "down")])
        if epoch == CURRENT + 2:
            return Round(1_000, 0, 0, 0, 0, 0, 0, False, 0, bytes(20), 0, bytes(32))
        is_cleared = epoch % 2 == 0
        return Round(
            1_000, 9, 5, 2, 3, 900, 5 if is_cleared else 0, is_cleared,
            500 if is_cleared else 0, bytes(20), 7, bytes(32),
        )  # fmt: skip

    async def read_past(self, service: bytes, epoch: int) -> PastRound:
        """The rounds that the history has events of."""
        if self.is_down:
            raise ChainUnavailableError([("endpoint", "down")])
        assert service == ROUNDS.service
        self.rounds.append(epoch)
        return ROUNDS.past(epoch)


def auctioned_pages(admission: Admission, rosters: PastRosters) -> MarketPages:
    return MarketPages(
        admission, STAGE.board.scene, CLOCK, HISTORY.application(0), rosters.read,
        rosters.read_round, rosters.read_past,
    )  # fmt: skip


@asynccontextmanager
async def pages(
    folder: Path, rosters: PastRosters
) -> AsyncIterator[tuple[Gateway, httpx.AsyncClient]]:
    async with a_gateway(folder, FakeSupplier("one")) as gateway:
        admission = gateway.plane.relays.admission
        shown = auctioned_pages(admission, rosters)
        gateway.plane.mount(FOLDER, shown.answer)
        headers = {"authorization": f"Bearer {gateway.key}"}
        async with httpx.AsyncClient(
            base_url=gateway.url + "/v1/market", headers=headers, timeout=30
        ) as client:
            yield gateway, client


@pytest.mark.anyio
async def test_services_their_books_and_their_prices_are_shown(tmp_path: Path) -> None:
    async with pages(tmp_path, PastRosters()) as (_, client):
        listed = (await client.get("/services")).json()["services"]
        assert {each["id"] for each in listed} == {
            "0x" + HISTORY.service(number).hex() for number in range(2)
        }
        assert {each["id"]: each["market"] for each in listed} == {
            "0x" + HISTORY.service(0).hex(): "posted",
            "0x" + HISTORY.service(1).hex(): "0x" + "aa" * 20,
        }
        page = (await client.get(f"/services/0x{HISTORY.service(0).hex()}")).json()
        prices = [int(each["price"]) for each in page["book"]]
        assert prices == sorted(prices)
        assert len(prices) > 1
        assert page["path"]
        assert page["trades"]
        assert page["market"] == "posted"


@pytest.mark.anyio
async def test_what_a_bid_would_have_paid_is_told_of_each_epoch_that_is_over(
    tmp_path: Path,
) -> None:
    rosters = PastRosters()
    service = "0x" + HISTORY.service(0).hex()
    async with pages(tmp_path, rosters) as (_, client):
        found = (await client.get(f"/services/{service}/bids?price=150&epochs=4")).json()
        epochs = list(range(CURRENT - 4, CURRENT))
        assert rosters.asked == epochs
        assert [each["epoch"] for each in found["data"]] == [e for e in epochs if e % 2 == 0]
        for each in found["data"]:
            assert (each["low"], each["high"]) == ("100", str(200 + each["epoch"]))
            assert (each["reach_ppm"], each["paid"]) == (250_000, "100")
        high = (await client.get(f"/services/{service}/bids?price=10000&epochs=4")).json()
        assert {each["reach_ppm"] for each in high["data"]} == {PPM}
        assert all(each["paid"] == each["mean"] for each in high["data"])
        low = (await client.get(f"/services/{service}/bids?price=99&epochs=4")).json()
        assert {(each["reach_ppm"], each["paid"]) for each in low["data"]} == {(0, None)}
        assert rosters.asked == epochs  # what is over is read once
        assert len((await client.get(f"/services/{service}/bids?price=1")).json()["data"]) > 1


@pytest.mark.anyio
async def test_the_rounds_of_an_auction_are_shown_with_what_they_cleared_to(
    tmp_path: Path,
) -> None:
    service = "0x" + HISTORY.service(1).hex()
    async with pages(tmp_path, PastRosters()) as (_, client):
        found = (await client.get(f"/services/{service}/rounds?epochs=4")).json()["data"]
        assert [each["epoch"] for each in found] == list(range(CURRENT - 1, CURRENT + 3))
        for each in found:
            is_cleared = each["epoch"] % 2 == 0 and each["epoch"] < CURRENT + 2
            assert each["price"] == "1000"
            assert each["cleared"] is is_cleared
            assert (each["procured"], each["paid"]) == ((5, "500") if is_cleared else (0, "0"))
            prices = [seller["price"] for seller in each["sellers"]]
            assert prices == (["100", str(200 + each["epoch"])] if is_cleared else [])
        assert found[-1]["asks"] == found[-1]["bids"] == 0
        posted = await client.get(f"/services/0x{HISTORY.service(0).hex()}/rounds")
        assert posted.json()["error"]["code"] == "service_not_found"


@pytest.mark.anyio
async def test_the_book_of_an_auction_is_its_revealed_orders_and_its_path_the_posted_prices(
    tmp_path: Path,
) -> None:
    newest = ROUNDS.past(CURRENT + 1)
    async with pages(tmp_path, PastRosters()) as (_, client):
        page = (await client.get(f"/services/0x{ROUNDS.service.hex()}")).json()
    assert (page["round"]["epoch"], page["round"]["price"]) == (CURRENT + 1, str(newest.price))
    for name, side, orders in (
        ("supplier", "book", newest.book.asks), ("application", "bids", newest.book.bids),
    ):  # fmt: skip
        shown = {(each[name], each["price"], each["quantity"]) for each in page[side]}
        assert shown == {("0x" + e.trader.hex(), str(e.price), e.quantity) for e in orders}
    accepted = accepted_balance(newest.book, newest.price, newest.fee_bps)
    assert (page["round"]["supply"], page["round"]["demand"]) == (accepted.supply, accepted.demand)
    assert sum(each["quantity"] for each in page["book"] if each["in"]) == accepted.supply
    assert sum(each["quantity"] for each in page["bids"] if each["in"]) == accepted.demand
    assert {each["in"] for each in (*page["book"], *page["bids"])} == {True, False}
    path = {
        session // CLOCK.epoch_sessions: (posted, mean) for session, posted, mean in page["path"]
    }
    assert list(path) == list(range(2, CURRENT + 2))
    assert len({posted for posted, _ in path.values()}) > 5
    for epoch, (posted, mean) in path.items():
        past, outcome = ROUNDS.past(epoch), ROUNDS.outcome(epoch)
        assert posted == str(past.price)
        assert mean == (str(-(-outcome.paid // outcome.procured)) if past.is_cleared else None)
    assert page["posted"] == str(newest.price)


@pytest.mark.anyio
async def test_a_bid_in_an_auction_pays_what_the_rule_of_the_chain_says(tmp_path: Path) -> None:
    """Of one's own bid told again what it got; of another one what it would have got instead."""
    rosters, bidder = PastRosters(), HISTORY.application(0)
    async with pages(tmp_path, rosters) as (gateway, client):
        (session,) = gateway.table.sessions.values()
        assert session.key.application != bidder
        path = f"/services/0x{ROUNDS.service.hex()}/bids"
        found = (await client.get(f"{path}?price=4000000&quantity=5&epochs=6")).json()["data"]
        stranger = Order(session.key.application, 4_000_000, 5)
    assert (
        rosters.rounds == [each["epoch"] for each in found] == list(range(CURRENT - 5, CURRENT + 1))
    )
    for each in found:
        past = ROUNDS.past(each["epoch"])
        assert (each["posted"], each["cleared"]) == (str(past.price), past.is_cleared)
        if not past.is_cleared:
            assert (each["units"], each["paid"], each["charge"]) == (0, None, "0")
            continue
        book = Book((*past.book.bids, stranger), past.book.asks)
        assert past.seed is not None
        outcome = clear_epoch(book, past.price, past.fee_bps, past.seed)
        units = sum(e.units for e in outcome.fills if e.application == stranger.trader)
        assert (each["units"], each["reach_ppm"]) == (units, units * PPM // 5)
        assert each["paid"] == (str(past.price) if units else None)
        assert int(each["charge"]) + int(each["claims"]) == units * past.price
        assert int(each["low"]) <= int(each["mean"]) <= int(each["high"]) < past.price
    assert {each["units"] == 5 for each in found} == {True, False}


@pytest.mark.anyio
async def test_the_dashboard_tries_bids_of_the_gateways_own_application(tmp_path: Path) -> None:
    rosters = PastRosters()
    epoch = next(e for e in range(CURRENT, 1, -1) if _own_bid(e) and ROUNDS.past(e).is_cleared)
    own = _own_bid(epoch)
    assert own is not None
    async with a_gateway(tmp_path, FakeSupplier("one")) as gateway:
        tried = auctioned_pages(gateway.plane.relays.admission, rosters).endpoints()["bids/"]
        path, query = f"bids/0x{ROUNDS.service.hex()}", {"epochs": str(CURRENT)}

        async def ask(**more: str) -> Reply:
            return await tried.answer(Ask("GET", path, query | more))

        same = orjson.loads((await ask(price=str(own.price), quantity=str(own.quantity))).body)
        (row,) = (each for each in same["data"] if each["epoch"] == epoch)
        fills = [e for e in ROUNDS.outcome(epoch).fills if e.application == own.trader]
        told = [(row["units"], row["charge"], row["claims"])] if row["units"] else []
        assert told == [(e.units, str(e.charge), str(e.claims)) for e in fills]
        low = orjson.loads((await ask(price="1")).body)
        assert {each["units"] for each in low["data"]} == {0}
        assert (await ask(price="x")).status == 400
        assert (await ask(price="1", quantity=str(2**25))).status == 400
        rosters.is_down = True
        assert len(rosters.rounds) == len(set(rosters.rounds))  # what is over is read once
        assert (await ask(price="2")).status == 200


def _own_bid(epoch: int) -> Order | None:
    bids = ROUNDS.past(epoch).book.bids
    return next((each for each in bids if each.trader == HISTORY.application(0)), None)


def test_a_round_that_nobody_cleared_sells_nothing_unless_there_was_nothing_to_clear() -> None:
    bid = Order(b"\x01" * 20, 1_000, 3)
    ask = Order(b"\x02" * 20, 500, 3)
    for bids, asks, is_cleared, units in (
        ((bid,), (ask,), False, 0), ((), (ask,), False, 3), ((bid,), (ask,), True, 3),
        ((Order(b"\x03" * 20, 999, 9),), (ask,), False, 3), ((bid,), (), False, 0),
    ):  # fmt: skip
        past = PastRound(
            4, 1_000, 100, is_cleared, bytes(32) if is_cleared else None, Book(bids, asks)
        )
        assert judge_order(past, bid).fill.units == units


@pytest.mark.anyio
async def test_what_is_no_page_is_refused_in_words(tmp_path: Path) -> None:
    rosters = PastRosters(is_down=True)
    service = "0x" + HISTORY.service(0).hex()
    async with pages(tmp_path, rosters) as (_, client):
        for path, status, code, param in (
            ("/services/0x00", 404, "service_not_found", "service"),
            ("/services/zz/bids?price=1", 404, "service_not_found", "service"),
            ("/prices", 404, "service_not_found", None),
            (f"/services/{service}/bids", 400, "missing_required_parameter", "price"),
            (f"/services/{service}/bids?price=0", 400, "invalid_value", "price"),
            (f"/services/{service}/bids?price=-1", 400, "invalid_value", "price"),
            (f"/services/{service}/bids?price=1.5", 400, "invalid_value", "price"),
            (f"/services/{service}/bids?price={2**64}", 400, "invalid_value", "price"),
            (f"/services/{service}/bids?price={'9' * 5000}", 400, "invalid_value", "price"),
            (f"/services/{service}/bids?price=1&epochs={EPOCHS_MAX + 1}", 400,
             "invalid_value", "epochs"),
            (f"/services/{service}/bids?price=1", 503, "no_supplier_available", None),
            (f"/services/{service}/bids?price=1&quantity=0", 400, "invalid_value", "quantity"),
            (f"/services/0x{HISTORY.service(1).hex()}/bids?price=1", 503,
             "no_supplier_available", None),
            (f"/services/0x{HISTORY.service(1).hex()}/rounds", 503, "no_supplier_available", None),
            (f"/services/0x{HISTORY.service(1).hex()}/rounds?epochs=0", 400,
             "invalid_value", "epochs"),
        ):  # fmt: skip
            response = await client.get(path)
            error = response.json()["error"]
            assert (path, response.status_code, error["code"], error["param"]) == (
                path, status, code, param,
            )  # fmt: skip
        assert (await client.post("/services")).status_code == 405
        stranger = await client.get("/services", headers={"authorization": "Bearer none"})
        assert stranger.status_code == 401


def test_the_mean_of_what_a_bid_covers_is_exact_and_never_above_it() -> None:
    rng = Random(1)
    for _ in range(300):
        roster = [
            entry(number, rng.randint(1, 50), rng.randint(1, 9))
            for number in range(rng.randint(1, 6))
        ]
        price = rng.randint(0, 60)
        found = judge_bid(3, roster, price)
        covered = [each for each in roster if each.unit_price <= price]
        share = Fraction(sum(e.weight for e in covered), sum(e.weight for e in roster))
        assert found.reach_ppm == share * PPM // 1
        assert found.low <= found.mean <= found.high
        if not covered:
            assert found.paid is None
            continue
        exact = Fraction(
            sum(e.unit_price * e.weight for e in covered), sum(e.weight for e in covered)
        )
        assert found.paid is not None
        assert exact <= found.paid < exact + 1
        assert found.paid <= price


def test_an_epoch_without_a_roster_is_left_out() -> None:
    rosters = {2: [], 5: [entry(1, 7, 1)], 4: [entry(1, 9, 1)]}
    assert [each.epoch for each in judge_bids(rosters, 8)] == [4, 5]
