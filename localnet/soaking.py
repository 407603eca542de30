"""Holding one rate against one market for minutes, and looking at its nodes meanwhile."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from localnet.growth import Growth, fit_growth
from localnet.limits import Step, judge, measure, nodes_of, read_used, share_of_time
from localnet.load import Load
from localnet.market import LocalMarket
from localnet.provision import MODEL
from localnet.steady import SteadyLoad
from localnet.vitals import Vitals, take_vitals
from node.output import Output

FIRST_RATE = 4.0
RATE_MAX = 1024.0
HALVINGS = 2
LOWER = 0.8
ATTEMPTS = 4
MINUTE_S = 60.0
LOOK_S = 2.0
STORIES_KEPT = 4096
"""Requests whose stories a gateway keeps in memory (its `server.requests_kept`)."""


@dataclass(slots=True)
class Watched:
    """All looks at one node, at seconds since the soak began."""

    settled_s: float = 0.0
    """When what is kept of so many requests was of so many, at the latest."""
    at_s: list[float] = field(default_factory=list)
    looks: list[Vitals] = field(default_factory=list)

    @property
    def memory(self) -> Growth | None:
        """How its memory grew, in bytes."""
        return self._growth(lambda look: look.resident_bytes)

    @property
    def files(self) -> Growth | None:
        """How its open descriptors grew."""
        return self._growth(lambda look: look.files)

    @property
    def grows(self) -> bool:
        """Whether either does, as far as this can be told."""
        return any(
            each is not None and each.verdict == "grows" for each in (self.memory, self.files)
        )

    def _growth(self, read: Callable[[Vitals], int]) -> Growth | None:
        looks = zip(self.at_s, self.looks, strict=True)
        return fit_growth([(at, read(look)) for at, look in looks], self.settled_s)


@dataclass(slots=True)
class Soak:
    """One rate held for minutes, or up to the one in which it was not."""

    rate: float
    minutes: list[Step] = field(default_factory=list)
    nodes: dict[str, Watched] = field(default_factory=dict)

    @property
    def is_held(self) -> bool:
        """Whether every minute so far was held."""
        return self.rate > 0 and all(each.is_held for each in self.minutes)


@dataclass(frozen=True, slots=True)
class Soaker:
    """Loads one market."""

    market: LocalMarket
    output: Output

    async def find_rate(self, seconds: float) -> float:
        """The highest rate held for so long, to a quarter of a doubling; 0 of none."""
        held, rate = 0.0, FIRST_RATE
        while rate <= RATE_MAX and await self._holds(rate, seconds):
            held, rate = rate, 2 * rate
        for _ in range(HALVINGS if held else 0):
            middle = (held + rate) / 2
            if await self._holds(middle, seconds):
                held = middle
            else:
                rate = middle
        return held

    async def soak(self, rate: float, minutes: float) -> list[Soak]:
        """Hold a rate, or lower ones until one is held; all that was tried, in this order."""
        tried: list[Soak] = []
        while not tried or (not tried[-1].is_held and len(tried) < ATTEMPTS):
            tried.append(await self._hold(rate, minutes))
            rate *= LOWER
        return tried

    async def _holds(self, rate: float, seconds: float) -> bool:
        step = await measure(self.market, rate, seconds)
        self.output.line(f"{rate:g} a second: {'held' if step.is_held else 'NOT held'}")
        return step.is_held

    async def _hold(self, rate: float, minutes: float) -> Soak:
        soak, stop = Soak(rate), asyncio.Event()
        load = SteadyLoad(Load(self.market.base_url, self.market.api_key, MODEL), rate)
        sending = asyncio.create_task(load.run(stop, lambda line: None))
        watching = asyncio.create_task(self._watch(soak))
        try:
            left_s = minutes * MINUTE_S
            while left_s > 0 and soak.is_held:
                soak.minutes.append(await self._measure_minute(load, min(left_s, MINUTE_S)))
                self.output.line(_say(len(soak.minutes), soak.minutes[-1]))
                left_s -= MINUTE_S
        finally:
            stop.set()
            await sending
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        return soak

    async def _measure_minute(self, load: SteadyLoad, seconds: float) -> Step:
        load.take_latencies()
        before, used, began = Counter(load.tally.outcomes), read_used(self.market), time.monotonic()
        await asyncio.sleep(seconds)
        busy = share_of_time(used, read_used(self.market), time.monotonic() - began)
        return judge(load.rate, load.tally.outcomes - before, load.take_latencies(), busy)

    async def _watch(self, soak: Soak) -> None:
        nodes, began = nodes_of(self.market), time.monotonic()
        while True:
            for each in nodes:
                look = await asyncio.to_thread(take_vitals, each)
                watched = soak.nodes.setdefault(each.name, Watched(STORIES_KEPT / soak.rate))
                watched.at_s.append(time.monotonic() - began)
                watched.looks.append(look)
            await asyncio.sleep(LOOK_S)


def _say(number: int, minute: Step) -> str:
    word = "held" if minute.is_held else "NOT held"
    return f"minute {number}: {minute.answered} answered, p99 {minute.p99_ms} ms, {word}"
