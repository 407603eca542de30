"""What the gateway's benchmark found: a table for each way of asking, a plot over all."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from benchmarks.instant_supplier import CHUNKS
from simulations.report import Table

COLUMNS = (
    "", "requests/s", "gateway / it", "p50 ms", "added", "p99 ms", "added", "CPU a request, µs",
    "of helpers", "CPU a chunk, µs", "memory, MB",
)  # fmt: skip
UNMEASURED = "-"


@dataclass(frozen=True, slots=True)
class Figures:
    """One round of one cell; times in milliseconds, processor time in microseconds a request."""

    rate: float
    p50: float
    p99: float
    own_cpu: float
    cpu: float
    """Including what it has started."""
    memory_mb: float


def median_of(rounds: Sequence[Figures]) -> Figures:
    """The median of every figure."""
    return Figures(
        *(statistics.median(getattr(each, name) for each in rounds) for name in Figures.__slots__)
    )


def tabulate(title: str, is_stream: bool, found: Mapping[str, Figures]) -> Table:
    """One cell, a row for each contestant; the first is nobody between client and upstream."""
    rows = tuple(_row(name, each, is_stream, found) for name, each in found.items())
    return Table(title.replace(", ", "-").replace(" ", "-"), title, COLUMNS, rows)


def _row(
    name: str, each: Figures, is_stream: bool, found: Mapping[str, Figures]
) -> tuple[str, ...]:
    direct, ours = found["direct"], found["gateway"]
    shown = [
        name, f"{each.rate:,.0f}", f"{ours.rate / each.rate:.2f}", f"{each.p50:.2f}",
        f"{each.p50 - direct.p50:.2f}", f"{each.p99:.2f}", f"{each.p99 - direct.p99:.2f}",
    ]  # fmt: skip
    if not each.own_cpu:
        return (*shown, *[UNMEASURED] * (len(COLUMNS) - len(shown)))
    chunk = f"{each.own_cpu / CHUNKS:.1f}" if is_stream else UNMEASURED
    used = (f"{each.own_cpu:,.0f}", f"{max(0.0, each.cpu - each.own_cpu):,.0f}")
    return (*shown, *used, chunk, f"{each.memory_mb:.0f}")


def plot(panels: Mapping[str, Mapping[str, Mapping[str, Figures]]]) -> Figure:
    """Requests a second by contestant: a panel for each kind, a group of bars for each cell."""
    figure = Figure(figsize=(10, 3.5 * len(panels)), layout="constrained")
    every = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for axes, (kind, cells) in zip(every, panels.items(), strict=True):
        names = list(next(iter(cells.values())))
        width = 1 / (len(names) + 1)
        for place, name in enumerate(names):
            rates = [found[name].rate for found in cells.values()]
            axes.bar([at + place * width for at in range(len(cells))], rates, width, label=name)
        axes.set_xticks([at + width * (len(names) - 1) / 2 for at in range(len(cells))], [*cells])
        axes.set_yscale("log")
        axes.set_ylabel(f"{kind}: requests/s")
    every[0].legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize="small", ncols=6)
    return figure
