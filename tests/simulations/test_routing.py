"""The simulated suppliers against queueing theory, and what each policy is for."""

import math
import random
import statistics
from pathlib import Path

from typer.testing import CliRunner

from simulations.__main__ import app
from simulations.routing.experiment import ALIKE, POLICIES, SLOWER, WORLDS, blind, run_trials
from simulations.routing.world import SIGMA, Job, Supplier, World, draw_jobs, run

NO_PREFILL = World((Supplier(),), load=0.7, places=1, prefill_s=0.0)


def test_one_place_waits_as_pollaczek_and_khinchine_say() -> None:
    means = []
    for seed in range(8):
        chance = random.Random(seed)
        jobs = draw_jobs(NO_PREFILL, 60_000, chance)
        served = run(NO_PREFILL, jobs, blind(chance), chance)
        means.append(statistics.fmean(each.latency_s for each in served))

    takes = NO_PREFILL.tokens_mean / 100
    wait = NO_PREFILL.rate * takes**2 * math.exp(SIGMA**2) / (2 * (1 - NO_PREFILL.load))
    error = statistics.stdev(means) / len(means) ** 0.5
    assert abs(statistics.fmean(means) - wait - takes) < 4 * error
    assert error < 0.05 * wait


def test_a_head_that_is_remembered_is_not_read_again() -> None:
    world = World((Supplier(),), places=1, cached_heads=1, head_kib=10.0, own_kib=1.0)
    jobs = [Job(100.0 * at, head, 100, is_late=False) for at, head in enumerate([1, 1, 2, 1])]
    chance = random.Random(1)
    served = run(world, jobs, blind(chance), chance)

    assert [each.is_hit for each in served] == [False, True, False, False]
    assert [round(each.latency_s, 6) for each in served] == [1.55, 1.05, 1.55, 1.55]


def test_every_stream_is_the_same_for_all_and_again() -> None:
    world = World(ALIKE)
    one, same = (draw_jobs(world, 500, random.Random("1 0")) for _ in range(2))
    assert one == same
    assert run_trials(world, "weighted", 1, 2) == run_trials(world, "weighted", 1, 2)


def test_what_each_policy_is_for() -> None:
    found = {
        (place, policy): run_trials(WORLDS[place], policy, 5, 2)
        for place in ("the faster the dearer", "long prompts that begin alike", SLOWER)
        for policy in POLICIES
    }

    def mean(place: str, policy: str) -> float:
        return statistics.fmean(each.mean_s for each in found[place, policy])

    for policy in ("power_of_two", "weighted", "prefix"):
        assert mean(SLOWER, policy) < mean(SLOWER, "blind") / 2
        assert mean("the faster the dearer", policy) < mean("the faster the dearer", "blind") / 2
    long = "long prompts that begin alike"
    assert mean(long, "prefix") < 0.95 * min(
        mean(long, each) for each in POLICIES if each != "prefix"
    )
    assert min(each.hits for each in found[long, "prefix"]) > 0.8
    assert max(each.hits for each in found[long, "power_of_two"]) < 0.7


def test_the_command_writes_its_table(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    done = CliRunner().invoke(
        app, ["routing", "--trials", "2", "--out", str(tmp_path), "--page", str(page), "--json"]
    )
    assert done.exit_code == 0, done.output
    assert page.read_text().count("| prefix |") == len(WORLDS)
    assert (tmp_path / "policies.csv").exists()
