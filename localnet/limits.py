"""What one machine's market holds, and what is busy when it holds no more.

    python -m localnet.limits --suppliers 3 --rates 5,10,20,40 --seconds 20

Each rate is an open loop of its own: requests leave on time, however slowly answers come. A rate is
held when all are sent and answered and the slowest hundredth takes less than `HELD_S`; the first
that is not ends the run.
"""

import argparse
import asyncio
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from localnet.load import Load
from localnet.market import LocalMarket, MarketPlan
from localnet.processes import Node
from localnet.provision import MODEL
from localnet.steady import SteadyLoad, percentiles_ms
from localnet.up import end
from localnet.vitals import processor_s
from node.output import Output

HELD_S = 5.0
STEP_COLUMNS = ["answered", "failed", "p50 ms", "p99 ms", "busy (processors)"]


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


async def measure(market: LocalMarket, rate: float, seconds: float) -> Step:
    """Load the market at one rate."""
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, stop.set)
    steady = SteadyLoad(Load(market.base_url, market.api_key, MODEL), rate)
    before, began = read_used(market), time.monotonic()
    await steady.run(stop, lambda line: None)
    busy = share_of_time(before, read_used(market), time.monotonic() - began)
    return judge(rate, steady.tally.outcomes, steady.latencies_s, busy)


def judge(
    rate: float, outcomes: Counter[str], latencies_s: Sequence[float], busy: dict[str, float]
) -> Step:
    """What came of a rate."""
    bad = {kind: n for kind, n in outcomes.items() if kind.startswith(("failed", "not sent"))}
    middle, slow = percentiles_ms(latencies_s)
    return Step(rate, outcomes.total() - sum(bad.values()), bad, middle, slow, busy)


def nodes_of(market: LocalMarket) -> list[Node]:
    """Chain, suppliers and gateway."""
    nodes = [market.chain.node, *(each.node for each in market.suppliers)]
    return [*nodes, *(each.node for each in market.gateways)]


def read_used(market: LocalMarket) -> dict[str, float]:
    """Seconds of processor time that each node has used, and this process, the load."""
    used = {each.name: processor_s(each) for each in nodes_of(market)}
    return used | {"load": time.process_time()}


def share_of_time(
    before: dict[str, float], after: dict[str, float], seconds: float
) -> dict[str, float]:
    """The processors that were busy between two readings."""
    return {name: round((used - before[name]) / seconds, 2) for name, used in after.items()}


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
    rows = [[f"{each.rate:g}", *show_step(each)] for each in steps]
    output.table("What is held", ["rate", *STEP_COLUMNS], rows)


def show_step(step: Step) -> list[object]:
    """The cells of a row, by `STEP_COLUMNS`."""
    busy = ", ".join(f"{name} {share}" for name, share in step.busy.items())
    return [step.answered, step.failed or "", step.p50_ms, step.p99_ms, busy]


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
