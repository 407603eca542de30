"""How often the gateway may ask again, so that a bad hour does not double its own load; pure."""

from collections.abc import Callable
from dataclasses import dataclass

LEFT_MAX = 100.0
"""Retries that are saved up: those of the requests in flight when one supplier dies."""
PER_S = 0.1
"""Retries a second that no request has to earn, for gateways with few."""


@dataclass(slots=True)
class RetryBudget:
    """A bucket that every request fills by `share` and every further try takes one from."""

    clock: Callable[[], float]
    share: float = 0.2
    left: float = LEFT_MAX
    denied: int = 0
    """Retries that were not made."""
    at: float = 0.0

    def earn(self) -> None:
        """Count one request."""
        now = self.clock()
        self.left = min(LEFT_MAX, self.left + self.share + PER_S * max(0.0, now - self.at))
        self.at = now

    def take(self) -> bool:
        """Whether another try may be made; it is counted as made."""
        if self.left < 1.0:
            self.denied += 1
            return False
        self.left -= 1.0
        return True
