"""Waiting for a chain that does not answer: a little longer each time, and said each time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from contracts.errors import ChainUnavailableError

PAUSE_S_MIN = 0.5
PAUSE_S_MAX = 5.0
"""A fraction of any claim window."""

Found = TypeVar("Found")

log = logging.getLogger(__name__)


async def until_reachable(ask: Callable[[], Awaitable[Found]]) -> Found:
    """What `ask` returns once an endpoint answers it; asked again for as long as none does.

    Every other error is raised at once: of a wrong chain or missing contracts more time makes
    nothing better. The caller cancels it where it has waited long enough.
    """
    pause_s = PAUSE_S_MIN
    while True:
        try:
            return await ask()
        except ChainUnavailableError as error:
            log.warning("waiting for the chain, to be asked again in %.1f s: %s", pause_s, error)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, PAUSE_S_MAX)
