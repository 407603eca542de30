"""The closed forms of the design beside what our own code makes of them."""

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from math import log
from random import Random
from statistics import fmean

from pricing import (
    Book,
    Fill,
    Order,
    Outcome,
    best_base,
    gains_from_trade,
    lower_bound,
    posted_price_vcg,
    uniform_price,
    uniform_reserve,
    vcg_double_auction,
    vickrey,
)
from simulations.auctions.ratios import RATIOS, bidders
from simulations.report import Cell, Report, Table

ONE = 10**6
STEPS = 1
REVENUES = {
    1: 0.25,
    2: 0.41666666666666663,
    3: 0.53125,
    4: 0.6124999999999999,
    5: 0.671875,
    6: 0.7165178571428572,
}
"""Of Vickrey with Myerson's reserve, by the number of bidders with values uniform up to 1."""
VICKREY_OF_TWO = 0.3333333333333333
BILATERAL = {
    "first_best_gft": 0.16666666666666666,
    "second_best_gft_ChatterjeeSamuelson": 0.140625,
    "posted_half_gft": 0.125,
    "vcg_expected_deficit": 0.16666666666666666,
    "best_feasible_gft_myerson_satterthwaite": 0.140625,
}
RATIOS_AT_ONE_AND_TWO = {"CORE": 3.386294361119891, "RSPE": 4.0}
LOWER_BOUNDS = {
    2: 2.0,
    3: 2.1666666666666665,
    4: 2.239583333333333,
    5: 2.280666666666667,
    10: 2.3576680141468254,
}
BEST_BASES = {"2": (5.3567, 0.18668), "1.5": (3.2833, 0.30458), "1.0101": (1.1602, 0.862)}
"""By how far two revenues may lie apart: the base, and what an estimate is worth with it."""


def with_toll(toll: int, orders: Book) -> Outcome:
    """One pair trades where its gains reach the toll, each at the price at which it just would.

    Of all truthful rules for uniform values and costs that on average need no money from outside
    one of these gains most: R. Myerson, M. Satterthwaite, "Efficient Mechanisms for Bilateral
    Trading", Journal of Economic Theory 29 (1983).
    """
    if not (orders.bids and orders.asks):
        return Outcome()
    (bid,), (ask,) = orders.bids, orders.asks
    if bid.price - ask.price < toll:
        return Outcome()
    bought = Fill(bid.trader, 1, ask.price + toll)
    return Outcome((bought,), (Fill(ask.trader, 1, bid.price - toll),))


def _pair(value: int, cost: int) -> Book:
    return Book((Order(b"buyer", value),), (Order(b"seller", cost),))


def bilateral(value: int, cost: int) -> dict[str, int]:
    """Every bilateral figure for one buyer and one seller with values and costs up to ONE."""
    truth = _pair(value, cost)
    # Chatterjee and Samuelson's linear equilibrium at the midpoint price.
    shaded = uniform_price(_pair(value * 2 // 3 + ONE // 12, cost * 2 // 3 + ONE // 4))
    best = vcg_double_auction(truth)
    return {
        "first_best_gft": gains_from_trade(truth, best),
        "second_best_gft_ChatterjeeSamuelson": (value - cost) * len(shaded.bought),
        "posted_half_gft": gains_from_trade(truth, posted_price_vcg(truth, ONE // 2, b"")),
        "vcg_expected_deficit": -best.surplus,
        "best_feasible_gft_myerson_satterthwaite": gains_from_trade(
            truth, with_toll(ONE // 4, truth)
        ),
    }


def run_worked(seed: int, trials: int, advance: Callable[[int], None]) -> Report:
    """Return every closed form of the design with our figure for it."""
    rng = Random(f"{seed} worked")
    rows: list[tuple[Cell, ...]] = [*_revenues(rng, trials), *_bilateral(rng, trials)]
    one_and_two = bidders(rng, 0)
    rows += [
        (f"{contest.name} at bids 1, 2", RATIOS_AT_ONE_AND_TWO[contest.name], ratio, 0.0)
        for contest in RATIOS
        if contest.name in RATIOS_AT_ONE_AND_TWO
        for ratio in [contest.ratio(one_and_two)]
    ]
    rows += [
        (f"lower bound, {count} bidders", bound, float(lower_bound(count)), 0.0)
        for count, bound in LOWER_BOUNDS.items()
    ]
    for ratio, (base, worth) in BEST_BASES.items():
        found = float(best_base(Fraction(ratio)))
        kept = (1 / float(ratio) - 1 / found) / log(found)
        rows.append((f"best base for {ratio}", base, found, 0.0))
        rows.append((f"worth of its estimate for {ratio}", worth, kept, 0.0))
    advance(1)
    note = (
        "Revenues and bilateral figures are means over draws, with the error of the mean; ratios "
        "are taken over cells of what is drawn; the rest is computed. Values and costs uniform up "
        "to 1."
    )
    return Report(
        (
            Table(
                "worked",
                "Closed forms of the design",
                ("figure", "design", "ours", "± 2 s.e."),
                tuple(rows),
                note,
            ),
        )
    )


def _revenues(rng: Random, trials: int) -> list[tuple[Cell, ...]]:
    def earned(count: int, reserve: int) -> list[int]:
        books = (_bids(rng, count) for _ in range(4 * trials))
        return [vickrey(book, 1, reserve).paid for book in books]

    reserved = partial(earned, reserve=uniform_reserve(0, ONE))
    rows = [
        _mean(f"Vickrey, Myerson's reserve, {count}", design, reserved(count))
        for count, design in REVENUES.items()
    ]
    return [*rows, _mean("Vickrey, no reserve, 2", VICKREY_OF_TWO, earned(2, 0))]


def _bids(rng: Random, count: int) -> Book:
    return Book(tuple(Order(b"%d" % place, rng.randrange(ONE)) for place in range(count)))


def _bilateral(rng: Random, trials: int) -> list[tuple[Cell, ...]]:
    found = [bilateral(rng.randrange(ONE), rng.randrange(ONE)) for _ in range(4 * trials)]
    return [
        _mean(name, design, [each[name] for each in found]) for name, design in BILATERAL.items()
    ]


def _mean(name: str, design: float, sample: list[int]) -> tuple[Cell, ...]:
    mean = fmean(sample)
    spread = fmean((each - mean) ** 2 for each in sample) ** 0.5
    return (name, design, mean / ONE, 2 * spread / ONE / len(sample) ** 0.5)
