"""Vickrey's auction of several units against Clarke's payments by enumeration."""

from itertools import combinations_with_replacement, product
from random import Random

import pytest

from pricing import Fill, InvalidBookError, Trader, marginal_vickrey
from tests.pricing.test_worked_numbers import CLOSED


def test_two_chairs() -> None:
    case = CLOSED["vcg_chairs"]
    values = {
        name.encode(): [worth[str(n)] - worth.get(str(n - 1), 0) for n in range(1, len(worth) + 1)]
        for name, worth in case["bids"].items()
    }

    assert marginal_vickrey(values, case["items"]) == tuple(
        Fill(name.encode(), case["win"][name], case["pay"][name]) for name in ("Alice", "Bob")
    )


def best(values: dict[Trader, list[int]], units: int) -> int:
    """The most value of any way to hand out at most `units` units."""
    return max(
        sum(sum(own[:count]) for own, count in zip(values.values(), counts, strict=True))
        for counts in product(*(range(len(own) + 1) for own in values.values()))
        if sum(counts) <= units
    )


def test_payments_are_clarkes() -> None:
    rng = Random(71)
    for _ in range(500):
        values = {
            b"%d" % index: sorted(
                (rng.randint(0, 9) for _ in range(rng.randint(1, 3))), reverse=True
            )
            for index in range(rng.randint(1, 4))
        }
        units = rng.randint(0, 5)
        fills = marginal_vickrey(values, units)
        worth = {fill.trader: sum(values[fill.trader][: fill.units]) for fill in fills}
        assert sum(worth.values()) == best(values, units)
        for fill in fills:
            others = {name: own for name, own in values.items() if name != fill.trader}
            rest = sum(worth.values()) - worth[fill.trader]
            assert fill.money == (best(others, units) if others else 0) - rest


def falling(most: int, high: int) -> list[tuple[int, ...]]:
    """Every list of up to `most` values of at most `high` that do not rise."""
    return [
        values
        for count in range(1, most + 1)
        for values in product(range(high, -1, -1), repeat=count)
        if list(values) == sorted(values, reverse=True)
    ]


@pytest.mark.parametrize("units", [1, 2, 3])
def test_no_report_of_marginal_values_pays(units: int) -> None:
    """Every report against every truth and all that two others may say on a small grid."""

    def worth(
        truth: tuple[int, ...], said: tuple[int, ...], others: dict[Trader, list[int]]
    ) -> int:
        won = [
            fill
            for fill in marginal_vickrey({b"liar": list(said), **others}, units)
            if fill.trader == b"liar"
        ]
        return sum(sum(truth[: fill.units]) - fill.money for fill in won)

    reports = falling(2, 3)
    for rivals in combinations_with_replacement(falling(2, 2), 2):
        others = {b"%d" % place: list(own) for place, own in enumerate(rivals)}
        for truth in reports:
            honest = worth(truth, truth, others)
            assert honest >= 0
            assert all(worth(truth, said, others) <= honest for said in reports)


def test_rising_values_are_refused() -> None:
    with pytest.raises(InvalidBookError, match="worth more"):
        marginal_vickrey({b"a": [1, 2]}, 1)
