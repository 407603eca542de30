"""What holds and what does not: every promise of every mechanism, tried on random books."""

from collections.abc import Callable
from random import Random

from simulations.auctions.promises import CHECKS, Promise, Round
from simulations.auctions.subject import Subject
from simulations.auctions.subjects import SUBJECTS
from simulations.report import Report, Table

NOTE = (
    "A number counts the books, of those tried, in which somebody gained by a lie or the property "
    "failed; `-` is not a question for that mechanism. Lies are judged knowing the seed, two "
    "identities (on either side) in the mean over seeds. Truth is read from the book, prices are "
    "integers, and `0` is what a theorem says or, where none does, what the search found."
)


def run_promises(seed: int, books: int, advance: Callable[[int], None]) -> Report:
    """Return the table; `advance` is called once a mechanism."""
    rows = []
    for subject in SUBJECTS:
        counts = count_violations(subject, seed, books)
        rows.append((subject.name, *(counts.get(promise, "-") for promise in Promise)))
        advance(1)
    columns = ("mechanism", *(promise.value for promise in Promise))
    title = f"Violations in {books} books"
    return Report((Table("promises", title, columns, tuple(rows), NOTE),))


def count_violations(subject: Subject, seed: int, books: int) -> dict[Promise, int]:
    """In how many random books each promise that is not moot failed."""
    asked = [promise for promise in Promise if promise not in subject.moot]
    counts = dict.fromkeys(asked, 0)
    rng = Random(f"{seed} {subject.name}")
    for _ in range(books):
        each = Round(subject.draw, subject.books(rng), rng.randbytes(32), subject.values)
        for promise in asked:
            counts[promise] += not CHECKS[promise](each, rng)
    return counts
