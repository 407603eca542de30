"""What a soak tells of what it saw."""

import random
import sys
from pathlib import Path

import pytest

from localnet.growth import BLOCKS, fit_growth
from localnet.limits import Step
from localnet.processes import Node, wait_until
from localnet.soak import node_rows, write_page
from localnet.soaking import Soak, Watched
from localnet.vitals import Vitals, take_vitals

MIB = 1 << 20
HELD = Step(8.0, 480, {}, 40, 300, {"gateway": 0.2})
CHILD = """
import sys, time
kept = [open(path) for path in [sys.executable] * 40]
ballast = b"x" * (64 << 20)
time.sleep(600)
"""
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])"


def looks(per_h: float, noise: float, seed: int, minutes: int = 20) -> list[tuple[float, float]]:
    chance = random.Random(seed)
    times = [2.0 * each for each in range(30 * minutes)]
    return [(at, 150 * MIB + at / 3600 * per_h + chance.gauss(0, noise)) for at in times]


def test_the_interval_holds_the_true_slope_as_often_as_it_says() -> None:
    found = [fit_growth(looks(5 * MIB, 2 * MIB, seed)) for seed in range(400)]
    inside = sum(each is not None and each.low <= 5 * MIB <= each.high for each in found)
    assert 0.92 * 400 < inside < 0.98 * 400


@pytest.mark.parametrize(
    ("per_h", "noise", "minutes", "verdict"),
    [
        (0.0, MIB, 20, "flat"),
        (-20.0 * MIB, MIB, 20, "flat"),
        (20.0 * MIB, MIB, 20, "grows"),
        (0.0, 8 * MIB, 3, "not told"),
    ],
)
def test_a_verdict(per_h: float, noise: float, minutes: int, verdict: str) -> None:
    growth = fit_growth(looks(per_h, noise, 3, minutes))
    assert growth is not None
    assert growth.verdict == verdict


def test_what_fills_in_the_first_quarter_is_no_growth() -> None:
    filling = [(float(at), float(min(at, 240))) for at in range(1000)]  # as descriptors do
    growth = fit_growth(filling)
    assert growth is not None
    assert (growth.per_h, growth.verdict) == (0.0, "flat")
    assert fit_growth(filling[: 2 * BLOCKS]) is None


def test_what_fills_until_a_known_time_is_no_growth() -> None:
    filling = [(float(at), float(min(at, 600))) for at in range(1000)]
    growth = fit_growth(filling)
    assert growth is not None
    assert growth.verdict == "grows"
    settled = fit_growth(filling, 600.0)
    assert settled is not None
    assert settled.per_h == 0.0
    assert fit_growth(filling, 1000.0) is None


def test_memory_and_descriptors_of_children_count(tmp_path: Path) -> None:
    node = Node.start("parent", [sys.executable, "-c", PARENT], tmp_path)
    try:
        wait_until(lambda: take_vitals(node).resident_bytes > 64 * MIB, "no memory is counted", 60)
        assert take_vitals(node).files >= 40
        before = take_vitals(node).disk_bytes
        (tmp_path / "parent" / "data").mkdir(parents=True)
        (tmp_path / "parent" / "data" / "log").write_bytes(b"x" * 1000)
        assert take_vitals(node).disk_bytes == before + 1000
    finally:
        node.stop()
    assert take_vitals(node).resident_bytes == 0


def test_a_minute_that_was_not_held_and_a_node_that_grows_are_told() -> None:
    slow = Step(8.0, 480, {}, 40, 5000, {"gateway": 0.2})
    leak = Watched(
        0.0,
        [each[0] for each in looks(0, 0, 1)],
        [Vitals(int(value), 20, 10) for _, value in looks(30 * MIB, MIB, 1)],
    )
    soak = Soak(8.0, [HELD, slow], {"gateway": leak})
    assert leak.grows
    assert not soak.is_held
    assert Soak(8.0, [HELD]).is_held
    assert not Soak(0.0).is_held
    ((name, _, slope, verdict, *_),) = node_rows(soak)
    assert (name, verdict) == ("gateway", "grows")
    assert str(slope).startswith("+")
    page = write_page(soak, {"requests": 960, "in_flight": 0}, 3, 2.0, 8.0)
    assert "**It was not held.**" in page
    assert "960 requests, 0 in flight" in page
    assert "--minutes 2 --page docs/soak.md --rate 8`" in page
