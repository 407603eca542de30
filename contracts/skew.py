"""How far a node's clock is from the chain's, which everybody shares."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from contracts.answers import Block

SKEW_S_MAX = 30.0
"""A quarter of the time for which gateways sign a request, by default."""
LOOK_S_MAX = 5.0
"""Between two looks; a block that came within them is not older than that."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class SkewWatch:
    """Compares a clock with the timestamps of new blocks, and says once when it is off."""

    now: Callable[[], float] = time.time
    elapsed: Callable[[], float] = time.monotonic
    skew_s: float = 0.0
    """Seconds by which the clock is ahead of a block that was just made; its way here is in it."""
    _number: int = -1
    _looked_at: float = -LOOK_S_MAX
    _chain_ahead_s: float | None = None
    """Of the elapsed time, by the last measurement."""
    _is_off: bool = False

    @property
    def is_right(self) -> bool:
        """Whether the clock is known to be the chain's: as measured, and not set anew since."""
        if self._chain_ahead_s is None:
            return False
        return abs(self.now() - self.elapsed() - self._chain_ahead_s) <= SKEW_S_MAX

    def see(self, head: Block) -> None:
        """Take in the head as it is now; to be called at every look."""
        is_watched = self.elapsed() - self._looked_at < LOOK_S_MAX
        if is_watched and head.number > self._number >= 0:
            self._measure(head)
        self._number, self._looked_at = head.number, self.elapsed()

    def _measure(self, head: Block) -> None:
        self.skew_s = self.now() - head.timestamp
        self._chain_ahead_s = head.timestamp - self.elapsed()
        is_off = abs(self.skew_s) > SKEW_S_MAX
        if is_off and not self._is_off:
            log.warning(
                "the clock is %.0f s %s the newest block, relays look expired by it: have NTP set "
                "it, or set clock_offset_s",
                abs(self.skew_s), "ahead of" if self.skew_s > 0 else "behind",
            )  # fmt: skip
        self._is_off = is_off
