"""Who is to be asked: the policies of `relays.policy`, and drawing blindly, in four worlds."""

import random
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from gateway.routing.affinity import prefix_affinity
from gateway.routing.balancer import Candidate, Policy, power_of_two
from gateway.routing.weighted import weighted
from simulations.report import Cell, Report, Table
from simulations.routing.world import LOAD, PLACES, Served, Supplier, World, draw_jobs, run

REQUESTS = 4_000
WARM_UP = 0.2
"""Of the requests, that are not counted."""
ALIKE = (Supplier(),) * 6
UNLIKE = (
    Supplier(50, 3.0), Supplier(60, 2.0), Supplier(80, 1.5), Supplier(100, 1.0), Supplier(100, 1.0),
    Supplier(160, 0.6),
)  # fmt: skip
SLOWER = "one turns four times as slow"
WORLDS: Mapping[str, World] = MappingProxyType({
    "alike": World(ALIKE),
    "the faster the dearer": World(UNLIKE),
    "long prompts that begin alike": World(ALIKE, heads=60, head_kib=24.0),
    SLOWER: World((*ALIKE[1:], Supplier(later_slowness=4.0)), 0.6),
})  # fmt: skip
POLICIES: Mapping[str, Callable[[random.Random], Policy]] = MappingProxyType({
    "blind": lambda chance: blind(chance),
    "power_of_two": power_of_two,
    "weighted": weighted,
    "prefix": lambda chance: prefix_affinity,
})  # fmt: skip
NOTE = (
    "{trials} streams a row, the same for every policy; "
    f"{REQUESTS:,} requests each, the first {WARM_UP:.0%} not counted. Six suppliers of "
    f"{PLACES} places, each with a queue; they get {LOAD:.0%} of what they can do with "
    f"empty caches, {WORLDS[SLOWER].load:.0%} where one turns slow, of which only the time after "
    "that counts. Times are to the last token. The price is of a token; suppliers that are alike "
    "ask 100. Hits are prompts whose beginning the supplier had cached. Busiest is the share of "
    "whoever was asked most. Policies, predictor and the share that is explored are the gateway's."
)
STEPS = len(WORLDS) * len(POLICIES)


def blind(chance: random.Random) -> Policy:
    """Draw evenly: what knowing nothing comes to."""

    def choose(candidates: Sequence[Candidate], head: bytes = b"") -> Candidate:
        return candidates[chance.randrange(len(candidates))]

    return choose


@dataclass(frozen=True, slots=True)
class Measured:
    """One stream under one policy; each is to be small but the hits."""

    mean_s: float
    p99_s: float
    price: float
    """Paid for a token, in the mean; a supplier alike asks 100."""
    hits: float
    """Share of the prompts whose head was cached."""
    busiest: float
    """Share of the requests that went to whom most did."""


def measure(world: World, served: Sequence[Served]) -> Measured:
    """What came of a stream after its beginning."""
    kept = served[int(WARM_UP * len(served)) :]
    if any(each.later_slowness is not None for each in world.suppliers):
        kept = [each for each in kept if each.job.is_late]
    times = sorted(each.latency_s for each in kept)
    tokens = sum(each.job.tokens for each in kept)
    paid = sum(world.suppliers[each.supplier].price * each.job.tokens for each in kept)
    return Measured(
        statistics.fmean(times),
        times[int(0.99 * len(times))],
        paid / tokens,
        sum(each.is_hit for each in kept) / len(kept),
        max(Counter(each.supplier for each in kept).values()) / len(kept),
    )


def run_trials(world: World, policy: str, seed: int, trials: int) -> list[Measured]:
    """So many streams; the n-th is the same for every policy."""
    found = []
    for trial in range(trials):
        jobs = draw_jobs(world, REQUESTS, random.Random(f"{seed} {trial}"))
        chance = random.Random(f"{seed} {trial} {policy}")
        found.append(measure(world, run(world, jobs, POLICIES[policy](chance), chance)))
    return found


def run_routing(seed: int, trials: int, advance: Callable[[int], None]) -> Report:
    """Every policy in every world; `advance` is called STEPS times."""
    rows = []
    for place, world in WORLDS.items():
        for policy in POLICIES:
            rows.append((place, policy, *summarize(run_trials(world, policy, seed, trials))))
            advance(1)
    table = Table(
        "policies", "Policies",
        ("suppliers", "policy", "mean s", "± 2 s.e.", "p99 s", "± 2 s.e.", "price", "hits %",
         "busiest %"),
        tuple(rows),
        NOTE.format(trials=trials),
    )  # fmt: skip
    return Report((table,))


def summarize(measured: Sequence[Measured]) -> tuple[Cell, ...]:
    """The means, of the times with two standard errors."""
    cells: list[Cell] = []
    for times in ([each.mean_s for each in measured], [each.p99_s for each in measured]):
        error = 2 * statistics.stdev(times) / len(times) ** 0.5
        cells += [statistics.fmean(times), error]
    cells.append(statistics.fmean(each.price for each in measured))
    for shares in ([each.hits for each in measured], [each.busiest for each in measured]):
        cells.append(100 * statistics.fmean(shares))
    return tuple(cells)
