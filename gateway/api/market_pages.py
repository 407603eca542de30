"""`GET /v1/market/...`: services, the book and prices of one, its auction's rounds, past bids.

All but rosters and rounds comes from the read model of the dashboard, whose page of a service asks
here what a bid would have paid.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import orjson

from contracts import NOBODY, ChainError, PastRound, Round
from gateway.access.admission import Admission
from gateway.api.market_shapes import show_bid, show_order, show_round
from gateway.api.past_bids import judge_bids
from gateway.api.past_orders import judge_order
from gateway.api.remembered import Remembered
from gateway.dashboard import Json, Scene, parse_id, view_service, view_services
from gateway.errors import (
    GatewayError,
    InvalidParameterError,
    MissingParameterError,
    NoSupplierError,
    ServiceNotFoundError,
)
from gateway.routing.dispatch import Answer
from gateway.routing.relaying import Call
from node.dashboard import Ask, Endpoint, Reply, last_part, reply_json
from node.http import Response
from pricing import QUANTITY_MAX, Order
from relay_mining import Address, Clock, Hash32, RosterEntry

FOLDER = b"/v1/market/"
EPOCHS_MAX = 64
EPOCHS_SHOWN = 16
ROSTERS_KEPT = 4_096
ROUNDS_KEPT = 256
PRICE_MAX = 2**64 - 1
DIGITS_MAX = 20
FIRST_ROUND = 2
"""No round fills an earlier epoch."""
ROUNDS_AHEAD = 2
"""Rounds fill epochs that are not served yet: the next, and the one after it."""

ReadRoster = Callable[[Hash32, int], Awaitable[tuple[RosterEntry, ...]]]
"""The roster of a service in an epoch (ChainError)."""
ReadRound = Callable[[Hash32, int], Awaitable[Round]]
"""The auction's round that fills an epoch of a service (ChainError)."""
ReadPastRound = Callable[[Hash32, int], Awaitable[PastRound]]
"""The same with its orders, once all that will be are revealed (ChainError)."""
Query = Mapping[str, str]


@dataclass(slots=True)
class MarketPages:
    """Answers for the market as it is and was; each page needs a key, for it may ask the chain."""

    admission: Admission
    scene: Callable[[], Scene]
    clock: Clock
    application: Address
    """Whose bid the dashboard tries."""
    read_roster: ReadRoster
    read_round: ReadRound
    read_past_round: ReadPastRound
    _rosters: Remembered[tuple[RosterEntry, ...]] = field(init=False)
    """Of epochs that are over, or cleared."""
    _past: Remembered[PastRound] = field(init=False)

    def __post_init__(self) -> None:
        self._rosters = Remembered(self.read_roster, ROSTERS_KEPT)
        self._past = Remembered(self.read_past_round, ROUNDS_KEPT)

    async def answer(self, call: Call, path: bytes) -> Answer:
        """One page below `/v1/market/` (RequestError)."""
        account = call.account = self.admission.authorize(call.headers)
        query = {name: given[0] for name, given in parse_qs(call.query.decode("latin-1")).items()}
        body = await self._page(path, query, account.application)
        headers = (*call.answer_headers, *self.admission.headers(account))
        return Response(200, orjson.dumps(body), headers)

    def endpoints(self) -> Mapping[str, Endpoint]:
        """Under `/dashboard/api/`, with no key: what is asked of the chain there is kept."""
        return {"bids/": Endpoint(self._try_bid)}

    async def _try_bid(self, ask: Ask) -> Reply:
        try:
            return reply_json(await self._bids(last_part(ask), ask.query, self.application))
        except GatewayError as error:
            return Reply(error.status, error.body())

    async def _page(self, path: bytes, query: Query, application: Address) -> Json:
        match path.removeprefix(FOLDER).decode("latin-1").rstrip("/").split("/"):
            case ["services"]:
                return self._services()
            case ["services", service]:
                return self._service(service)
            case ["services", service, "bids"]:
                return await self._bids(service, query, application)
            case ["services", service, "rounds"]:
                return await self._rounds(service, query)
        raise ServiceNotFoundError(
            "there is /v1/market/services, and below it ID, ID/bids and ID/rounds"
        )

    def _services(self) -> Json:
        scene = self.scene()
        page = view_services(scene)
        rows = scene.model.services
        for each in page["services"]:
            each["market"] = _name_market(rows[parse_id(each["id"])].market)
        return page

    def _service(self, name: str) -> Json:
        service = self._find(name)
        scene = self.scene()
        page = view_service(scene, service)
        if page is None:
            raise ServiceNotFoundError("no such service", param="service")
        return {**page, "market": _name_market(scene.model.services[service].market)}

    async def _bids(self, name: str, query: Query, application: Address) -> Json:
        service = self._find(name)
        price = _number(query, "price", 1, PRICE_MAX)
        quantity = _number(query, "quantity", 1, QUANTITY_MAX, 1)
        count = _number(query, "epochs", 1, EPOCHS_MAX, EPOCHS_SHOWN)
        try:
            if self._is_auctioned(service):
                bid = Order(application, price, quantity)
                data = await self._judge_orders(service, count, bid)
            else:
                data = await self._judge_bids(service, count, price)
        except ChainError as error:
            raise NoSupplierError("the chain cannot be read now; try again shortly") from error
        return {
            "object": "list",
            "service": "0x" + service.hex(),
            "price": str(price),
            "data": data,
        }

    async def _judge_bids(self, service: Hash32, count: int, price: int) -> list[Json]:
        """Of posted asks: what a bid would have reached in the last epochs that are over."""
        current = self._epoch()
        epochs = range(max(0, current - count), current)
        rosters = {epoch: await self._rosters.get(service, epoch) for epoch in epochs}
        return [show_bid(each) for each in judge_bids(rosters, price)]

    async def _judge_orders(self, service: Hash32, count: int, bid: Order) -> list[Json]:
        """Of an auction: what its last rounds that are over would have come to with the bid."""
        newest = self._epoch()
        epochs = range(max(FIRST_ROUND, newest + 1 - count), newest + 1)
        rounds = await asyncio.gather(*(self._past.get(service, each) for each in epochs))
        held = [each for each in rounds if each.book.bids or each.book.asks]
        judged = await asyncio.to_thread(lambda: [judge_order(each, bid) for each in held])
        return [show_order(each) for each in judged]

    async def _rounds(self, name: str, query: Query) -> Json:
        service = self._find(name)
        if not self._is_auctioned(service):
            raise ServiceNotFoundError("its asks are posted: it has no rounds", param="service")
        count = _number(query, "epochs", 1, EPOCHS_MAX, EPOCHS_SHOWN)
        newest = self._epoch() + ROUNDS_AHEAD
        shown: list[Json] = []
        try:
            for epoch in range(max(FIRST_ROUND, newest + 1 - count), newest + 1):
                found = await self.read_round(service, epoch)
                # A cleared round has its roster, and that is final.
                roster = await self._rosters.get(service, epoch) if found.is_cleared else ()
                shown.append(show_round(epoch, found, roster))
        except ChainError as error:
            raise NoSupplierError("the chain cannot be read now; try again shortly") from error
        return {"object": "list", "service": "0x" + service.hex(), "data": shown}

    def _epoch(self) -> int:
        """The running epoch (NoSupplierError before the first)."""
        block = self.scene().model.block
        if block < self.clock.genesis_block:
            raise NoSupplierError("no epoch has begun yet")
        return self.clock.epoch_of(self.clock.session_at(block))

    def _find(self, name: str) -> Hash32:
        service = parse_id(name)
        if service not in self.scene().model.services:
            raise ServiceNotFoundError("no such service", param="service")
        return service

    def _is_auctioned(self, service: Hash32) -> bool:
        return self.scene().model.services[service].market != NOBODY


def _name_market(contract: bytes) -> str:
    """How a service's prices are made: `posted`, or the id of the contract that sets them."""
    return "posted" if contract == NOBODY else "0x" + contract.hex()


def _number(query: Query, name: str, low: int, high: int, default: int | None = None) -> int:
    given = query.get(name)
    if given is None:
        if default is None:
            raise MissingParameterError(f"you must provide {name}", param=name)
        return default
    is_number = given.isascii() and given.isdigit() and len(given) <= DIGITS_MAX
    if not is_number or not low <= int(given) <= high:
        raise InvalidParameterError(
            f"{name} must be a whole number from {low} to {high}", param=name
        )
    return int(given)
