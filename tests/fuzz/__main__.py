"""Feed every parser and verifier: `python -m tests.fuzz --inputs 1000000 --seed 1`."""

from typing import Annotated

import typer

from node.output import Output
from tests.fuzz.run import TARGETS, fuzz


def main(
    inputs: Annotated[int, typer.Option(min=1, help="In all, shared evenly.")] = 1_000_000,
    seed: Annotated[int, typer.Option(help="Where every mutant starts.")] = 1,
    only: Annotated[str, typer.Option(help="Targets whose name holds this text.")] = "",
    json: Annotated[bool, typer.Option("--json", help="End with one JSON object.")] = False,
) -> None:
    """Feed mutants to every parser and verifier; fails where one breaks its contract."""
    output = Output(json)
    targets = [each for each in TARGETS if only in each.name]
    each_inputs = -(-inputs // len(targets))
    with output.progress("inputs", each_inputs * len(targets)) as advance:
        tallies = [fuzz(target, each_inputs, seed, advance) for target in targets]
    columns = ("target", "inputs", "accepted", "refused", "seconds", "contract")
    rows = [
        (each.name, f"{each.inputs:,}", f"{each.accepted:,}", f"{each.inputs - each.accepted:,}",
         f"{each.seconds:.0f}", "BROKEN" if each.failure else "kept")
        for each in tallies
    ]  # fmt: skip
    output.table("What became of the inputs", columns, rows)
    failures = [f"{each.name}: {each.failure}" for each in tallies if each.failure]
    for failure in failures:
        output.line(failure)
    total = sum(each.inputs for each in tallies)
    seconds = sum(each.seconds for each in tallies)
    output.done({"inputs": total, "failures": len(failures), "processor_s": round(seconds, 1)})
    if failures:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
