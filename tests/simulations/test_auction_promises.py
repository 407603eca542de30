"""What the tables of the docs claim of the auctions holds, and what they say fails, fails."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

import pytest

from pricing import (
    Book,
    Deviation,
    EdgeOffer,
    Ladder,
    Order,
    Side,
    aeria_posted,
    draw_word,
)
from simulations.auctions.gateway_round import BASE, CAPACITY, RATE_MAX, cost_of, gateway_round
from simulations.auctions.grid import Grid, exhaust
from simulations.auctions.promises import Promise
from simulations.auctions.ratios import RATIOS, SLACK, Contest, measure
from simulations.auctions.sales import planned_users
from simulations.auctions.subject import Subject
from simulations.auctions.subjects import SUBJECTS
from simulations.auctions.table import (
    COUNTS_NOTE,
    LIES_NOTE,
    STEPS,
    describe,
    run_promises,
    try_books,
)
from simulations.report import show

PAGE = Path(__file__).parents[2] / "docs" / "pricing-properties.md"
BOOKS = 10
"""Of the page's books, the first: the rest of the search is the page's."""
STRIDE = 11
"""One in so many of the small books."""
WHOLE = ("McAfee", "first price (control)", "Vickrey, two units")
"""Tried here on as many books as the page, cell by cell."""
RATIO_BOOKS = 6


def rows(title: str) -> dict[str, list[str]]:
    """The cells of a section of the page by the name of their row."""
    section = PAGE.read_text().split(f"## {title}")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][2:]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return {name: rest for name, *rest in cells}


def page_counts(subject: Subject) -> dict[Promise, int]:
    """What the page counted of a mechanism, by promise that is not moot."""
    cells = dict(zip(Promise, rows("Violations in")[subject.name], strict=True))
    return {promise: int(cell) for promise, cell in cells.items() if cell != "-"}


def page_books() -> int:
    return int(PAGE.read_text().split("Violations in ")[1].split(" books")[0])


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_kept_promises_never_fail_and_broken_ones_do(subject: Subject) -> None:
    counts, written = try_books(subject, 1, BOOKS).counts, page_counts(subject)

    assert {promise for promise, count in written.items() if count} - subject.rare == subject.broken
    assert {promise for promise, count in written.items() if not count} >= subject.kept
    assert {promise for promise, count in counts.items() if count} <= subject.broken | subject.rare
    assert all(count <= written[promise] for promise, count in counts.items())


@pytest.mark.parametrize("name", WHOLE)
def test_the_page_counts_what_is_found(name: str) -> None:
    (subject,) = (each for each in SUBJECTS if each.name == name)

    assert try_books(subject, 1, page_books()).counts == page_counts(subject)


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_no_lie_in_a_small_book_pays_unless_the_page_says_by_how_much(subject: Subject) -> None:
    found = exhaust(subject.grid, subject.rule, subject.values, STRIDE)
    books, lies, gain, *_ = rows("The best lies found")[subject.name]

    assert found.books == -(-int(books.replace(",", "")) // STRIDE)
    assert found.lies <= int(lies.replace(",", ""))
    assert COUNTS_NOTE in PAGE.read_text()
    assert LIES_NOTE in PAGE.read_text()
    assert found.gain <= float(gain)
    if Promise.PRICE in subject.broken:
        assert float(gain) > 0
    elif Promise.QUANTITY not in subject.broken | subject.rare:
        assert gain == "0"


@pytest.mark.parametrize(
    "subject", [each for each in SUBJECTS if "control" in each.name], ids=lambda each: each.name
)
def test_a_control_is_caught_by_the_short_search(subject: Subject) -> None:
    assert exhaust(subject.grid, subject.rule, subject.values, STRIDE).gain > 0
    assert try_books(subject, 1, BOOKS).best is not None


def test_the_gateways_round_is_that_of_the_posted_variant_on_what_is_bid_beyond_cost() -> None:
    rng = Random(5)
    for _ in range(60):
        book, seed = planned_users(rng), rng.randbytes(32)
        net = [
            replace(bid, price=bid.price - cost_of(bid.trader))
            for bid in book.bids
            if bid.price >= cost_of(bid.trader)
        ]
        ladder = Ladder(BASE, draw_word(seed, b"edge round"))
        exact = aeria_posted(Book(tuple(net)), EdgeOffer(CAPACITY, 0, RATE_MAX), ladder)
        paid = {each.trader: each.money + cost_of(each.trader) for each in exact.bought}
        assert {each.trader: each.money for each in gateway_round(book, seed).bought} == paid


def test_the_lie_that_is_written_is_the_one_that_was_found() -> None:
    (subject,) = (each for each in SUBJECTS if each.name == "first price (control)")
    found = exhaust(subject.grid, subject.rule, subject.values)
    assert found.best is not None
    cells = rows("The best lies found")[subject.name]

    assert cells[:3] == [show(found.books), show(found.lies), show(float(found.gain))]
    assert describe(Deviation(Side.BUY, Order(b"a", 5, 2), Book(), found.gain)) == (
        "buyer of 2 at 5: stays away"
    )
    assert describe(
        Deviation(
            Side.SELL,
            Order(b"a", 5),
            Book((Order(b"a'", 4),), (Order(b"a", 9, 3),)),
            found.gain,
        )
    ) == ("seller of 1 at 5: buys 1 at 4, sells 3 at 9")


def test_a_grid_has_every_book_once_and_every_lie() -> None:
    grid = Grid((0, 2), (1, 2))
    books = list(grid.books())
    (truth,) = next(iter(books)).bids

    assert len(books) == (4 + 10) ** 2 == len(set(books))
    assert len(list(grid.lies()(Side.BUY, truth))) == grid.lies_a_trader == 4 * 3
    assert len(list(Grid((0, 2)).lies()(Side.BUY, truth))) == Grid((0, 2)).lies_a_trader == 4


@pytest.mark.parametrize("contest", RATIOS, ids=lambda contest: contest.name)
def test_no_auction_is_further_from_the_best_price_than_promised(contest: Contest) -> None:
    found = measure(contest, 1, RATIO_BOOKS)
    against, promised, _, worst, beyond, _ = rows("Competitive ratios")[contest.name]

    assert found.beyond == 0
    assert beyond.startswith("0 of ")
    assert (beyond == "0 of 0") == (promised == "none")
    assert against == contest.against
    assert found.worst <= float(worst) * 1.001
    if promised not in ("none", "by book"):
        assert float(worst) <= float(promised) * (1 + SLACK)


@pytest.mark.parametrize("name", ["RSPE", "CORE"])
def test_one_and_two_is_where_the_promise_is_met(name: str) -> None:
    (contest,) = (each for each in RATIOS if each.name == name)
    (tight,) = first(contest, 1)

    assert contest.ratio(tight) == pytest.approx(contest.promise(tight), rel=1e-3)


def test_the_estimate_keeps_what_its_formula_says_to_the_last_cell() -> None:
    (contest,) = (each for each in RATIOS if each.name == "AERIA-E")
    for book in first(contest, 5):
        assert contest.ratio(book) == pytest.approx(contest.promise(book), rel=SLACK)


def first(contest: Contest, count: int) -> list[Book]:
    return [contest.books(Random(number), number) for number in range(count)]


def test_the_tables_have_a_row_a_mechanism_and_the_same_numbers_again() -> None:
    steps: list[int] = []
    few = partial(run_promises, 3, 1, advance=steps.append, stride=101)
    report = few()

    assert report == few()
    for table, tried in zip(report.tables, (SUBJECTS, SUBJECTS, RATIOS), strict=True):
        assert [row[0] for row in table.rows] == [each.name for each in tried]
    assert sum(steps) == 2 * STEPS
