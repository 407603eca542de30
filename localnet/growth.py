"""Whether something that is looked at again and again grows: a slope with its interval; pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

BLOCKS = 10
"""Looks in a row are like each other, so that means of so many stretches are taken for draws."""
WARM_UP = 0.25
"""Of the time, in which caches fill."""
STUDENT = 2.306
"""97.5 % of Student's t with `BLOCKS` - 2 degrees of freedom are below it."""
TOLD_PER_H = 0.05
"""Of the level an hour: growth that a run has to be long and quiet enough to tell from none."""


@dataclass(frozen=True, slots=True)
class Growth:
    """Change an hour, by least squares, with the ends of its 95 % interval."""

    per_h: float
    low: float
    high: float
    level: float
    """The mean."""

    @property
    def verdict(self) -> str:
        """`grows`, `flat`, or `not told` where the run shows no growth but could hide some."""
        if self.low > 0:
            return "grows"
        return "flat" if self.high <= TOLD_PER_H * self.level else "not told"


def fit_growth(looks: Sequence[tuple[float, float]], settled_s: float = 0.0) -> Growth | None:
    """The growth over looks of (seconds, value) in their order; None of too few.

    What is known to fill until `settled_s` is let pass too, where that is later than the warm-up.
    """
    kept = [each for each in looks[int(len(looks) * WARM_UP) :] if each[0] >= settled_s]
    if len(kept) < 2 * BLOCKS:
        return None
    cuts = [len(kept) * each // BLOCKS for each in range(BLOCKS + 1)]
    blocks = [kept[cuts[each] : cuts[each + 1]] for each in range(BLOCKS)]
    hours = [statistics.fmean(seconds for seconds, _ in each) / 3600 for each in blocks]
    values = [statistics.fmean(value for _, value in each) for each in blocks]
    slope, offset = statistics.linear_regression(hours, values)
    misses = [value - offset - slope * hour for hour, value in zip(hours, values, strict=True)]
    spread = statistics.pvariance(hours) * BLOCKS
    around = STUDENT * (sum(each**2 for each in misses) / (BLOCKS - 2) / spread) ** 0.5
    return Growth(slope, slope - around, slope + around, statistics.fmean(values))
