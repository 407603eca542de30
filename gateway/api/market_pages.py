"""`GET /v1/market/...`: services, the book and prices of one, its auction's rounds, past bids.

All but rosters and rounds comes from the read model of the dashboard; the rosters of epochs that
are over never change, and are kept once they were read.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import orjson

from contracts import NOBODY, ChainError, Round
from gateway.access.admission import Admission
from gateway.api.past_bids import PastBid, judge_bids
from gateway.dashboard import Json, Scene, parse_id, view_service, view_services
from gateway.errors import (
    InvalidParameterError,
    MissingParameterError,
    NoSupplierError,
    ServiceNotFoundError,
)
from gateway.routing.dispatch import Answer
from gateway.routing.relaying import Call
from node.http import Response
from relay_mining import Clock, Hash32, RosterEntry

FOLDER = b"/v1/market/"
EPOCHS_MAX = 64
EPOCHS_SHOWN = 16
ROSTERS_KEPT = 4_096
PRICE_MAX = 2**64 - 1

ReadRoster = Callable[[Hash32, int], Awaitable[tuple[RosterEntry, ...]]]
"""The roster of a service in an epoch (ChainError)."""
ReadRound = Callable[[Hash32, int], Awaitable[Round]]
"""The auction's round that fills an epoch of a service (ChainError)."""
ROUNDS_AHEAD = 2
"""Rounds fill epochs that are not served yet: the next, and the one after it."""


@dataclass(slots=True)
class MarketPages:
    """Answers for the market as it is and was; each page needs a key, for it may ask the chain."""

    admission: Admission
    scene: Callable[[], Scene]
    clock: Clock
    read_roster: ReadRoster
    read_round: ReadRound
    _rosters: OrderedDict[tuple[Hash32, int], tuple[RosterEntry, ...]] = field(
        default_factory=OrderedDict
    )

    async def answer(self, call: Call, path: bytes) -> Answer:
        """One page below `/v1/market/` (RequestError)."""
        call.account = self.admission.authorize(call.headers)
        body = await self._page(path, call.query)
        headers = (*call.answer_headers, *self.admission.headers(call.account))
        return Response(200, orjson.dumps(body), headers)

    async def _page(self, path: bytes, query: bytes) -> Json:
        match path.removeprefix(FOLDER).decode("latin-1").rstrip("/").split("/"):
            case ["services"]:
                return self._services()
            case ["services", service]:
                return self._service(service)
            case ["services", service, "bids"]:
                return await self._bids(service, parse_qs(query.decode("latin-1")))
            case ["services", service, "rounds"]:
                return await self._rounds(service, parse_qs(query.decode("latin-1")))
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

    async def _bids(self, name: str, query: dict[str, list[str]]) -> Json:
        service = self._find(name)
        price = _number(query, "price", 1, PRICE_MAX)
        count = _number(query, "epochs", 1, EPOCHS_MAX, EPOCHS_SHOWN)
        current = self._epoch()
        epochs = range(max(0, current - count), current)
        try:
            rosters = {epoch: await self._roster(service, epoch) for epoch in epochs}
        except ChainError as error:
            raise NoSupplierError("the chain cannot be read now; try again shortly") from error
        return {
            "object": "list",
            "service": "0x" + service.hex(),
            "price": str(price),
            "data": [_show_bid(each) for each in judge_bids(rosters, price)],
        }

    async def _rounds(self, name: str, query: dict[str, list[str]]) -> Json:
        service = self._find(name)
        if self.scene().model.services[service].market == NOBODY:
            raise ServiceNotFoundError("its asks are posted: it has no rounds", param="service")
        count = _number(query, "epochs", 1, EPOCHS_MAX, EPOCHS_SHOWN)
        newest = self._epoch() + ROUNDS_AHEAD
        shown: list[Json] = []
        try:
            for epoch in range(max(ROUNDS_AHEAD, newest + 1 - count), newest + 1):
                found = await self.read_round(service, epoch)
                # A cleared round has its roster, and that is final.
                roster = await self._roster(service, epoch) if found.is_cleared else ()
                shown.append(_show_round(epoch, found, roster))
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

    async def _roster(self, service: Hash32, epoch: int) -> tuple[RosterEntry, ...]:
        """The roster of an epoch that is over, or cleared."""
        place = (service, epoch)
        found = self._rosters.get(place)
        if found is None:
            found = self._rosters[place] = await self.read_roster(service, epoch)
            if len(self._rosters) > ROSTERS_KEPT:
                self._rosters.popitem(last=False)
        return found


def _show_bid(bid: PastBid) -> Json:
    return {
        "epoch": bid.epoch,
        "suppliers": bid.suppliers,
        "low": str(bid.low),
        "mean": str(bid.mean),
        "high": str(bid.high),
        "reach_ppm": bid.reach_ppm,
        "paid": None if bid.paid is None else str(bid.paid),
    }


def _show_round(epoch: int, found: Round, roster: tuple[RosterEntry, ...]) -> Json:
    return {
        "epoch": epoch,
        "price": str(found.price),
        "asks": found.asks,
        "supply": found.supply,
        "bids": found.bids,
        "demand": found.demand,
        "cleared": found.is_cleared,
        "procured": found.procured,
        "paid": str(found.paid),
        "sellers": [
            {"supplier": "0x" + each.supplier.hex(), "price": str(each.unit_price)}
            for each in roster
        ],
    }


def _name_market(contract: bytes) -> str:
    """How a service's prices are made: `posted`, or the id of the contract that sets them."""
    return "posted" if contract == NOBODY else "0x" + contract.hex()


def _number(
    query: dict[str, list[str]], name: str, low: int, high: int, default: int | None = None
) -> int:
    given = query.get(name)
    if given is None:
        if default is None:
            raise MissingParameterError(f"you must provide {name}", param=name)
        return default
    text = given[0]
    if not text.isascii() or not text.isdigit() or len(text) > 20 or not low <= int(text) <= high:
        raise InvalidParameterError(
            f"{name} must be a whole number from {low} to {high}", param=name
        )
    return int(text)
