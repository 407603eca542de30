"""Following the market's events into the read model, in spans so short that nothing waits long."""

import asyncio
import logging
from collections.abc import Mapping

from contracts import ChainError, EventReader, Market
from gateway.dashboard.folding import apply
from gateway.dashboard.market_model import MarketModel
from relay_mining import Clock, Hash32, RosterEntry

logger = logging.getLogger("gateway.dashboard")

SPAN_BLOCKS = 256
EVENTS_AT_ONCE = 64
"""Events taken in before others have their turn."""
ROSTERS_MAX = 64
"""Services whose rosters are read, once an epoch: those with the most claimed."""

Rosters = Mapping[Hash32, tuple[RosterEntry, ...]]


class Follower:
    """Keeps a model of one market; `clock` is that of its deployment."""

    def __init__(self, market: Market, clock: Clock, confirmations: int, poll_s: float) -> None:
        self._market = market
        self._clock = clock
        self._confirmations = confirmations
        self._poll_s = poll_s
        self._events = self._reader()
        self._epoch = -1
        self.model = MarketModel(clock)
        self.rosters: Rosters = {}
        """Of the epoch that is running."""

    async def run(self) -> None:
        """Follow until cancelled; a chain that cannot be read is asked again."""
        while True:
            try:
                await self.catch_up()
            except ChainError as error:
                logger.warning("the market is not followed", extra={"why": str(error)})
            await asyncio.sleep(self._poll_s)

    async def catch_up(self) -> None:
        """Take in all there is."""
        while await self.step():
            pass

    async def step(self) -> bool:
        """Take in what one read brings; whether there is more to read at once."""
        batch = await self._events.read()
        if batch.rolled_back_to is not None:
            self.model, self._events = MarketModel(self._clock), self._reader()
            return True
        for place, event in enumerate(batch.events):
            apply(self.model, event)
            if place % EVENTS_AT_ONCE == EVENTS_AT_ONCE - 1:
                await asyncio.sleep(0)
        if await self._events.is_behind():
            return True
        self.model.reach(self._events.cursor.next_block - 1)
        await self._read_rosters()
        return False

    def _reader(self) -> EventReader:
        return EventReader(
            self._market.chain, self._market.book,
            confirmations=self._confirmations, span_blocks=SPAN_BLOCKS,
        )  # fmt: skip

    async def _read_rosters(self) -> None:
        block = self.model.block
        if block < self._clock.genesis_block:
            return
        epoch = self._clock.epoch_of(self._clock.session_at(block))
        if epoch == self._epoch:
            return
        busiest = sorted(self.model.services.values(), key=lambda each: -each.units)[:ROSTERS_MAX]
        read = self._market.sessions.roster
        found = await asyncio.gather(*(read(each.id, epoch) for each in busiest))
        self.rosters = dict(zip([each.id for each in busiest], found, strict=True))
        self._epoch = epoch
