"""How far auctions stay behind the best single price, in expectation, beside what is proven."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import log
from random import Random
from statistics import fmean

from pricing import (
    CORE_RATIO,
    Book,
    EdgeOffer,
    Order,
    aeria_envy_free,
    aeria_posted,
    aeria_truthful,
    best_revenue,
    best_revenue_of_two,
    competitive_ratio,
    deterministic_price,
    edge_sampled_price,
    half_capacity_vickrey,
    optimal_single_price,
    profit_extraction,
    sampled_price,
    vickrey,
)
from simulations.auctions.expectations import Draws, core_draws, once, over_offsets, over_splits
from simulations.report import Cell, Table

ONE = 10**6
"""Money of the smallest bid, so that rounding is of no account."""
BASE = 2
BIDDERS = (2, 5)
USERS = (4, 8)
QUANTITY_MAX = 4
SPREADS = (2, 5, 50)
NOTHING_EARNED = float("inf")


@dataclass(frozen=True, slots=True)
class Contest:
    """An auction by draws that stand for all, what it is held against, and the ratio promised."""

    name: str
    draws: Draws
    books: Callable[[Random, int], Book]
    against: str
    promise: Callable[[Book], float | None]

    def ratio(self, book: Book) -> float:
        """The benchmark over the expected revenue."""
        benchmark = best_revenue_of_two if self.against == "F2" else best_revenue
        found = competitive_ratio(self.draws(book), book, lambda each: benchmark(each.bids))
        return NOTHING_EARNED if found is None else float(found)


def bidders(rng: Random, number: int) -> Book:
    """Bids of one unit; the first book is 1 and 2, where CORE and RSPE earn least."""
    if number == 0:
        return _book([(ONE, 1), (2 * ONE, 1)])
    spread = rng.choice(SPREADS)
    return _book([(rng.randint(ONE, spread * ONE), 1) for _ in range(rng.randint(*BIDDERS))])


def users(rng: Random, number: int) -> Book:
    """Plans of one to four units, each worth its units times a value for one."""
    spread = rng.choice(SPREADS)
    units = [rng.randint(1, QUANTITY_MAX) for _ in range(rng.randint(*USERS))]
    return _book([(each * rng.randint(ONE, spread * ONE), each) for each in units])


def _book(lots: list[tuple[int, int]]) -> Book:
    return Book(tuple(Order(b"%d" % place, *lot) for place, lot in enumerate(lots)))


def ample(book: Book) -> EdgeOffer:
    """Room for everybody at no cost."""
    return EdgeOffer(sum(bid.quantity for bid in book.bids), 0, QUANTITY_MAX)


def of_estimate(book: Book) -> float:
    """What rounding down to a rung costs on average: `ln c / (1 - 1/c)`."""
    return log(BASE) / (1 - 1 / BASE)


def of_consensus(book: Book) -> float | None:
    """`ln c / (1/rho - 1/c)`, where one user less lowers `F` by at most rho; None from c on.

    Where all estimates agree the revenue is the estimate; counting no other draws gives the bound.
    """
    others = [
        best_revenue([each for each in book.bids if each.trader != bid.trader]) for bid in book.bids
    ]
    kept = min(others) / best_revenue(book.bids)
    return log(BASE) / (kept - 1 / BASE) if kept > 1 / BASE else None


def by(ratio: float | None) -> Callable[[Book], float | None]:
    """The same promise for every book; None where nothing is promised."""
    return lambda book: ratio


RATIOS = (
    Contest("Vickrey, two units", once(partial(vickrey, units=2)), bidders, "F2", by(None)),
    Contest("DOP", once(deterministic_price), bidders, "F2", by(None)),
    Contest("RSOP", over_splits(sampled_price), bidders, "F2", by(4.68)),
    Contest("RSPE", over_splits(profit_extraction), bidders, "F2", by(4.0)),
    Contest("CORE", core_draws, bidders, "F2", by(CORE_RATIO)),
    Contest("optimal single price (control)", once(optimal_single_price), bidders, "F", by(1.0)),
    Contest("AERIA-E", over_offsets(aeria_envy_free, ample, BASE), users, "F", of_estimate),
    Contest("AERIA-T", over_offsets(aeria_truthful, ample, BASE), users, "F", of_consensus),
    Contest("AERIA-P", over_offsets(aeria_posted, ample, BASE), users, "F", by(None)),
    Contest(
        "RSOP over plans",
        lambda book: over_splits(lambda b, s: edge_sampled_price(b, ample(book), s))(book),
        users,
        "F",
        by(None),
    ),
    Contest(
        "half-capacity Vickrey",
        lambda book: [partial(half_capacity_vickrey, offer=ample(book))],
        users,
        "F",
        by(None),
    ),
)
SLACK = 0.01
"""Of a ratio: what cells in the place of a continuum may add."""


@dataclass(frozen=True, slots=True)
class Ratios:
    """The ratios of an auction over books: mean and worst of them, and how many beyond promise."""

    mean: float
    worst: float
    worst_book: Book
    promises: tuple[float, ...]
    beyond: int


def measure(contest: Contest, seed: int, books: int) -> Ratios:
    """Hold one auction against its benchmark, the same first books for any number."""
    found: list[tuple[float, Book]] = []
    promises: list[float] = []
    beyond = 0
    for number in range(books):
        book = contest.books(Random(f"{seed} ratio {number}"), number)
        ratio, promise = contest.ratio(book), contest.promise(book)
        found.append((ratio, book))
        if promise is not None:
            promises.append(promise)
            beyond += ratio > promise * (1 + SLACK)
    worst, book = max(found, key=lambda pair: pair[0])
    return Ratios(fmean(ratio for ratio, _ in found), worst, book, tuple(promises), beyond)


def ratio_table(seed: int, books: int, advance: Callable[[int], None]) -> Table:
    """Return the table; `advance` is called once an auction."""
    rows: list[tuple[Cell, ...]] = []
    for contest in RATIOS:
        found = measure(contest, seed, books)
        rows.append(
            (
                contest.name,
                contest.against,
                _promise(found.promises),
                found.mean,
                found.worst,
                f"{found.beyond} of {len(found.promises)}",
                " ".join(_show(bid) for bid in found.worst_book.bids),
            )
        )
        advance(1)
    return Table(
        "ratios",
        "Competitive ratios",
        ("auction", "against", "promised", "mean", "worst", "beyond its promise", "worst bids"),
        tuple(rows),
        f"The best single price's revenue (`F2`: from two buyers at least) over the expected "
        f"revenue of truthful bids, in {books} books of {BIDDERS[0]} to {BIDDERS[1]} bidders or "
        f"{USERS[0]} to {USERS[1]} users. AERIA-E keeps "
        "`ln c / (1 - 1/c)` of `F` with base c = 2 whatever the bids; AERIA-T `ln c / (1/rho - "
        "1/c)` in books whose `F` no user lowers by more than the factor rho < c. `inf` earned "
        "nothing. Bids as value, or value of all units / units, in millions.",
    )


def _promise(promises: tuple[float, ...]) -> Cell:
    if not promises:
        return "none"
    return promises[0] if len(set(promises)) == 1 else "by book"


def _show(bid: Order) -> str:
    value = f"{bid.price / ONE:.3g}"
    return value if bid.quantity == 1 else f"{value}/{bid.quantity}"
