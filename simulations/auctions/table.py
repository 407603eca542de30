"""What holds and what does not: every promise of every mechanism, tried on books."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from pricing import Deviation, Order, Side
from simulations.auctions.grid import Exhausted, exhaust
from simulations.auctions.promises import (
    CHECKS,
    IDENTITIES_MAX,
    TRIES,
    Gain,
    Promise,
    Round,
    search_identities,
)
from simulations.auctions.ratios import RATIOS, ratio_table
from simulations.auctions.subject import Subject
from simulations.auctions.subjects import SUBJECTS
from simulations.report import Cell, Report, Table

STEPS = len(SUBJECTS) + len(RATIOS)
COUNTS_NOTE = (
    "A number counts the books, of those tried, in which somebody gained by a lie or the property "
    "failed; `-` is not a question for that mechanism. Lies about price, or price and quantity, "
    f"are judged knowing the seed; {IDENTITIES_MAX} identities at most, on either side, in the "
    "mean over seeds. Truth is read from the book, prices are integers, and `0` is what a theorem "
    "says or, where none does, what the search found. AERIA-T is not truthful in quantity: it "
    "shows in so few books that a search may miss it, and the case is a test of its own. The "
    "gateway's round is what the gateway runs for edge inference: AERIA-P on what a bid leaves "
    "beyond its relay's cost."
)
LIES_NOTE = (
    "Gains in the money of the book. One identity: every price with every quantity, in every book "
    "of up to two traders a side (four bidders or workers, three with plans) on a grid, the seed "
    f"known. Several: the best of {TRIES} random lies a trader of the books above, climbed from by "
    "moving a price or a quantity or dropping an identity, its gain a mean over fresh seeds; "
    "written are who, the truth, and what it says instead, as units at a price. `-`: no lie paid."
)


@dataclass(frozen=True, slots=True)
class Found:
    """What a mechanism's random books showed: violations counted, and the best of the lies."""

    counts: dict[Promise, int]
    best: Gain | None


def run_promises(seed: int, books: int, advance: Callable[[int], None], stride: int = 1) -> Report:
    """Return the tables; `advance` is called once a mechanism and once a ratio.

    Of the small books every `stride`-th is tried.
    """
    counts: list[tuple[Cell, ...]] = []
    lies: list[tuple[Cell, ...]] = []
    for subject in SUBJECTS:
        found = try_books(subject, seed, books)
        counts.append((subject.name, *(found.counts.get(promise, "-") for promise in Promise)))
        small = exhaust(subject.grid, subject.rule, subject.values, stride)
        lies.append(_row(subject.name, small, found.best))
        advance(1)
    columns = ("mechanism", *(promise.value for promise in Promise))
    title = f"Violations in {books} books"
    heads = (
        "mechanism", "small books", "lies in them", "gain of one identity", "of several",
        "± 2 s.e.", "the lie of several",
    )  # fmt: skip
    return Report(
        (
            Table("promises", title, columns, tuple(counts), COUNTS_NOTE),
            Table("lies", "The best lies found", heads, tuple(lies), LIES_NOTE),
            ratio_table(seed, books, advance),
        )
    )


def try_books(subject: Subject, seed: int, books: int) -> Found:
    """Check every promise that is not moot in random books, the same first ones for any number."""
    asked = [promise for promise in Promise if promise not in subject.moot]
    counts = dict.fromkeys(asked, 0)
    best: Gain | None = None
    for number in range(books):
        rng = Random(f"{seed} {subject.name} {number}")
        each = Round(subject.rule, subject.books(rng), rng.randbytes(32), subject.values)
        for promise in set(asked) & set(CHECKS):
            counts[promise] += not CHECKS[promise](each)
        gain = search_identities(each, rng)
        if gain is not None and gain.is_above_zero:
            counts[Promise.IDENTITIES] += 1
            best = gain if best is None or gain.mean > best.mean else best
    return Found(counts, best)


def _row(name: str, small: Exhausted, best: Gain | None) -> tuple[Cell, ...]:
    if best is None:
        return (name, small.books, small.lies, float(small.gain), 0.0, 0.0, "-")
    said = describe(best.lie)
    return (
        name, small.books, small.lies, float(small.gain), float(best.mean), 2 * best.error, said,
    )  # fmt: skip


def describe(lie: Deviation) -> str:
    """Who lies, the truth, and what is reported instead."""
    who = "buyer" if lie.side is Side.BUY else "seller"
    said = [f"buys {_lot(bid)}" for bid in lie.reports.bids]
    said += [f"sells {_lot(ask)}" for ask in lie.reports.asks]
    return f"{who} of {_lot(lie.truth)}: {', '.join(said) or 'stays away'}"


def _lot(order: Order) -> str:
    return f"{order.quantity} at {order.price}"
