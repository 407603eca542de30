"""What one machine's market holds, and what is busy when it holds no more.

    python -m localnet.limits --suppliers 3 --rates 5,10,20,40 --seconds 20

Each rate is an open loop of its own: requests leave on time, however slowly answers come. A rate is
held when all are sent and answered and the slowest hundredth takes less than `HELD_S`; the first
that is not ends the run.
"""

import argparse
import asyncio
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from localnet.load import Load
from localnet.market import LocalMarket, MarketPlan
from localnet.processes import Node
from localnet.provision import MODEL
from localnet.steady import SteadyLoad
from localnet.up import end
from node.output import Output

HELD_S = 5.0
TICKS_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Step:
    """One rate: what came of it, and the processor time it took, in seconds a second."""

    rate: float
    answered: int
    failed: dict[str, int]
    p50_ms: int
    p99_ms: int
    busy: dict[str, float]

    @property
    def is_held(self) -> bool:
        """Whether the market keeps up with it."""
        return not self.failed and self.p99_ms < HELD_S * 1000


def processor_s(node: Node) -> float:
    """What a node has used of a processor since it started, its living descendants included."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        process = int(path.parent.name)
        parents[process] = int(fields[1])
        ticks[process] = int(fields[11]) + int(fields[12])
    family = {node.process.pid}
    while children := {each for each, parent in parents.items() if parent in family} - family:
        family |= children
    return sum(ticks.get(each, 0) for each in family) / TICKS_S


async def measure(market: LocalMarket, rate: float, seconds: float) -> Step:
    """Load the market at one rate."""
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, stop.set)
    steady = SteadyLoad(Load(market.base_url, market.api_key, MODEL), rate)
    before, began, own = _used(market), time.monotonic(), time.process_time()
    await steady.run(stop, lambda line: None)
    took = time.monotonic() - began
    after = _used(market) | {"load": time.process_time() - own}
    busy = {name: round((used - before.get(name, 0.0)) / took, 2) for name, used in after.items()}
    outcomes = steady.tally.outcomes
    bad = {kind: n for kind, n in outcomes.items() if kind.startswith(("failed", "not sent"))}
    middle, slow = steady.percentiles_ms()
    return Step(rate, outcomes.total() - sum(bad.values()), bad, middle, slow, busy)


def _used(market: LocalMarket) -> dict[str, float]:
    nodes = [market.chain.node, *(each.node for each in market.suppliers)]
    if market.gateway is not None:
        nodes.append(market.gateway)
    return {each.name: processor_s(each) for each in nodes}


async def climb(
    market: LocalMarket, rates: list[float], seconds: float, output: Output
) -> list[Step]:
    """Every rate up to the first that is not held."""
    steps: list[Step] = []
    for rate in rates:
        steps.append(await measure(market, rate, seconds))
        output.line(f"{rate:g} a second: {'held' if steps[-1].is_held else 'NOT held'}")
        if not steps[-1].is_held:
            break
    return steps


def show(output: Output, steps: list[Step]) -> None:
    """A row for each rate."""
    columns = ["rate", "answered", "failed", "p50 ms", "p99 ms", "busy (processors)"]
    rows = [
        [f"{each.rate:g}", each.answered, each.failed or "", each.p50_ms, each.p99_ms,
         ", ".join(f"{name} {share}" for name, share in each.busy.items())]
        for each in steps
    ]  # fmt: skip
    output.table("What is held", columns, rows)


def main() -> None:
    """Start a market, and load it until it does not keep up."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suppliers", type=int, default=3)
    parser.add_argument("--rates", default="2,4,8,16,32,64,128", help="requests a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each rate")
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    options = parser.parse_args()
    output = Output(options.json)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    rates = [float(each) for each in options.rates.split(",")]
    with LocalMarket.start(MarketPlan(suppliers=options.suppliers), output.line) as market:
        steps = asyncio.run(climb(market, rates, options.seconds, output))
    show(output, steps)
    output.done({"steps": [asdict(each) for each in steps]} if options.json else None)


if __name__ == "__main__":
    main()
