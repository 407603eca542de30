"""`GET /v1/market/...`: services, the book and prices of one, and what a bid would have paid.

All but the rosters of epochs that are over comes from the read model of the dashboard; those never
change, and are kept once they were read.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import orjson

from contracts import NOBODY, ChainError
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


@dataclass(slots=True)
class MarketPages:
    """Answers for the market as it is and was; each page needs a key, for it may ask the chain."""

    admission: Admission
    scene: Callable[[], Scene]
    clock: Clock
    read_roster: ReadRoster
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
        raise ServiceNotFoundError("there is /v1/market/services, and below it ID and ID/bids")

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
        block = self.scene().model.block
        if block < self.clock.genesis_block:
            raise NoSupplierError("no epoch has begun yet")
        current = self.clock.epoch_of(self.clock.session_at(block))
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

    def _find(self, name: str) -> Hash32:
        service = parse_id(name)
        if service not in self.scene().model.services:
            raise ServiceNotFoundError("no such service", param="service")
        return service

    async def _roster(self, service: Hash32, epoch: int) -> tuple[RosterEntry, ...]:
        """The roster of an epoch that is over."""
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
