"""Run an experiment: tables on the screen, the same as CSV and plots as PNG in a folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from node.output import Output
from simulations.auctions import experiment as auctions
from simulations.auctions import table as promises
from simulations.credit import experiment as credit
from simulations.edge import experiment as edge
from simulations.mining.experiment import STEPS, run_relay_mining
from simulations.report import Report, print_report, write_page, write_report
from simulations.routing import experiment as routing
from simulations.scheduling import experiment as scheduling
from simulations.strategies import experiment as strategies

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)

Seed = Annotated[int, typer.Option(help="Where every random draw starts.")]
Trials = Annotated[int, typer.Option(min=2, help="Runs a row; more makes intervals narrower.")]
Out = Annotated[Path, typer.Option(help="Folder for CSV files and plots.")]
AsJson = Annotated[bool, typer.Option("--json", help="End with one JSON object.")]
Page = Annotated[Path | None, typer.Option(help="Write the tables as a page of the docs, too.")]
OUT = Path(".lode/simulations")


@dataclass(frozen=True, slots=True)
class Run:
    """One experiment as it was asked for: its command, its page's title, its numbers by option."""

    command: str
    title: str
    draws: Mapping[str, int]


def _publish(run: Run, report: Report, out: Path, page: Path | None, output: Output) -> None:
    """Show a report, write its files and, where asked for, its page."""
    print_report(report, output)
    written = write_report(report, out)
    if page:
        options = " ".join(f"--{name} {number}" for name, number in run.draws.items())
        command = f"python -m simulations {run.command} {options} --page {page}"
        write_page(report, run.title, command, page)
    output.done({**run.draws, "written": [str(path) for path in written]})


@app.callback()
def main() -> None:
    """Run an experiment: tables on the screen, CSV files and plots in a folder."""


@app.command("relay-mining")
def relay_mining(
    seed: Seed = 1,
    trials: Trials = 1_000,
    out: Out = OUT / "relay-mining",
    page: Page = None,
    json: AsJson = False,
) -> None:
    """Hold relay mining against its paper, and its defences against those they replace.

    Example: python -m simulations relay-mining --seed 7 --trials 2000
    """
    output = Output(json)
    with output.progress("relay mining", STEPS) as advance:
        report = run_relay_mining(seed, trials, advance)
    draws = {"seed": seed, "trials": trials}
    _publish(Run("relay-mining", "Relay mining, simulated", draws), report, out, page, output)


@app.command("credit")
def bounded_loss(
    seed: Seed = 1,
    trials: Trials = 200,
    out: Out = OUT / "credit",
    page: Page = None,
    json: AsJson = False,
) -> None:
    """Measure what gateways and suppliers that pick their moment can take.

    Example: python -m simulations credit --seed 7 --trials 500
    """
    output = Output(json)
    with output.progress("credit", credit.STEPS) as advance:
        report = credit.run_credit(seed, trials, advance)
    draws = {"seed": seed, "trials": trials}
    _publish(Run("credit", "Bounded loss, simulated", draws), report, out, page, output)


@app.command("pricing")
def pricing(
    seed: Seed = 1,
    trials: Trials = 1_000,
    out: Out = OUT / "pricing",
    page: Page = None,
    json: AsJson = False,
) -> None:
    """Draw markets under each auction: gains, price paths, what lies earn and what they cost.

    Example: python -m simulations pricing --seed 7 --trials 2000
    """
    output = Output(json)
    with output.progress("pricing", auctions.STEPS) as advance:
        report = auctions.run_pricing(seed, trials, advance)
    draws = {"seed": seed, "trials": trials}
    _publish(Run("pricing", "Pricing, simulated", draws), report, out, page, output)


@app.command("strategies")
def run_strategies(
    seed: Seed = 1,
    trials: Trials = 300,
    out: Out = OUT / "strategies",
    page: Page = None,
    json: AsJson = False,
) -> None:
    """Let one supplier and one buyer lie in epoch auctions, within an epoch and across several.

    Example: python -m simulations strategies --seed 7 --trials 1000
    """
    output = Output(json)
    with output.progress("strategies", strategies.STEPS) as advance:
        report = strategies.run_strategies(seed, trials, advance)
    draws = {"seed": seed, "trials": trials}
    _publish(
        Run("strategies", "Lies in epoch auctions, simulated", draws), report, out, page, output
    )


@app.command("edge")
def run_edge(
    seed: Seed = 1,
    trials: Trials = 200,
    out: Out = OUT / "edge",
    page: Page = None,
    json: AsJson = False,
) -> None:
    """Plan four known networks for crowds of devices, and sell the edge by each auction.

    Example: python -m simulations edge --seed 7 --trials 500
    """
    output = Output(json)
    with output.progress("edge", edge.STEPS) as advance:
        report = edge.run_edge(seed, trials, advance)
    draws = {"seed": seed, "trials": trials}
    _publish(Run("edge", "Edge inference, simulated", draws), report, out, page, output)


@app.command("pricing-properties")
def pricing_properties(
    seed: Seed = 1,
    books: Annotated[int, typer.Option(min=1, help="Random books a mechanism is tried on.")] = 60,
    out: Out = OUT / "pricing-properties",
    page: Page = None,
    json: AsJson = False,
) -> None:
    """Try every promise of every auction on random books and count where it fails.

    Example: python -m simulations pricing-properties --books 500
    """
    output = Output(json)
    with output.progress("promises", promises.STEPS) as advance:
        report = promises.run_promises(seed, books, advance)
    draws = {"seed": seed, "books": books}
    _publish(
        Run("pricing-properties", "What the auctions promise, tried", draws),
        report,
        out,
        page,
        output,
    )


@app.command("scheduling")
def run_scheduling(
    seed: Seed = 1,
    relays: Annotated[int, typer.Option(min=1_000, help="Relays of the stream.")] = 200_000,
    out: Out = OUT / "scheduling",
    page: Page = None,
    json: AsJson = False,
) -> None:
    """Serve short and long relays with few places: who waits under which rule.

    Example: python -m simulations scheduling --seed 7 --relays 500000
    """
    output = Output(json)
    with output.progress("scheduling", scheduling.STEPS) as advance:
        report = scheduling.run_scheduling(seed, relays, advance)
    draws = {"seed": seed, "relays": relays}
    _publish(
        Run("scheduling", "Waiting for an engine, simulated", draws), report, out, page, output
    )


@app.command("routing")
def run_routing(
    seed: Seed = 1,
    trials: Trials = 20,
    out: Out = OUT / "routing",
    page: Page = None,
    json: AsJson = False,
) -> None:
    """Choose suppliers by each of the gateway's policies: how soon, how dear, how evenly.

    Example: python -m simulations routing --seed 7 --trials 100
    """
    output = Output(json)
    with output.progress("routing", routing.STEPS) as advance:
        report = routing.run_routing(seed, trials, advance)
    draws = {"seed": seed, "trials": trials}
    _publish(Run("routing", "Choosing suppliers, simulated", draws), report, out, page, output)


if __name__ == "__main__":
    app()
