"""Requests through the gateway against what one would put in its place, in the same run.

One contestant at a time has a core to itself; the upstream (an instant engine that signs where a
relay asks it to), the clients and the gateway's recount worker share the others. Every cell is
measured in several rounds that go through the contestants in turn; shown are medians. "added" is
a latency less that of clients asking the upstream itself, unsigned: what the supplier's
cryptography takes counts as added by the gateway.

    python -m benchmarks.bench_gateway           direct, gateway (and dialled in), FastAPI + httpx
    python -m benchmarks.bench_gateway --all     LiteLLM and sglang-router too, every cell
    make bench-gateway ARGS="--page docs/gateway-speed.md"
"""

import argparse
import multiprocessing
import statistics
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import orjson

from benchmarks.contestants import OURS, Contestant, Start, installed_rivals
from benchmarks.gateway_report import Figures, median_of, plot, tabulate
from benchmarks.instant_supplier import CHUNKS, PACED, serve_supplier
from benchmarks.measuring import (
    Target,
    descendants,
    load,
    percentile,
    pin,
    processor_s,
    resident_mb,
    split_cores,
)
from node.http import run
from simulations.report import Report, Table, write_page
from tests.gateway.harness import MODEL

WARM_S = 0.5
WORDS = "What is the capital of Japan? "


@dataclass(frozen=True, slots=True)
class Cell:
    """One way of asking."""

    kind: str
    """`plain`, `stream` (as fast as it goes) or `paced` (a hundred chunks a second)."""
    tokens: int
    concurrency: int

    def __str__(self) -> str:
        return f"{self.kind}, {self.tokens} tokens, {self.concurrency} in flight"

    def body(self) -> bytes:
        """The request; a token of text is about four bytes."""
        content = (WORDS * (self.tokens // 7 + 1))[: 4 * self.tokens] if self.tokens > 30 else WORDS
        if self.kind == "paced":
            content = PACED + content
        members = {
            "model": MODEL,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": 256,
            "stream": self.kind != "plain",
        }
        return orjson.dumps(members)


def quick_cells() -> list[Cell]:
    """What `make bench` asks."""
    return [Cell("plain", 30, 1), Cell("plain", 30, 32), Cell("stream", 30, 32)]


def all_cells() -> list[Cell]:
    """What `make bench-gateway` asks."""
    cells = [
        Cell(kind, tokens, concurrency)
        for kind in ("plain", "stream")
        for tokens in (30, 600)
        for concurrency in (1, 32, 128)
    ]
    return [*cells, Cell("paced", 30, 128)]


def measure(contestant: Contestant, cell: Cell, seconds: float) -> Figures:
    """One round."""
    headers = (
        (b"authorization", b"Bearer " + contestant.key.encode()),
        (b"content-type", b"application/json"),
    )
    target = Target(contestant.url, headers, cell.body(), cell.kind != "plain")
    run(load(target, cell.concurrency, WARM_S))
    own = [contestant.pid] if contestant.pid is not None else []
    every = descendants(own[0]) if own else []
    before = processor_s(own), processor_s(every)
    latencies = run(load(target, cell.concurrency, seconds))
    after = processor_s(own), processor_s(every)
    return Figures(
        rate=len(latencies) / max(seconds, latencies[-1]),
        p50=statistics.median(latencies) * 1e3,
        p99=percentile(latencies, 0.99) * 1e3,
        own_cpu=(after[0] - before[0]) / len(latencies) * 1e6,
        cpu=(after[1] - before[1]) / len(latencies) * 1e6,
        memory_mb=resident_mb(every),
    )


def compete(
    starts: dict[str, Start], cells: list[Cell], rounds: int, seconds: float
) -> dict[Cell, dict[str, Figures]]:
    """Start everything, measure every cell in turns, print; the medians."""
    core, others = split_cores()
    print(f"contestant on core {core}; upstream, clients, recount worker on {sorted(others)}")
    print(f"medians of {rounds} rounds of {seconds:g} s; {CHUNKS} chunks a stream", flush=True)
    spawn = multiprocessing.get_context("spawn")
    pipe, there = spawn.Pipe()
    supplier = spawn.Process(target=serve_supplier, args=(there, others), daemon=True)
    supplier.start()
    upstream = pipe.recv()
    with ExitStack() as stack:
        stack.callback(supplier.kill)
        running = {}
        for name, start in starts.items():
            try:
                running[name] = stack.enter_context(start(upstream, core, others))
            except TimeoutError as error:
                print(f"{name}: left out, {error}", flush=True)
        pin(others)
        medians = {}
        for cell in cells:
            taken: dict[str, list[Figures]] = {name: [] for name in running}
            for _ in range(rounds):
                for name, contestant in running.items():
                    taken[name].append(measure(contestant, cell, seconds))
            medians[cell] = {name: median_of(each) for name, each in taken.items()}
            print("\n" + table_of(cell, medians[cell]).to_markdown(), end="", flush=True)
    return medians


def table_of(cell: Cell, found: dict[str, Figures]) -> Table:
    """What one cell came to."""
    return tabulate(str(cell), cell.kind != "plain", found)


def write(medians: dict[Cell, dict[str, Figures]], page: Path, command: str) -> None:
    """Write all tables as a page, and the plot among the images beside it."""
    panels: dict[str, dict[str, dict[str, Figures]]] = defaultdict(dict)
    for cell, found in medians.items():
        if cell.kind != "paced":
            panels[cell.kind][f"{cell.tokens} tokens,\n{cell.concurrency} in flight"] = found
    report = Report(tuple(table_of(cell, found) for cell, found in medians.items()))
    write_page(report, "The gateway beside others", command, page)
    images = page.parent / "images"
    images.mkdir(exist_ok=True)
    plot(panels).savefig(images / f"{page.stem}.png", dpi=110)


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--all", action="store_true", help="rivals from PyPI too, every cell")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--page", type=Path, help="write the tables to this file, a plot beside it")
    options = parser.parse_args()
    starts = {**OURS, **installed_rivals()} if options.all else OURS
    cells = all_cells() if options.all else quick_cells()
    medians = compete(starts, cells, options.rounds, options.seconds)
    if options.page:
        arguments = f"--rounds {options.rounds} --seconds {options.seconds:g} --page {options.page}"
        write(medians, options.page, f'make bench-gateway ARGS="{arguments}"')


if __name__ == "__main__":
    main()
