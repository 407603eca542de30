"""What the challenge was to catch of a cheat's claims, and what it caught."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from adversaries.cheat import Cheat
from localnet.cheat_evidence import Fate
from relay_mining import BPS, escape_probability, expected_gain

Z = 1.96
"""Of an interval of 95 %."""


@dataclass(frozen=True, slots=True)
class Chances:
    """Claims under a draw: how likely each was to escape, how many did not."""

    escapes: tuple[float, ...]
    caught: int
    expected_gain: float
    """Beyond honest work, in token base units, over all draws these claims might have met."""

    @property
    def predicted(self) -> float:
        """Claims caught in the mean."""
        return sum(1 - each for each in self.escapes)

    @property
    def deviation(self) -> float:
        """One standard deviation of that."""
        return sqrt(sum(each * (1 - each) for each in self.escapes))

    @property
    def luck(self) -> float:
        """How likely it is that no more than `caught` are, each escaping by its own chance."""
        chances = [1.0]
        for escape in self.escapes:
            stays = [each * escape for each in chances]
            grows = [each * (1 - escape) for each in chances]
            chances = [a + b for a, b in zip([*stays, 0.0], [0.0, *grows], strict=True)]
        return sum(chances[: self.caught + 1])

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval of 95 % for the share that is caught."""
        count = len(self.escapes)
        share, spread = self.caught / count, Z * Z / count
        centre = (share + spread / 2) / (1 + spread)
        half = sqrt(share * (1 - share) * spread + spread * spread / 4) / (1 + spread)
        return max(0.0, centre - half), min(1.0, centre + half)

    def show(self, unit: int) -> str:
        """The prediction, what was measured and its interval; the expected gain in tokens."""
        if not self.escapes:
            return ""
        low, high = self.interval
        count = len(self.escapes)
        return (
            f"{self.predicted:.2f} ± {self.deviation:.2f} of {count} claims; {self.caught} "
            f"({self.predicted / count:.0%}; {low:.0%} to {high:.0%}); "
            f"gain expected {self.expected_gain / unit:,.6f}"
        )


def weigh(
    cheat: Cheat, fates: Sequence[Fate], honest_units: Sequence[int], margin_bps: int
) -> Chances:
    """The chances of these claims, given the weight in each that is real."""
    margin = margin_bps / BPS
    shares = [
        1.0 if cheat.is_all_bad else 1 - honest / fate.claim.root.sum
        for fate, honest in zip(fates, honest_units, strict=True)
    ]
    claims = [each.claim for each in fates]
    pairs = list(zip(shares, claims, strict=True))
    return Chances(
        tuple(escape_probability(share, margin * each.value / each.bond) for share, each in pairs),
        sum(each.slashed > 0 for each in fates),
        sum(expected_gain(share, each.value, each.bond, margin) for share, each in pairs),
    )


def pool(chances: Sequence[Chances]) -> Chances:
    """All claims together."""
    return Chances(
        tuple(escape for each in chances for escape in each.escapes),
        sum(each.caught for each in chances),
        sum(each.expected_gain for each in chances),
    )
