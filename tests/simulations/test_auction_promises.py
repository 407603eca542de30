"""What the table of the docs claims of the auctions holds, and what it says fails, fails."""

from pathlib import Path

import pytest

from simulations.auctions.subject import Subject
from simulations.auctions.subjects import SUBJECTS
from simulations.auctions.table import count_violations, run_promises
from simulations.report import show

PAGE = Path(__file__).parents[2] / "docs" / "pricing-properties.md"
BOOKS = 60
"""As many as the page was written with."""


def row_of(subject: Subject) -> list[str]:
    (line,) = (
        line for line in PAGE.read_text().splitlines() if line.startswith(f"| {subject.name} |")
    )
    return [cell.strip() for cell in line.split("|")[1:-1]]


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_kept_promises_never_fail_and_broken_ones_do_as_the_page_says(subject: Subject) -> None:
    counts = count_violations(subject, 1, BOOKS)

    assert {promise for promise, count in counts.items() if count == 0} == subject.kept
    assert {promise for promise, count in counts.items() if count} == subject.broken
    assert [cell for cell in row_of(subject)[1:] if cell != "-"] == [
        show(count) for count in counts.values()
    ]


def test_the_table_has_a_row_a_mechanism_and_the_same_numbers_again() -> None:
    steps: list[int] = []
    first, again = run_promises(3, 2, steps.append), run_promises(3, 2, steps.append)

    assert first == again
    assert [row[0] for row in first.tables[0].rows] == [subject.name for subject in SUBJECTS]
    assert sum(steps) == 2 * len(SUBJECTS)
