"""The gateway's dashboard as one part: follows the market, says what is new, answers its pages."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from contracts import Market
from gateway.dashboard.follower import Follower
from gateway.dashboard.market_views import (
    Scene,
    view_market,
    view_pulse,
    view_supplier,
    view_suppliers,
)
from gateway.dashboard.service_views import view_service, view_services
from gateway.routing.sessions import SessionTable
from gateway.routing.standing import Standing
from node.dashboard import (
    SHARED,
    Access,
    Ask,
    Assets,
    Endpoint,
    Feed,
    Page,
    Reply,
    Site,
    Token,
    last_part,
    reply_error,
    reply_json,
)
from relay_mining import Address

PULSE_S = 1.0
SUPPLIERS_SHOWN = 50
SUPPLIERS_SHOWN_MAX = 200
OFFSET_MAX = 1_000_000

PAGES = (
    Page("/", "Market", "/assets/market.js"),
    Page("/suppliers/", "Supplier", "/assets/supplier.js"),
    Page("/prices", "Prices", "/assets/prices.js"),
    Page("/prices/", "Prices", "/assets/prices.js"),
    Page("/application", "Application", "/assets/application.js"),
    Page("/playground", "Playground", "/assets/playground.js"),
)


@dataclass(frozen=True, slots=True)
class Sources:
    """What the dashboard looks at, besides the chain; it changes none of it."""

    table: SessionTable
    standing: Standing
    gateway: Address
    read_head: Callable[[], int]


class Board:
    """The read model and its site; `run` follows until cancelled, `close` ends its streams."""

    def __init__(self, sources: Sources, follower: Follower, token: Token, access: Access) -> None:
        self._sources = sources
        self._follower = follower
        self._token = token
        self._shown: tuple[int, int] = (-1, -1)
        self._endpoints: dict[str, Endpoint] = {}
        self.feed = Feed()
        self.site = Site(
            name="Lode",
            pages=PAGES,
            assets=Assets(
                {"/assets/shared/": SHARED, "/assets/": Path(__file__).parent / "static"}
            ),
            feed=self.feed,
            access=access,
            endpoints=self._endpoints,
        )
        self._endpoints |= {
            "market": Endpoint(self._market),
            "services": Endpoint(self._services),
            "services/": Endpoint(self._service),
            "suppliers": Endpoint(self._suppliers),
            "suppliers/": Endpoint(self._supplier),
        }

    @classmethod
    async def open(
        cls, market: Market, sources: Sources, confirmations: int, poll_s: float, access: Access
    ) -> "Board":
        """The dashboard of one gateway in one market; raises ChainError."""
        clock = await market.sessions.clock()
        token = Token(await market.token.symbol(), await market.token.decimals())
        return cls(sources, Follower(market, clock, confirmations, poll_s), token, access)

    def add(self, endpoints: Mapping[str, Endpoint]) -> None:
        """Answer these too."""
        self._endpoints |= endpoints

    async def run(self) -> None:
        """Follow the chain, and tell whoever looks what is new."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follower.run())
            while True:
                await asyncio.sleep(PULSE_S)
                self.beat()

    def beat(self) -> None:
        """Send one live update, if anybody follows and something is new."""
        scene = self.scene()
        now = (scene.model.version, scene.head_block)
        if self.feed.followers and now != self._shown:
            self._shown = now
            self.feed.publish(orjson.dumps(view_pulse(scene)))

    def close(self) -> None:
        """End the live streams."""
        self.feed.close()

    def scene(self) -> Scene:
        """Everything public as it stands."""
        sources = self._sources
        return Scene(
            self._follower.model,
            self._follower.rosters,
            sources.standing,
            tuple(sources.table.sessions.values()),
            sources.read_head(),
            self._token,
            sources.gateway,
        )

    async def _market(self, ask: Ask) -> Reply:
        return reply_json(view_market(self.scene()))

    async def _services(self, ask: Ask) -> Reply:
        return reply_json(view_services(self.scene()))

    async def _suppliers(self, ask: Ask) -> Reply:
        limit = ask.number("limit", SUPPLIERS_SHOWN, SUPPLIERS_SHOWN_MAX)
        offset = ask.number("offset", 0, OFFSET_MAX)
        order, find = ask.query.get("order", ""), ask.query.get("find", "")
        return reply_json(view_suppliers(self.scene(), order, find, offset, limit))

    async def _supplier(self, ask: Ask) -> Reply:
        found = view_supplier(self.scene(), parse_id(last_part(ask)))
        return reply_json(found) if found else reply_error(404, "no such supplier", "not_found")

    async def _service(self, ask: Ask) -> Reply:
        found = view_service(self.scene(), parse_id(last_part(ask)))
        return reply_json(found) if found else reply_error(404, "no such service", "not_found")


def parse_id(text: str) -> bytes:
    """The bytes of an id in a path; none where it is no id."""
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        return b""
