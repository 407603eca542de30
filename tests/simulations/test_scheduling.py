"""The simulated engine against queueing theory, and what the rules are for."""

import random
import statistics
from dataclasses import replace

import pytest

from simulations.scheduling.engine import Job, Mix, draw_jobs, run
from simulations.scheduling.experiment import MIX, jain, percentile, run_scheduling
from supplier.server.scheduling import WorkQueue

ONE = Mix((b"\x01" * 20,), (b"\x02" * 20,), 0.1, 20.0, places=1, load=0.7)


def waits(mix: Mix, count: int, seed: int, is_blind: bool = True) -> float:
    jobs = draw_jobs(mix, count, 0.0, random.Random(seed))
    served = run(jobs, mix.places, WorkQueue(None), is_blind)
    return statistics.fmean(each.waited for each in served)


def test_first_come_at_one_place_waits_as_pollaczek_and_khinchine_say() -> None:
    second_moment = 0.9 * 1 + 0.1 * 20**2
    rate = ONE.load / ONE.mean_takes
    expected = rate * second_moment / (2 * (1 - ONE.load))

    means = [waits(ONE, 100_000, seed) for seed in range(8)]

    error = statistics.stdev(means) / len(means) ** 0.5
    assert abs(statistics.fmean(means) - expected) < 4 * error
    assert error < 0.05 * expected


def test_jobs_are_served_whole_and_no_place_idles_while_somebody_waits() -> None:
    jobs = [Job(b"\x01" * 20, 0.0, 2.0, 2), Job(b"\x02" * 20, 0.5, 1.0, 1),
            Job(b"\x01" * 20, 0.6, 3.0, 3), Job(b"\x03" * 20, 1.0, 1.0, 1)]  # fmt: skip
    served = run(jobs, 1, WorkQueue(None), is_blind=False)

    assert [(each.job.arrives, each.waited) for each in served] == [
        (0.0, 0.0), (0.5, 1.5), (1.0, 2.0), (0.6, pytest.approx(3.4)),
    ]  # fmt: skip
    assert served[3].slowdown == pytest.approx(6.4 / 3)


def test_shortest_first_shortens_the_mean_and_the_deficit_the_worst() -> None:
    report = run_scheduling(seed=3, count=60_000)
    rows = {row[0]: row[1:] for row in report.tables[0].rows}
    first, shortest = rows["first come"], rows["shortest first"]
    fair = rows["shortest first, deficit 20,000"]

    assert shortest[0] < first[0] / 2  # the short ones' mean
    assert fair[0] < first[0] / 2
    assert fair[3] < 0.7 * shortest[3]  # the long ones' 99th percentile
    assert fair[4] < 0.7 * shortest[4]  # the longest wait


def test_measures() -> None:
    assert jain([1, 1, 1]) == pytest.approx(1)
    assert jain([1, 0, 0]) == pytest.approx(1 / 3)
    assert (percentile([3, 1, 2], 0.0), percentile([3, 1, 2], 0.99)) == (1, 3)
    assert draw_jobs(replace(MIX, long_share=0.0), 10, 1.0, random.Random(1))[0].takes == 1
