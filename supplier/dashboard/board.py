"""The supplier's page as one part: looks at the node, says what is new, answers its page."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from contracts import ChainError, Market
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
    reply_json,
)
from node.holding import Holding
from relay_mining import Address
from supplier.dashboard.views import Scene, view_node, view_pulse
from supplier.mining.books import Books
from supplier.mining.chain_view import ChainView
from supplier.mining.store import SentAction, SessionRecord, Store
from supplier.operation.funds import describe_funds, read_funds_view

logger = logging.getLogger(__name__)

PULSE_S = 1.0
FUNDS_S = 10.0
"""Between looks at the chain for the money, while somebody looks at the page."""
SESSIONS_SHOWN = 60
ACTIONS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Sources:
    """What the page looks at; it changes none of it."""

    supplier: Address
    view: ChainView
    books: Books
    store: Store
    read_engines: Callable[[], list[dict[str, Any]]]
    count_open: Callable[[], int]
    gas_per_claim: int


class Board:
    """The page's site; `run` tells those who follow what is new, `close` ends their streams."""

    def __init__(self, sources: Sources, token: Token) -> None:
        self._sources = sources
        self._token = token
        self._holdings: tuple[Holding, ...] = ()
        self._holdings_block = 0
        self._looked_at = -FUNDS_S
        self._shown = b""
        self.feed = Feed()
        self.site = Site(
            name="Lode",
            pages=(Page("/", "Supplier", "/assets/node.js"),),
            assets=Assets(
                {"/assets/shared/": SHARED, "/assets/": Path(__file__).parent / "static"}
            ),
            feed=self.feed,
            access=Access(None),
            endpoints={"node": Endpoint(self._node)},
        )

    @classmethod
    async def open(cls, market: Market, sources: Sources) -> "Board":
        """The page of one node; raises ChainError."""
        return cls(sources, Token(await market.token.symbol(), await market.token.decimals()))

    async def run(self) -> None:
        """Tell whoever looks, until cancelled."""
        while True:
            await asyncio.sleep(PULSE_S)
            self.beat()

    def beat(self) -> None:
        """Send one live update, if anybody follows and something is new."""
        if not self.feed.followers:
            return
        pulse = orjson.dumps(view_pulse(self._scene([], [])))
        if pulse != self._shown:
            self._shown = pulse
            self.feed.publish(pulse)

    def close(self) -> None:
        """End the live streams."""
        self.feed.close()

    async def _node(self, ask: Ask) -> Reply:
        await self._look()
        store = self._sources.store
        closed, actions = await asyncio.gather(
            asyncio.to_thread(store.sessions, SESSIONS_SHOWN),
            asyncio.to_thread(store.actions, ACTIONS_SHOWN),
        )
        return reply_json(view_node(self._scene(closed, actions)))

    async def _look(self) -> None:
        """Ask the chain for the money, now and then; what it said last holds until it answers."""
        sources, now = self._sources, time.monotonic()
        if now < self._looked_at + FUNDS_S:
            return
        self._looked_at = now
        try:
            found = await read_funds_view(
                sources.view.market, sources.supplier, sources.books, sources.gas_per_claim
            )
        except ChainError as error:
            logger.warning("the funds cannot be read", extra={"why": str(error)})
            return
        self._holdings, self._holdings_block = describe_funds(found), found.time.head

    def _scene(self, closed: list[SessionRecord], actions: list[SentAction]) -> Scene:
        sources = self._sources
        return Scene(
            supplier=sources.supplier,
            clock=sources.view.clock,
            head=sources.view.head,
            now=time.time(),
            token=self._token,
            engines=sources.read_engines(),
            open_relays=sources.count_open(),
            sessions=tuple(sources.books.sessions.values()),
            closed=closed,
            actions=actions,
            holdings=self._holdings,
            holdings_block=self._holdings_block,
        )
