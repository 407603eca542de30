"""An open-loop load: requests leave on time, however slowly answers come.

    python -m localnet.steady --url http://127.0.0.1:8080/v1 --key-file api_key --rate 2

Ends after --seconds, or by SIGTERM or Ctrl-C, with outcomes and latencies.
"""

import argparse
import asyncio
import signal
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from openai import AsyncOpenAI

from localnet.load import Load, Tally
from localnet.provision import MODEL
from node.output import Output

IN_FLIGHT_MAX = 256
REQUEST_S_MAX = 60.0
REPORT_EVERY_S = 30.0
LATENCIES_MAX = 100_000


@dataclass(slots=True)
class SteadyLoad:
    """`rate` requests a second; those that would be too many at once are not sent but counted."""

    load: Load
    rate: float
    tally: Tally = field(default_factory=Tally)
    latencies_s: list[float] = field(default_factory=list)
    in_flight: int = 0

    async def run(self, stop: asyncio.Event, say: Callable[[str], None]) -> None:
        """Send until `stop`, then wait for the answers still due."""
        began = reported = time.monotonic()
        number = 0
        async with (
            AsyncOpenAI(
                base_url=self.load.base_url, api_key=self.load.api_key,
                timeout=REQUEST_S_MAX, max_retries=0,  # each failure counts, and adds no request
            ) as client,
            asyncio.TaskGroup() as tasks,
        ):  # fmt: skip
            while not stop.is_set():
                await _sleep(stop, began + number / self.rate - time.monotonic())
                if self.in_flight < IN_FLIGHT_MAX:
                    self.in_flight += 1
                    tasks.create_task(self._send(client, number))
                else:
                    self.tally.outcomes["not sent"] += 1
                number += 1
                if time.monotonic() - reported > REPORT_EVERY_S:
                    reported = time.monotonic()
                    say(str(self.summary()))

    async def _send(self, client: AsyncOpenAI, number: int) -> None:
        began = time.monotonic()
        try:
            await self.load.send(client, self.tally, number)
        finally:
            self.in_flight -= 1
        if len(self.latencies_s) < LATENCIES_MAX:
            self.latencies_s.append(time.monotonic() - began)

    def take_latencies(self) -> list[float]:
        """The latencies since they were last taken, in seconds; they are kept no longer here."""
        taken, self.latencies_s = self.latencies_s, []
        return taken

    def summary(self) -> dict[str, object]:
        """Outcomes, tokens, and latency in milliseconds: median and 99th percentile."""
        result: dict[str, object] = {"outcomes": dict(self.tally.outcomes)}
        result["tokens"] = self.tally.tokens
        if self.latencies_s:
            result["p50_ms"], result["p99_ms"] = percentiles_ms(self.latencies_s)
        return result


def percentiles_ms(latencies_s: Sequence[float]) -> tuple[int, int]:
    """The median and the 99th percentile, in milliseconds; 0 of fewer than two."""
    if len(latencies_s) < 2:
        return 0, 0
    cuts = statistics.quantiles(latencies_s, n=100)
    return round(1000 * cuts[49]), round(1000 * cuts[98])


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    if seconds > 0:
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)


async def run(options: argparse.Namespace, output: Output) -> None:
    """Send the load that was asked for and print what came of it."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    if options.seconds:
        loop.call_later(options.seconds, stop.set)
    key = options.key_file.read_text().strip()
    steady = SteadyLoad(Load(options.url, key, options.model), options.rate)
    await steady.run(stop, output.line)
    output.done(steady.summary())


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="http://127.0.0.1:8080/v1")
    parser.add_argument("--key-file", type=Path, required=True, help="holds the API key")
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--rate", type=float, default=2.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=0.0, help="0: until stopped")
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    options = parser.parse_args()
    asyncio.run(run(options, Output(options.json)))


if __name__ == "__main__":
    main()
