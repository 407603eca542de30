"""Going through the rounds in which something may be due; one failure holds up no other."""

import logging
from collections.abc import Awaitable, Callable, Iterable

from contracts.auction_values import AuctionWindows, compute_windows, open_round
from contracts.errors import ChainError
from contracts.market import Market
from relay_mining import Hash32

logger = logging.getLogger("contracts.trading")

FIRST_ROUND = 2
"""No round fills an earlier epoch."""
ROUNDS_OPEN = 4
"""The round whose orders are taken, the one that is cleared, the one that is served, and the one
before it, whose charges can be paid out."""

Act = Callable[[Hash32, int, AuctionWindows, int], Awaitable[None]]
"""Given a service, the epoch its round fills, the round's windows, and the block of the head."""


async def in_each_round(market: Market, services: Iterable[Hash32], act: Act) -> int:
    """Act in every round that is not long over; returns the first epoch that was looked at.

    What the chain refuses is logged and left to the next time. Returns 0 where nothing could be
    looked at.
    """
    try:
        clock, head = await market.sessions.clock(), await market.chain.head()
    except ChainError as error:
        logger.warning("the chain cannot be read", extra={"why": str(error)})
        return 0
    if head.number < clock.genesis_block:
        return 0
    newest = open_round(clock, head.number)
    oldest = max(FIRST_ROUND, newest + 1 - ROUNDS_OPEN)
    for service in services:
        for epoch in range(oldest, newest + 1):
            try:
                await act(service, epoch, compute_windows(clock, epoch), head.number)
            except ChainError as error:
                logger.warning(
                    "a round does not go on",
                    extra={"service": service, "epoch": epoch, "why": str(error)},
                )
    return oldest
