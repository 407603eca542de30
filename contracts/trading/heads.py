"""New blocks, one after the other: between two of them nothing of an auction falls due."""

import asyncio
import logging
from collections.abc import AsyncIterator

from contracts.chain import Chain
from contracts.errors import ChainError

logger = logging.getLogger("contracts.trading")


async def each_head(chain: Chain, poll_s: float) -> AsyncIterator[int]:
    """The number of each head that is another than the last one, looked for every `poll_s` seconds.

    A chain that cannot be read is said, and looked at again. Never ends.
    """
    seen = b""
    while True:
        try:
            head = await chain.head()
        except ChainError as error:
            logger.warning("the chain cannot be read", extra={"why": str(error)})
        else:
            if head.hash != seen:
                seen = head.hash
                yield head.number
        await asyncio.sleep(poll_s)
