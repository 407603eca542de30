"""What a command prints: for people as it happens, or for programs as one JSON object at the end.

With `json=True` everything for people goes to standard error, and the last line of standard
output is exactly one JSON object: what `done` or `failed` was given.
"""

from __future__ import annotations

import dataclasses
import json as json_format
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

Advance = Callable[[int], None]


class Output:
    """The one way a command-line tool prints."""

    def __init__(self, json: bool = False) -> None:
        self.json = json
        self._finished = False
        self._console = Console(stderr=json, highlight=False, soft_wrap=True)

    def line(self, text: str) -> None:
        """Print a line for people, as it is (no markup)."""
        self._console.print(Text(text))

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table for people; bytes appear as 0x hex."""
        table = Table(title=Text(title), title_justify="left")
        for column in columns:
            table.add_column(Text(column), overflow="fold")
        for row in rows:
            table.add_row(*(Text(str(to_plain(cell))) for cell in row))
        self._console.print(table)

    @contextmanager
    def progress(self, text: str, total: int | None = None) -> Iterator[Advance]:
        """Show progress for people; yields a function that advances it by a number of steps."""
        columns = [SpinnerColumn(), TextColumn("{task.description}", markup=False)]
        if total is not None:
            columns += [BarColumn(), MofNCompleteColumn()]
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(text, total=total)
            yield lambda steps: progress.advance(task, steps)

    def done(self, result: Mapping[str, object] | None = None) -> None:
        """End the command with its result; called once (RuntimeError after that)."""
        self._end({str(k): to_plain(v) for k, v in (result or {}).items()})

    def failed(self, message: str, code: str = "error") -> None:
        """End the command with an error: one for people on standard error, one for programs."""
        Console(stderr=True, highlight=False, soft_wrap=True).print(Text(f"{code}: {message}"))
        self._end({"error": {"code": code, "message": message}}, shown=True)

    def _end(self, result: dict[str, Any], shown: bool = False) -> None:
        if self._finished:
            raise RuntimeError("a command ends once")
        self._finished = True
        if self.json:
            sys.stdout.write(json_format.dumps(result) + "\n")
            sys.stdout.flush()
        elif not shown:
            for name, value in result.items():
                self.line(
                    f"{name}: {value if isinstance(value, str) else json_format.dumps(value)}"
                )


def to_plain(value: object) -> Any:
    """Return `value` as JSON has it: bytes as 0x hex, dataclasses as objects, the rest as text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: to_plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(item) for item in value]
    return str(value)
