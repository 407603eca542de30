"""Consensus estimates: a revenue rounded so coarsely that one bidder seldom moves the result.

Rounding down to `c^(j+u)`, with `u` uniform on [0, 1), loses little on average, and two revenues
within a factor `rho` of each other round to the same rung with probability `1 - log_c(rho)`.

Source: A. Goldberg, J. Hartline, "Competitiveness via Consensus", SODA 2003.
"""

from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache

from pricing.draws import WORD

_DIGITS = 60
_SCALE = 2**128
_BASE_UNIT = 10_000


@dataclass(frozen=True, slots=True)
class Ladder:
    """The rungs `floor(base^(j + offset / 2^64))`, j = 0, 1, 2, ... of one draw.

    `base` (above 1) is fixed before the orders are seen, `offset` is drawn after. The powers are
    computed in decimal arithmetic of 60 digits, so every machine has the same rungs.
    """

    base: Fraction
    offset: int

    def __post_init__(self) -> None:
        if self.base <= 1 or not 0 <= self.offset < WORD:
            raise ValueError(f"no ladder has base {self.base} and offset {self.offset}")

    def rungs(self, highest: int) -> tuple[int, ...]:
        """Every rung up to `highest`, rising, each once."""
        numerator, denominator = _first_rung(self.base, self.offset), _SCALE
        found: list[int] = []
        while (rung := numerator // denominator) <= highest:
            if not found or rung > found[-1]:
                found.append(rung)
            numerator *= self.base.numerator
            denominator *= self.base.denominator
        return tuple(found)

    def round_down(self, amount: int) -> int:
        """The highest rung that is at most `amount`; 0 below the first."""
        rungs = self.rungs(amount)
        return rungs[-1] if rungs else 0


@lru_cache(maxsize=256)
def _first_rung(base: Fraction, offset: int) -> int:
    """`floor(base^u * 2^128)`."""
    with localcontext(Context(prec=_DIGITS)):
        power = Decimal(base.numerator) / Decimal(base.denominator)
        return int((power.ln() * offset / WORD).exp() * _SCALE)


def best_base(ratio: Fraction) -> Fraction:
    """The base that keeps most where two revenues within `ratio` (above 1) must agree.

    What an estimate is worth, counted where they agree, is `(1/ratio - 1/c) / ln c`; it is largest,
    namely `1/c`, where `ln c + 1 = c / ratio`. Rounded down to a ten-thousandth.
    """
    if ratio <= 1:
        raise ValueError(f"two revenues differ by more than the ratio {ratio}")
    low, high = int(ratio * _BASE_UNIT), int(ratio * ratio * 8 * _BASE_UNIT)
    with localcontext(Context(prec=_DIGITS)):
        while high - low > 1:
            middle = (low + high) // 2
            base = Decimal(middle) / _BASE_UNIT
            grows = base.ln() + 1 > base * ratio.denominator / ratio.numerator
            low, high = (middle, high) if grows else (low, middle)
    return Fraction(low, _BASE_UNIT)
