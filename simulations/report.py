"""What an experiment leaves: tables for people and programs, and plots, in one folder."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from node.output import Output

Cell = str | int | float


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a report; `note` says how to read it."""

    name: str
    """A file name without its ending."""
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def to_markdown(self) -> str:
        """Return the table as a section of a page."""
        lines = [f"## {self.title}", "", _row(self.columns), _row(["---"] * len(self.columns))]
        lines += [_row([show(cell) for cell in row]) for row in self.rows]
        return "\n".join([*lines, "", self.note, ""]) if self.note else "\n".join([*lines, ""])


@dataclass(frozen=True, slots=True)
class Report:
    """The tables and plots (by file name) of one experiment."""

    tables: tuple[Table, ...]
    plots: dict[str, Figure] = field(default_factory=dict)


def show(cell: Cell) -> str:
    """Return a cell as people read it: four significant digits, thousands apart."""
    if not isinstance(cell, float):
        return f"{cell:,}" if isinstance(cell, int) else cell
    return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.4g}"


def print_report(report: Report, output: Output) -> None:
    """Print every table of a report with its note."""
    for table in report.tables:
        output.table(table.title, table.columns, [[show(c) for c in row] for row in table.rows])
        if table.note:
            output.line(f"{table.note}\n")


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write a report as CSV and PNG files; return what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for table in report.tables:
        path = folder / f"{table.name}.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([table.columns, *table.rows])
        written.append(path)
    for name, figure in report.plots.items():
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=120)
        written.append(path)
    return written


def write_page(report: Report, title: str, command: str, page: Path) -> None:
    """Write a report's tables as a page of the documentation that names its own command."""
    head = f"# {title}\n\nWritten by `{command}`; edit the experiment, not this page.\n"
    page.write_text("\n".join([head, *(table.to_markdown() for table in report.tables)]))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
