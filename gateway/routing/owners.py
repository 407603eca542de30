"""What part of the requests each owner of suppliers gets; pure."""

from collections import defaultdict
from dataclasses import dataclass, field

from relay_mining import Address

GROWTH = 1.005
"""Of each choice's weight over the one before: some 200 of the last count."""
STRANGERS = 20.0
"""Choices that count for nobody at first, so that the first one is not everything."""
WEIGHT_MAX = 1e100


@dataclass(slots=True)
class OwnerShares:
    """Choices by owner, the newest counting most."""

    share_max: float = 1.0
    _weight: float = 1.0
    _total: float = STRANGERS
    _of: defaultdict[Address, float] = field(default_factory=lambda: defaultdict(float))

    def note(self, owner: Address) -> None:
        """Count one choice."""
        self._weight *= GROWTH
        self._of[owner] += self._weight
        self._total += self._weight
        if self._weight > WEIGHT_MAX:
            self._of = defaultdict(float, {k: v / WEIGHT_MAX for k, v in self._of.items()})
            self._total /= WEIGHT_MAX
            self._weight /= WEIGHT_MAX

    def share(self, owner: Address) -> float:
        """An owner's part of the last choices."""
        return self._of.get(owner, 0.0) / self._total

    def is_over(self, owner: Address) -> bool:
        """Whether an owner has had its share, so that others come first."""
        return self._of.get(owner, 0.0) > self.share_max * self._total
