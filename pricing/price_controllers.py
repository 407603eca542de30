"""How a posted price follows demand from one epoch to the next.

A report moves the next price, so across epochs lying can pay; the step bounds by how much.
"""

from dataclasses import dataclass

from pricing.posted_price_vcg import Balance

BASIS_POINTS = 10_000
STEP_DIVISOR = 8
"""The largest step is an eighth of the price, as in EIP-1559."""


@dataclass(frozen=True, slots=True)
class StepBound:
    """What keeps a supplier from buying its own volume for the sake of the next epoch's price.

    Own volume of a share v of the market moves the price by at most `slope * v`, gains a supplier
    of share h at most `slope * v * h` of the next epoch's turnover, and costs it `fee * v`: a slope
    of `fee / (2 h)` leaves it a loss of half the fee. The slope and not only the largest step has
    to be bounded, or small volumes would still pay. Both fields are in basis points.
    """

    fee_bps: int
    largest_share_bps: int

    def __post_init__(self) -> None:
        if self.fee_bps < 0 or not 0 < self.largest_share_bps <= BASIS_POINTS:
            raise ValueError(f"not a bound: {self}")

    def step(self, price: int, imbalance: int, larger: int) -> int:
        """The largest step for an imbalance out of the larger side, rounded down (0: none)."""
        return price * self.fee_bps * imbalance // (2 * self.largest_share_bps * larger)


def next_price(price: int, balance: Balance, bound: StepBound | None = None) -> int:
    """The next epoch's price: a step towards balance, none where demand equals supply.

    The step is an eighth of the price times the relative imbalance, rounded down but at least 1,
    and at most what `bound` allows; a price never falls below 1.
    """
    imbalance = abs(balance.demand - balance.supply)
    if imbalance == 0:
        return price
    larger = max(balance.demand, balance.supply)
    step = max(price * imbalance // larger // STEP_DIVISOR, 1)
    if bound is not None:
        step = min(step, bound.step(price, imbalance, larger))
    return max(price + step if balance.demand > balance.supply else price - step, 1)


def next_base_fee(price: int, used: int, target: int) -> int:
    """EIP-1559's rule: an eighth up or down in proportion to use over `target`, rounded down.

    Up by at least 1; a price of less than 8 does not fall, as on Ethereum.
    Source: EIP-1559, `base_fee_per_gas`.
    """
    if target < 1 or used < 0:
        raise ValueError(f"use of {used} against a target of {target}")
    if used > target:
        return price + max(price * (used - target) // target // STEP_DIVISOR, 1)
    return price - price * (target - used) // target // STEP_DIVISOR
