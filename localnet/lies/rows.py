"""The table of lies: made from rounds, shown on a terminal, written as a page."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import mean, stdev
from typing import Any

from scipy.stats import t as students_t

from contracts import OrderSide
from localnet.lies.books import Wish
from localnet.lies.gains import (
    Liar,
    Round,
    bound,
    gain_over_seeds,
    gain_within,
    gains_across,
    gains_paid,
    truths,
)

DRAWS = 2_000
"""Public orders that a second identity's gain is the mean of."""
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over epochs with half the width of its interval of 95 % (Student's)."""

    mean: float
    error: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Estimate":
        """Of one value an epoch; a single epoch has no interval."""
        if len(values) < 2:
            return cls(mean(values), float("nan"))
        quantile = float(students_t.ppf((1 + CONFIDENCE) / 2, len(values) - 1))
        return cls(mean(values), quantile * stdev(values) / len(values) ** 0.5)

    def show(self, unit: int) -> str:
        """In whole tokens."""
        return f"{self.mean / unit:+,.4f} ± {self.error / unit:,.4f}"


@dataclass(frozen=True, slots=True)
class Row:
    """What one lie came to; money in base units an epoch."""

    who: str
    lie: str
    truth: str
    """Units at a price each."""
    said: str
    is_bounded: bool
    """Whether the mechanism claims that it does not pay."""
    truthful: Estimate
    """What the truth would have been worth."""
    within: float
    """The most that was gained within an epoch."""
    expected: Estimate
    """The same in the mean over public orders."""
    across: Estimate
    """Gained over a truth that moved no price."""
    paid: Estimate
    """The same by what the chain charged and paid."""
    bound: float
    """On `across`, stated in advance."""
    rounding: int
    """What rounding a unit price down hides in an epoch."""

    @property
    def is_as_promised(self) -> bool:
        """Whether nothing was gained within an epoch, nor beyond the bound across epochs."""
        no_gain = self.within <= self.rounding and self.across.mean <= self.bound
        return no_gain or not self.is_bounded

    def as_json(self) -> dict[str, Any]:
        """The row as a JSON object."""
        return asdict(self)


def make_row(liar: Liar, rounds: Sequence[Round], shares: Sequence[float], unit: int) -> Row:
    """The row of a liar; `shares` is how much of what was sold is used, by epoch."""
    played, first = liar.played, rounds[0]
    seeds = DRAWS // len(rounds)
    most = bound(played.truth, first.price, first.fee_bps, len(rounds))
    return Row(
        who="supplier" if liar.side is OrderSide.ASK else "buyer",
        lie=played.lie,
        truth=_show_wish(played.truth, unit),
        said=" + ".join(_show_wish(each, unit) for each in played.said),
        is_bounded=played.is_bounded,
        truthful=Estimate.of([liar.worth(each) for each in truths(liar, rounds)]),
        within=max(gain_within(liar, each) for each in rounds),
        expected=Estimate.of([gain_over_seeds(liar, each, seeds) for each in rounds]),
        across=Estimate.of(gains_across(liar, rounds)),
        paid=Estimate.of(gains_paid(liar, rounds, shares)),
        bound=most / len(rounds),
        rounding=played.truth.quantity,
    )


def _show_wish(wish: Wish, unit: int) -> str:
    return f"{wish.quantity} at {wish.price / unit:.2f}"


COLUMNS = (
    "who", "lie", "truth", "said", "worth of the truth", "most within an epoch",
    "over public orders", "across epochs", "bound", "as paid",
)  # fmt: skip


def show_row(row: Row, unit: int) -> tuple[str, ...]:
    """The cells of a row, money in whole tokens."""
    return (
        row.who,
        row.lie,
        row.truth,
        row.said,
        f"{row.truthful.mean / unit:.4f}",
        f"{row.within / unit:+.6f}",
        row.expected.show(unit),
        row.across.show(unit),
        f"{row.bound / unit:.4f}" if row.is_bounded else "none claimed",
        row.paid.show(unit),
    )
