"""An engine of a few places and the supplier's own queue before it, in simulated time."""

import heapq
import random
from collections.abc import Iterable
from dataclasses import dataclass

from relay_mining import Address
from supplier.server.scheduling import Priority, Work, WorkQueue


@dataclass(frozen=True, slots=True)
class Job:
    """One relay: when it comes, how long the engine takes, and how much is predicted."""

    application: Address
    arrives: float
    takes: float
    units: int


@dataclass(frozen=True, slots=True)
class Served:
    """A job and how long it waited."""

    job: Job
    waited: float

    @property
    def slowdown(self) -> float:
        """Time from arrival to end, in times the engine takes."""
        return (self.waited + self.job.takes) / self.job.takes


@dataclass(frozen=True, slots=True)
class Mix:
    """Traffic: short relays and long ones, each kind from applications of its own."""

    short_applications: tuple[Address, ...]
    long_applications: tuple[Address, ...]
    long_share: float
    long_factor: float
    places: int
    load: float
    """Of the places, 0 to 1."""

    @property
    def mean_takes(self) -> float:
        """Mean time in the engine; a short one takes 1."""
        return 1 - self.long_share + self.long_share * self.long_factor


def draw_jobs(mix: Mix, count: int, error: float, chance: random.Random) -> list[Job]:
    """`count` jobs of Poisson arrivals; predictions are off by up to a factor of `1 + error`."""
    rate = mix.load * mix.places / mix.mean_takes
    now, jobs = 0.0, []
    for _ in range(count):
        now += chance.expovariate(rate)
        is_long = chance.random() < mix.long_share
        senders = mix.long_applications if is_long else mix.short_applications
        takes = mix.long_factor if is_long else 1.0
        off = (1 + error) ** chance.uniform(-1, 1)
        jobs.append(Job(chance.choice(senders), now, takes, round(1000 * takes * off)))
    return jobs


def run(jobs: Iterable[Job], places: int, queue: WorkQueue, is_blind: bool) -> list[Served]:
    """Serve every job in the queue's order; `is_blind` hides what is predicted: first come."""
    arrivals = sorted(jobs, key=lambda each: each.arrives)
    ends: list[float] = []
    waiting: dict[int, Job] = {}
    served: list[Served] = []

    def start(job: Job, now: float) -> None:
        served.append(Served(job, now - job.arrives))
        heapq.heappush(ends, now + job.takes)

    def finish_until(now: float) -> None:
        while ends and ends[0] <= now:
            ended = heapq.heappop(ends)
            if (ticket := queue.pop()) is not None:
                start(waiting.pop(ticket.number), ended)

    for job in arrivals:
        finish_until(job.arrives)
        if len(ends) < places:
            start(job, job.arrives)
        else:
            units = 0 if is_blind else job.units
            ticket = queue.push(Work(job.application, Priority.INTERACTIVE, units))
            waiting[ticket.number] = job
    finish_until(float("inf"))
    return served
