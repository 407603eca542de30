"""Suppliers with places, queues and prompt caches, and a gateway that chooses among them."""

import heapq
import math
import random
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gateway.routing.balancer import Candidate, Policy
from gateway.routing.observation import Observation, Result
from gateway.routing.prediction import Predictor, predict
from gateway.routing.router import RoutingRules
from relay_mining import Address, SessionKey

MODEL = "model"
SESSION = SessionKey(bytes(20), bytes(20), bytes(32), 0)
KIB, TOKENS = 1024, 100
LOAD, PLACES = 0.8, 8
OUTPUT_MAX = 4096
SIGMA = 0.8
"""Of the logarithm of an answer's tokens."""


@dataclass(frozen=True, slots=True)
class Supplier:
    """What one supplier asks and takes."""

    price: int = 100
    slowness: float = 1.0
    """Times `World.prefill_s` and `World.decode_s`."""
    later_slowness: float | None = None
    """From the middle of the stream on; None is the same."""


@dataclass(frozen=True, slots=True)
class World:
    """Suppliers, and the requests that come: Poisson arrivals, lognormal answers, Zipf's heads."""

    suppliers: tuple[Supplier, ...]
    load: float = LOAD
    """Of what all can do at first with empty caches, 0 to 1."""
    places: int = PLACES
    heads: int = 100_000
    """Prompts that begin differently; the n-th is asked for in proportion to 1 / n."""
    head_kib: float = 0.5
    own_kib: float = 1.0
    tokens_mean: float = 150.0
    cached_heads: int = 16
    """Heads that a supplier remembers, those used last."""
    prefill_s: float = 0.05
    """A KiB."""
    decode_s: float = 1.0
    """A hundred tokens."""

    @property
    def rate(self) -> float:
        """Requests a second."""
        kib, hundreds = self.head_kib + self.own_kib, self.tokens_mean / TOKENS
        takes = self.prefill_s * kib + self.decode_s * hundreds
        return self.load * sum(self.places / (takes * each.slowness) for each in self.suppliers)


@dataclass(frozen=True, slots=True)
class Job:
    """One request."""

    at: float
    head: int
    tokens: int
    is_late: bool
    """Whether it comes in the second half of the stream."""


@dataclass(frozen=True, slots=True)
class Served:
    """A request, by whom it was answered and how soon."""

    job: Job
    supplier: int
    latency_s: float
    is_hit: bool


@dataclass(slots=True)
class Engine:
    """One supplier at work: first come, first served."""

    supplier: Supplier
    places: list[float]
    """When each is free."""
    in_flight: int = 0
    cache: OrderedDict[int, None] = field(default_factory=OrderedDict)

    def serve(self, world: World, job: Job) -> tuple[float, float, bool]:
        """When its first token is there and when its last, and whether its head was cached."""
        is_hit = job.head in self.cache
        self.cache[job.head] = None
        self.cache.move_to_end(job.head)
        if len(self.cache) > world.cached_heads:
            self.cache.popitem(last=False)
        later = self.supplier.later_slowness
        slowness = later if job.is_late and later is not None else self.supplier.slowness
        prefill = world.prefill_s * (world.own_kib + (0 if is_hit else world.head_kib))
        first = max(job.at, heapq.heappop(self.places)) + slowness * prefill
        last = first + slowness * world.decode_s * job.tokens / TOKENS
        heapq.heappush(self.places, last)
        return first, last, is_hit


def draw_jobs(world: World, count: int, chance: random.Random) -> list[Job]:
    """A stream of requests."""
    weights = [1 / (each + 1) for each in range(world.heads)]
    heads = chance.choices(range(world.heads), weights, k=count)
    now, jobs = 0.0, []
    for number, head in enumerate(heads):
        now += chance.expovariate(world.rate)
        tokens = chance.lognormvariate(0.0, SIGMA) * world.tokens_mean / _lognormal_mean()
        jobs.append(Job(now, head, max(1, min(OUTPUT_MAX, round(tokens))), 2 * number >= count))
    return jobs


def _lognormal_mean() -> float:
    return math.exp(SIGMA**2 / 2)


def run(world: World, jobs: Sequence[Job], policy: Policy, chance: random.Random) -> list[Served]:
    """Serve all jobs, each where the policy says; it knows what the gateway's predictor learned."""
    engines = [Engine(each, [0.0] * world.places) for each in world.suppliers]
    predictor, served = Predictor(), list[Served]()
    ends: list[tuple[float, int, int, Observation]] = []
    for number, job in enumerate(jobs):
        for index, answer in _pop_until(ends, job.at):
            engines[index].in_flight -= 1
            predictor.observe(answer)
        index = _choose(world, engines, predictor, job, policy, chance)
        engine = engines[index]
        engine.in_flight += 1
        first, last, is_hit = engine.serve(world, job)
        seen = _observe(world, job, index, engine.in_flight, first, last)
        heapq.heappush(ends, (last, number, index, seen))
        served.append(Served(job, index, last - job.at, is_hit))
    return served


def _pop_until(
    ends: list[tuple[float, int, int, Observation]], now: float
) -> Iterator[tuple[int, Observation]]:
    while ends and ends[0][0] <= now:
        yield heapq.heappop(ends)[2:]


def _choose(
    world: World, engines: Sequence[Engine], predictor: Predictor, job: Job, policy: Policy,
    chance: random.Random,
) -> int:  # fmt: skip
    if chance.random() < RoutingRules().explore_share:
        return chance.randrange(len(engines))
    times, size = predictor.of(MODEL), _body_bytes(world)
    candidates = [
        Candidate(
            index, engine.in_flight, price=engine.supplier.price, supplier=address_of(index),
            seconds=predict(times, address_of(index), engine.in_flight + 1, size, OUTPUT_MAX),
        )
        for index, engine in enumerate(engines)
    ]  # fmt: skip
    return policy(candidates, b"%d" % job.head).index


def _observe(
    world: World, job: Job, index: int, in_flight: int, first: float, last: float
) -> Observation:
    return Observation(
        supplier=address_of(index), session=SESSION, model=MODEL, key_id="", result=Result.OK,
        is_stream=True, is_answer=True, latency_s=last - job.at, first_byte_s=first - job.at,
        output_tokens=job.tokens, in_flight=in_flight, body_bytes=_body_bytes(world),
    )  # fmt: skip


def _body_bytes(world: World) -> int:
    return round((world.head_kib + world.own_kib) * KIB)


def address_of(index: int) -> Address:
    """The address of a supplier."""
    return index.to_bytes(20, "big")
