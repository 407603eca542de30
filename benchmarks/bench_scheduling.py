"""Who waits for the engine under each rule: in simulated time, and on a running relay server.

The same relays, drawn from a seed, are served twice under each rule of `simulations.scheduling`:
by the simulation, and by a relay server over real sockets, whose engine takes as long as each relay
is meant to and answers so much that the server predicts what the simulation's rule is told.

Run: python -m benchmarks.bench_scheduling --relays 1000 --plot slowdown.png
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import orjson

from benchmarks.bench_relay_servers import LAVISH
from node.http import Request, Response, run, serve
from relay_mining import Address
from simulations.report import Table
from simulations.scheduling.engine import Job, Served, draw_jobs
from simulations.scheduling.engine import run as simulate
from simulations.scheduling.experiment import ERROR, MIX, RULES, WARM_UP, plot, summarize
from supplier.metrics import Metrics
from supplier.server.gate import Gate, Post
from supplier.server.scheduling import OutputPredictor, WorkQueue
from supplier.server.stations import Station, Stations
from supplier.settings import AdmissionSettings
from tests.factories import SERVICE, WEIGHTS, a_session
from tests.supplier.market import UNKNOWN, FakeMarket, RelayWorld, a_body, relay_world

SHORT_S = 0.05
"""How long the engine takes for a short relay."""
PATIENCE_S = 280.0
PATIENT = replace(LAVISH, receipt_due_s=PATIENCE_S)
"""No receipts are sent, and none is missed."""
RELAYS_OPEN_MAX = 4096
ROOMY = 10**9
"""Units: more than any relay here takes."""


WAITS = ("short, mean", "short, p99", "long, mean", "long, p99", "longest", "Jain")


class Blind(OutputPredictor):
    """Predicts the same for all, with which a queue is first in, first out."""

    def predict(self, application: Address, output_max: int) -> int:
        """Nothing, whatever is asked for."""
        return 0


async def answer(request: Request) -> Response:
    """An engine's answer, after the seconds that the relay is meant to take (`user`)."""
    body = orjson.loads(request.body)
    await asyncio.sleep(float(body["user"]))
    usage = {"prompt_tokens": 5, "completion_tokens": body["max_tokens"] // 2}
    choice = {"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}
    return Response(200, orjson.dumps({"choices": [choice], "usage": usage}))


def stations_of(url: str, deficit: int | None, is_blind: bool) -> Stations:
    """The way to the engine, with as many places as the simulated one."""
    settings = AdmissionSettings(
        active_max=MIX.places, active_min=MIX.places, wait_s_max=PATIENCE_S,
        deficit_units=deficit or 0,
    )  # fmt: skip
    predictor = Blind() if is_blind else OutputPredictor()
    gate = Gate(settings, Post("engine", UNKNOWN, RELAYS_OPEN_MAX), Metrics(), predictor)
    station = Station("engine", gate, PATIENCE_S, services=frozenset({SERVICE}))
    station.move(url)
    stations = Stations()
    stations.add(station)
    return stations


async def serve_jobs(jobs: Sequence[Job], deficit: int | None, is_blind: bool) -> list[Served]:
    """Send every job when it is due, and say how long each waited."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        engine = await serve(answer)
        stack.push_async_callback(engine.close, 1)
        stations = stations_of(f"http://127.0.0.1:{engine.port}", deficit, is_blind)
        world = await stack.enter_async_context(
            relay_world(
                folder, market=FakeMarket(cap=10**24), credit=PATIENT, stations=stations,
                relays_open_max=RELAYS_OPEN_MAX,
            )
        )  # fmt: skip
        for each in (*MIX.short_applications, *MIX.long_applications):
            await ask(world, Job(each, 0, 0, 1000))  # opens its session
        began = time.monotonic()
        return await asyncio.gather(*(ask_in_time(world, job, began) for job in jobs))


async def ask_in_time(world: RelayWorld, job: Job, began: float) -> Served:
    """Send a job when it is due; the wait is all that the engine did not take."""
    due = began + job.arrives * SHORT_S
    await asyncio.sleep(due - time.monotonic())
    await ask(world, job)
    return Served(job, (time.monotonic() - due) / SHORT_S - job.takes)


async def ask(world: RelayWorld, job: Job) -> None:
    """Send a job; half of what it allows is predicted and answered, at the job's units."""
    body = a_body(max_tokens=2 * job.units // WEIGHTS.output, user=str(job.takes * SHORT_S))
    session = replace(a_session(), application=job.application)
    reply = await world.post(body, world.sign(body, session=session, max_units=ROOMY))
    assert reply.status == 200, reply.body


async def compare(jobs: Sequence[Job]) -> tuple[Table, dict[str, list[float]]]:
    """Both kinds under each rule: what was waited, and the slowdowns."""
    rows: list[tuple[str | float, ...]] = []
    slowdowns: dict[str, list[float]] = {}
    for rule, (deficit, is_blind) in RULES.items():
        simulated = simulate(jobs, MIX.places, WorkQueue(deficit), is_blind)
        real = await serve_jobs(jobs, deficit, is_blind)
        for where, served in (("simulated", simulated), ("relay server", real)):
            kept = [each for each in served if each.job.arrives > WARM_UP * jobs[-1].arrives]
            rows.append((rule, where, *summarize(kept)))
            slowdowns[f"{rule}, {where}"] = sorted(each.slowdown for each in kept)
    table = Table(
        "waits", "Waiting for the engine",
        ("rule", "where", *WAITS),
        tuple(rows),
        f"{len(jobs):,} relays, {MIX.long_share:.0%} of them {MIX.long_factor:.0f} times as long, "
        f"{MIX.places} places, load {MIX.load}; times in short relays, of {1000 * SHORT_S:.0f} ms "
        "on the relay server.",
    )  # fmt: skip
    return table, slowdowns


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--relays", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", type=Path, help="where to put the slowdowns, as PNG")
    options = parser.parse_args()
    jobs = draw_jobs(MIX, options.relays, ERROR, random.Random(options.seed))
    table, slowdowns = run(compare(jobs))
    print(table.to_markdown())
    if options.plot:
        plot(slowdowns).savefig(options.plot, dpi=150)


if __name__ == "__main__":
    main()
