"""Which sessions are open, by the chain: the table kept current at each of its blocks.

The next session is fetched ahead, so that the switch at its first block is one assignment; once
it is open the chain is asked whether it is valid, and what is not is dropped. While the chain is
not seen a session is served for as long as it lasts by the pace of the last blocks, and no longer:
whatever is served after it may be claimed by nobody.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from contracts import Market, Pace, SkewWatch, read_block_time
from contracts.errors import ChainError, ChainUnavailableError
from gateway.routing.loading import SessionLoader
from gateway.routing.sessions import ServiceView, Session, SessionTable
from relay_mining import Address, Clock, Hash32

logger = logging.getLogger("gateway.routing.market")


@dataclass(slots=True)
class Refresher:
    """Keeps the session table current; `step` is one look at the chain."""

    market: Market
    table: SessionTable
    loader: SessionLoader
    applications: Callable[[], Iterable[Address]]
    poll_s: float = 0.5
    head_block: int = -1
    skew: SkewWatch = field(default_factory=SkewWatch)
    pace: Pace = field(default_factory=Pace)
    """Of blocks in this session, by the loop's clock."""
    _clock: Clock | None = None
    _confirmed: int = -1
    """The session that the chain was asked about when it was open."""
    _next: tuple[int, list[Session], dict[str, ServiceView]] | None = None
    _applications: frozenset[Address] = frozenset()

    async def run(self) -> None:
        """Look until cancelled; a look that fails leaves the table while its session lasts."""
        while True:
            try:
                await self.step()
            except Exception as error:
                # The boundary to what endpoints and suppliers say: none of it ends a node.
                _log_failure(error)
                self.end_unseen(asyncio.get_running_loop().time())
            await asyncio.sleep(self.poll_s)

    def rename(self, models: dict[str, Hash32]) -> None:
        """Call services by other names from the next look on."""
        self.loader.models, self._applications, self._next = models, frozenset(), None

    def end_unseen(self, now: float) -> None:
        """Close a session that is over by all that is known, though the chain is not seen."""
        if self._clock is None or not self.table.is_ready:
            return
        if self.pace.is_past(self._clock.start(self.table.number + 1), now):
            logger.warning(
                "the session is over by its pace and the chain is not seen: nothing is served",
                extra={"session": self.table.number, "seen": self.head_block},
            )
            self.table.close()

    async def step(self) -> None:
        """Look at the head once: switch, prepare or complete sessions as it says."""
        clock = self._clock = await self.market.sessions.clock()
        head = await self.market.chain.head()
        self.head_block = head.number
        self.skew.see(head)
        self.pace.see(head.number, asyncio.get_running_loop().time())
        number = clock.session_at(head.number)
        wanted = frozenset(self.applications())
        if number != self._confirmed:
            await self._switch(number, wanted)
        elif wanted != self._applications or not self.table.sessions:
            await self._load_current(number, wanted)
        await self._drop_outdated()
        if self._is_preparing_due(clock, number, head.number):
            sessions, models = await self.loader.load(number + 1, wanted)
            if sessions:
                self._next = (number + 1, sessions, models)

    async def _drop_outdated(self) -> None:
        """Forget a prepared session that another key signs for by now, as after a rotation."""
        if self._next is None:
            return
        number, sessions, _ = self._next
        signer = await self.market.registry.gateway_key(self.loader.gateway, number)
        if any(each.signer != signer for each in sessions):
            self._next = None

    def _is_preparing_due(self, clock: Clock, number: int, block: int) -> bool:
        if self._next is not None and self._next[0] == number + 1:
            return False
        return block > clock.seed_block(number)

    async def _switch(self, number: int, wanted: frozenset[Address]) -> None:
        """Open a new session: at once where it was prepared, then with the chain's word on it."""
        if self._next is not None and self._next[0] == number:
            _, sessions, models = self._next
            self.table.replace(number, sessions, models)
        self.pace.begin((await read_block_time(self.market.chain)).block_s)
        await self._load_current(number, wanted)
        self._next, self._confirmed = None, number
        self.loader.forget(number)

    async def _load_current(self, number: int, wanted: frozenset[Address]) -> None:
        sessions, models = await self.loader.load(number, wanted, is_open=True)
        self.table.replace(number, sessions, models)
        self._applications = wanted


def _log_failure(error: Exception) -> None:
    """Say why a look failed; what nobody foresaw with where it did."""
    if isinstance(error, ChainUnavailableError):
        logger.warning("the chain cannot be reached", extra={"why": str(error)})
    elif isinstance(error, ChainError):
        logger.warning("the chain could not be read", extra={"why": str(error)})
    else:
        logger.error("a look at the chain failed", exc_info=error)
