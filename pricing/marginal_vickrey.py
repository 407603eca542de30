"""Vickrey's auction of several equal units to buyers who value each further unit less.

Source: W. Vickrey, "Counterspeculation, Auctions, and Competitive Sealed Tenders", Journal of
Finance 16 (1961), 8-37, section IV.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from pricing.market import Fill, InvalidBookError, Trader


def marginal_vickrey(values: Mapping[Trader, Sequence[int]], units: int) -> tuple[Fill, ...]:
    """Sell `units` to the highest marginal values; truthful in all of them, and efficient.

    Values are of a trader's first, second, ... unit and do not rise (InvalidBookError). A winner of
    x units pays the x highest of the others' values that lost, which is what it displaced.
    """
    if any(later > earlier for own in values.values() for earlier, later in pairwise(own)):
        raise InvalidBookError("a further unit is worth more than the one before it")
    line = sorted(
        ((value, trader) for trader, own in values.items() for value in own),
        key=lambda unit: (-unit[0], unit[1]),
    )
    winning = [trader for _, trader in line[:units]]
    fills = []
    for trader in sorted(set(winning)):
        won = winning.count(trader)
        displaced = [value for value, other in line[units:] if other != trader][:won]
        fills.append(Fill(trader, won, sum(displaced)))
    return tuple(fills)
