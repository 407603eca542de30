"""Myerson's reserve: the price below which it is better not to sell.

Of bidders whose values are drawn alike from a regular distribution, Vickrey with this reserve earns
the most that any truthful auction can. Past epochs only may set it: a bid that moves the reserve of
its own auction is worth misreporting.

Source: R. Myerson, "Optimal Auction Design", Mathematics of Operations Research 6 (1981).
"""

from collections import Counter
from collections.abc import Iterable, Mapping


def uniform_reserve(low: int, high: int, cost: int = 0) -> int:
    """The reserve for values uniform on `low..high`: half of `high + cost`, rounded down.

    Never below `low`, where all buy, nor below `cost`.
    """
    return max(low, (high + cost) // 2, cost)


def exponential_reserve(mean: int, cost: int = 0) -> int:
    """The reserve for exponential values, whose virtual value is the value less the mean."""
    return mean + cost


def discrete_reserve(weights: Mapping[int, int], cost: int = 0) -> int:
    """The price that maximizes `(price - cost) * weight(value >= price)`, the lowest of several.

    `weights` maps each value to its probability in any unit; `cost` where no value exceeds it.
    """
    best, reserve = 0, cost
    at_least = 0
    for value in sorted(weights, reverse=True):
        at_least += weights[value]
        profit = (value - cost) * at_least
        if profit > 0 and profit >= best:
            best, reserve = profit, value
    return reserve


def empirical_reserve(values: Iterable[int], cost: int = 0) -> int:
    """The reserve for the values of past epochs, each equally likely to come again."""
    return discrete_reserve(Counter(values), cost)
