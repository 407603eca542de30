"""Interactive answers beside batch ones at the embedded engine, and what batch keeps beside them.

A relay server over real sockets, and an engine in a process of its own, all of whose places batch
streams want, without end. Interactive streams come at random. Measured is how long these take to
their first token and their last, alone, beside batch that makes way (`service_tier` of `flex`), and
beside as much work that does not; and the tokens a second of each.

Run: python -m benchmarks.bench_batch --seconds 30
"""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.bench_scheduling import PATIENT, ROOMY
from benchmarks.measuring import percentile
from localnet.provision import MODEL_DIR
from node.http import ClientPool, run
from relay_mining import encode_request_header
from supplier.engines.capacity import read_capacity
from supplier.engines.engine import build_engine
from supplier.metrics import Metrics
from supplier.server.gate import Gate, Post
from supplier.server.scheduling import OutputPredictor
from supplier.server.services import compute_spec
from supplier.server.stations import Station, Stations
from supplier.settings import AdmissionSettings, EngineSettings
from tests.factories import SERVICE
from tests.supplier.market import CHAT, FakeMarket, RelayWorld, a_body, relay_world

SLOTS = 8
BATCH_STREAMS, BATCH_TOKENS = 12, 300
"""More streams than there are places, so that none is ever free."""
INTERACTIVE_TOKENS, INTERACTIVE_A_SECOND = 64, 2.0
NEVER_END = {"0": -100, "1": -100, "2": -100}
"""Forbids the special tokens, so that an answer goes on to its limit."""
RELAYS_OPEN_MAX = 256
WAIT_S_MAX = 250.0
WARM_S = 3.0
EVENT = b"data: {"


@dataclass(slots=True)
class Seen:
    """What came of one part of the load in one run."""

    first_s: list[float] = field(default_factory=list)
    whole_s: list[float] = field(default_factory=list)
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Load:
    """One run: whether interactive streams come, and what stands beside them."""

    name: str
    is_interactive: bool
    beside: str | None
    """The service tier of the streams without end; None without any."""


LOADS = (
    Load("interactive alone", True, None),
    Load("batch alone", False, "flex"),
    Load("interactive beside batch that makes way", True, "flex"),
    Load("interactive beside as much that does not", True, "default"),
)


@asynccontextmanager
async def served_by_engine(folder: Path) -> AsyncIterator[RelayWorld]:
    """A relay server before an embedded engine of `SLOTS` places."""
    settings = EngineSettings(model=str(MODEL_DIR), arguments=["--max-num-seqs", str(SLOTS)])
    spec = compute_spec(settings)
    capacity = read_capacity(settings, spec.task)
    admission = AdmissionSettings(wait_s_max=WAIT_S_MAX)
    gate = Gate(admission, Post("engine", capacity, RELAYS_OPEN_MAX), Metrics(), OutputPredictor())
    async with ClientPool() as pool, AsyncExitStack() as stack:
        engine = build_engine(settings, pool, spec)
        stack.push_async_callback(engine.stop)
        station = Station(
            "engine", gate, WAIT_S_MAX, capacity.takes_priorities, frozenset({SERVICE})
        )
        station.move(await engine.start())
        stations = Stations()
        stations.add(station)
        yield await stack.enter_async_context(
            relay_world(
                folder, market=FakeMarket(cap=10**24), credit=PATIENT, stations=stations,
                relays_open_max=RELAYS_OPEN_MAX,
            )
        )  # fmt: skip


async def stream(world: RelayWorld, tokens: int, tier: str) -> AsyncGenerator[int, None]:
    """How many events of an answer came, piece by piece."""
    body = a_body(
        max_tokens=tokens, stream=True, service_tier=tier, logit_bias=NEVER_END, model="lode-demo"
    )
    signed = world.sign(body, max_units=ROOMY)
    headers = [
        (b"content-type", b"application/json"),
        (b"lode-request", encode_request_header(signed).encode()),
    ]
    async with world.pool.stream(b"POST", world.url + CHAT.decode(), headers, body) as answer:
        assert answer.status == 200
        async for chunk in answer.chunks():
            yield chunk.count(EVENT)


async def ask(world: RelayWorld, seen: Seen) -> None:
    """One interactive stream."""
    began = time.monotonic()
    first = None
    async with aclosing(stream(world, INTERACTIVE_TOKENS, "default")) as parts:
        async for events in parts:
            if first is None and events:
                first = time.monotonic() - began
                seen.first_s.append(first)
    seen.whole_s.append(time.monotonic() - began)
    seen.tokens += INTERACTIVE_TOKENS


async def ask_on(world: RelayWorld, seen: Seen, tier: str) -> None:
    """One stream after another, without end."""
    while True:
        async with aclosing(stream(world, BATCH_TOKENS, tier)) as parts:
            async for events in parts:
                seen.tokens += events


async def measure(load: Load, seconds: float) -> tuple[Seen, Seen]:
    """What came of the interactive streams and of those beside them."""
    interactive, beside = Seen(), Seen()
    chance = random.Random(1)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        world = await stack.enter_async_context(served_by_engine(folder))
        await ask(world, Seen())
        tiers = [load.beside] * BATCH_STREAMS if load.beside else []
        endless = [asyncio.create_task(ask_on(world, beside, tier)) for tier in tiers]
        await asyncio.sleep(WARM_S)
        beside.tokens = 0
        until = time.monotonic() + seconds
        asked = []
        while load.is_interactive and time.monotonic() < until:
            asked.append(asyncio.create_task(ask(world, interactive)))
            await asyncio.sleep(chance.expovariate(INTERACTIVE_A_SECOND))
        await asyncio.sleep(until - time.monotonic())
        kept = Seen(tokens=beside.tokens)
        await asyncio.gather(*asked)
        for each in endless:
            each.cancel()
        await asyncio.gather(*endless, return_exceptions=True)
    return interactive, kept


def row(load: Load, seconds: float, interactive: Seen, beside: Seen) -> str:
    """One line of the table."""
    times = [
        f"{found:.3f}"
        for values in (interactive.first_s, interactive.whole_s)
        for found in (statistics.median(values), percentile(values, 0.99))
    ] if load.is_interactive else [""] * 4  # fmt: skip
    rates = [
        f"{seen.tokens / seconds:.0f}" if is_there else ""
        for seen, is_there in ((interactive, load.is_interactive), (beside, load.beside))
    ]
    return f"| {' | '.join([load.name, *times, *rates])} |"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="of each load")
    options = parser.parse_args()
    print(
        f"{SLOTS} places; {BATCH_STREAMS} streams of {BATCH_TOKENS} tokens without end; "
        f"{INTERACTIVE_A_SECOND:.0f} interactive streams a second of {INTERACTIVE_TOKENS}\n"
    )
    print(
        "| | first token, median s | p99 | whole, median s | p99 "
        "| interactive tokens/s | tokens/s beside |"
    )
    print("|---|---|---|---|---|---|---|")
    for load in LOADS:
        print(row(load, options.seconds, *run(measure(load, options.seconds))), flush=True)


if __name__ == "__main__":
    main()
