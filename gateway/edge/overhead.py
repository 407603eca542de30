"""How much longer a relayed tail takes than its plan's own parts: measured, and planned with."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.edge.plans import Place

KEPT = 64
KEPT_S = 30.0
"""A slow moment is forgotten: while it makes plans impossible, nothing else is measured."""
SHARE_MAX = 0.95
"""Of the last tails that took no longer than what is planned with."""
MEASURED_MIN = 2
"""One tail alone says nothing of the next: it may be the outlier that the share leaves out."""


@dataclass(slots=True)
class RelayOverhead:
    """Microseconds to plan with: as set at first, then a high quantile of what was measured."""

    first_us: int
    clock: Callable[[], float]
    """Monotonic seconds."""
    _measured: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=KEPT))

    def measure(self, took_us: int, tail_us: int) -> None:
        """Take note of a tail that was planned to take `tail_us` and took `took_us` to be had."""
        self._measured.append((self.clock(), max(0, took_us - tail_us)))

    @property
    def planned_us(self) -> int:
        """What to add to a task's round trip; at least what was set."""
        since = self.clock() - KEPT_S
        while self._measured and self._measured[0][0] < since:
            self._measured.popleft()
        if len(self._measured) < MEASURED_MIN:
            return self.first_us
        ordered = sorted(us for _, us in self._measured)
        return max(self.first_us, ordered[int(SHARE_MAX * (len(ordered) - 1))])


@dataclass(frozen=True, slots=True)
class RelayOverheads:
    """The overhead of each place: a slow service makes no other's plans dearer."""

    first_us: int
    clock: Callable[[], float]
    _of: dict[Place, RelayOverhead] = field(default_factory=dict)

    def of(self, place: Place) -> RelayOverhead:
        """What is measured at one place."""
        found = self._of.get(place)
        if found is None:
            found = self._of[place] = RelayOverhead(self.first_us, self.clock)
        return found
