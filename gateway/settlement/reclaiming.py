"""Claims against our applications whose proof never came: settled, so that value and bond return.

Anyone may settle a claim; the one it was made against has the reason to. A claim without a
required proof is void once its window closes: what it locked is freed and its bond is paid to
the application.
"""

import asyncio
import logging
from collections.abc import Callable, Collection

from contracts import BATCH_MAX, ChainError, ClaimAccepted, ClaimPaid, ClaimVoided, Market, TxSender
from contracts import decode_outcome as decode
from relay_mining import Address, Claim, Clock, Hash32

logger = logging.getLogger("gateway.settlement.reclaiming")

PAUSE_FACTOR = 4
SETTLE_AFTER_SESSIONS = 3
"""Served in n, claimed in n+1, proved in n+2."""


def overdue(claims: Collection[Claim], session: int) -> list[Claim]:
    """The open claims whose proof window is over in `session`."""
    return [each for each in claims if each.session.number + SETTLE_AFTER_SESSIONS <= session]


class Reclaimer:
    """Follows the claims against some applications and settles those left open; until cancelled."""

    def __init__(
        self,
        market: Market,
        sender: TxSender,
        applications: Callable[[], Collection[Address]],
        confirmations: int,
        poll_s: float,
    ) -> None:
        self._market = market
        self._sender = sender
        self._applications = applications
        self._confirmations = confirmations
        self._events = market.events(confirmations=confirmations)
        self._pause_s = poll_s * PAUSE_FACTOR
        self.open: dict[Hash32, Claim] = {}
        """Claims against our applications that nobody has settled yet."""

    async def run(self) -> None:
        """Look at the chain again and again; a chain that cannot be read is asked again."""
        clock = await self._market.sessions.clock()
        while True:
            try:
                await self.step(clock)
            except ChainError as error:
                logger.warning("claims are not followed: %s", error)
            await asyncio.sleep(self._pause_s)

    async def step(self, clock: Clock) -> None:
        """Take in what is new, and settle what is overdue."""
        batch = await self._events.read()
        if batch.rolled_back_to is not None:
            self.open.clear()
            self._events = self._market.events(confirmations=self._confirmations)
            return
        for event in batch.events:
            self._take(decode(event))
        head = await self._market.chain.head()
        due = overdue(self.open.values(), clock.session_at(head.number))
        if due:
            logger.info("settling overdue claims", extra={"claims": len(due)})
            await self._sender.send(self._market.claims.settle(due[:BATCH_MAX]))

    def _take(self, outcome: object) -> None:
        match outcome:
            case ClaimAccepted(claim) if claim.session.application in self._applications():
                self.open[claim.id] = claim
            case ClaimPaid() | ClaimVoided():
                self.open.pop(outcome.claim_id, None)
            case _:
                return
