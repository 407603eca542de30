"""Bringing a fresh local chain to its first session with a roster."""

import asyncio
from pathlib import Path

from contracts import Market
from localnet.chain import DevChain
from localnet.processes import wait_until
from relay_mining import Clock


def open_first_session(
    chain: DevChain, book: Path, service: bytes, suppliers: int, block_time_s: int
) -> int:
    """Skip idle blocks to the first epoch with a roster, mining at a steady pace from then on.

    Returns the number of the session that is open then, at once where the current epoch's roster
    has all `suppliers`; raises NotReadyError.
    """
    clock = asyncio.run(_read_clock(chain.url, book))
    epoch = clock.epoch_of(clock.session_at(chain.height()))
    if asyncio.run(_roster_count(chain.url, book, service, epoch)) >= suppliers:
        chain.mine_every(block_time_s)
        return clock.session_at(chain.height())
    window = clock.roster_window(epoch + 2)
    chain.skip_to((window.opens + window.closes) // 2)  # suppliers build it from then on
    chain.mine_every(block_time_s)
    wait_until(
        lambda: asyncio.run(_roster_count(chain.url, book, service, epoch + 2)) >= suppliers,
        "no roster of all suppliers was built",
        clock.session_blocks * 2.0 * max(1, block_time_s),
    )
    first = (epoch + 2) * clock.epoch_sessions
    chain.skip_to(clock.start(first))
    return first


async def _read_clock(url: str, book: Path) -> Clock:
    async with await Market.connect([url], book) as market:
        return await market.sessions.clock()


async def _roster_count(url: str, book: Path, service: bytes, epoch: int) -> int:
    async with await Market.connect([url], book) as market:
        head = await market.sessions.roster_head(service, epoch)
        return head.count if head.built_epoch == epoch else 0
