"""A real network cut where the planner says: the parts together are the whole."""

import time
from dataclasses import replace
from math import prod
from pathlib import Path
from random import Random

import numpy as np
import pytest

import edge
from edge import (
    Convolution,
    Floats,
    MalformedActivationError,
    MultiExitNetwork,
    NoPlanError,
    infer,
    load_network,
    parse_answer,
    run_head,
    run_tail,
    save_network,
)
from edge.cli import measure_rates
from pricing import EdgeTask

MODEL = Path(__file__).parents[2] / "models" / "edge"
NETWORK = load_network(MODEL / "network.npz")
PROFILE = NETWORK.profile()
WAYS_OUT = range(len(NETWORK.branches))
SENSOR = EdgeTask(
    accuracy_ppm=NETWORK.branches[-1].accuracy_ppm,
    deadline_us=20_000,
    device_rate=1,
    uplink_bytes_s=100_000,
    round_trip_us=5_000,
)


def held_out() -> tuple[list[bytes], list[int]]:
    with np.load(MODEL / "held_out.npz") as file:
        return [image.tobytes() for image in file["pixels"]], file["labels"].tolist()


PIXELS, LABELS = held_out()


def tail(message: bytes) -> bytes:
    return run_tail(NETWORK, message)


def refuse(message: bytes) -> bytes:
    raise AssertionError("nothing was left for the edge")


@pytest.mark.parametrize("way_out", WAYS_OUT)
def test_cut_anywhere_the_answer_is_that_of_the_whole_network_bit_for_bit(way_out: int) -> None:
    for pixels in PIXELS[:60]:
        whole = NETWORK.run(pixels, way_out)
        for cut in range(len(NETWORK.layers(way_out))):
            answer = tail(run_head(NETWORK, way_out, cut, pixels))
            assert answer == whole.tobytes()
            assert parse_answer(NETWORK, way_out, answer).argmax() == whole.argmax()


@pytest.mark.parametrize("way_out", WAYS_OUT)
def test_every_exit_is_as_accurate_as_it_promises(way_out: int) -> None:
    """To one image: another processor may round a near tie the other way."""
    named = [int(NETWORK.run(pixels, way_out).argmax()) for pixels in PIXELS]
    right = sum(name == label for name, label in zip(named, LABELS, strict=True))
    promised = NETWORK.branches[way_out].accuracy_ppm * len(LABELS) / 10**6
    assert abs(right - promised) <= 1.001


def test_later_exits_are_more_accurate_and_cost_more() -> None:
    accuracies = [way_out.accuracy_ppm for way_out in PROFILE.exits]
    works = [sum(layer.work for layer in way_out.layers) for way_out in PROFILE.exits]

    assert accuracies == sorted(set(accuracies))
    assert works == sorted(set(works))
    assert accuracies[0] > 800_000


@pytest.mark.parametrize("way_out", WAYS_OUT)
def test_the_profile_says_what_is_sent_and_how_much_is_multiplied(way_out: int) -> None:
    layers = PROFILE.exits[way_out].layers
    for cut in range(1, len(layers)):
        message = run_head(NETWORK, way_out, cut, PIXELS[0])
        assert len(message) == 2 + layers[cut - 1].output
    assert len(run_head(NETWORK, way_out, 0, PIXELS[0])) == 2 + PROFILE.input_bytes
    for layer, real in zip(layers, NETWORK.layers(way_out), strict=True):
        dots = layer.output // 4
        assert layer.work == 2 * dots * len(real.weights)


def test_the_planner_runs_a_deadline_all_over_the_network() -> None:
    """From all at the edge to all on the device, every answer that of the uncut network."""
    rng = Random(1)
    cuts, exits = set(), set()
    for _ in range(400):
        task = replace(
            SENSOR,
            accuracy_ppm=rng.choice(PROFILE.exits).accuracy_ppm,
            deadline_us=rng.randint(6_000, 120_000),
            uplink_bytes_s=rng.choice((20_000, 100_000, 10**6)),
        )
        pixels = rng.choice(PIXELS)
        try:
            found = infer(NETWORK, task, pixels, tail)
        except NoPlanError:
            continue
        assert found.answer.tobytes() == NETWORK.run(pixels, found.plan.exit).tobytes()
        assert PROFILE.exits[found.plan.exit].accuracy_ppm >= task.accuracy_ppm
        assert found.plan.latency_us <= task.deadline_us
        assert found.label == int(found.answer.argmax())
        exits.add(found.plan.exit)
        cuts.add((found.plan.cut == 0, found.plan.edge_rate == 0))
    assert exits == set(WAYS_OUT)
    assert cuts == {(True, False), (False, False), (False, True)}


def test_a_machine_is_as_fast_as_its_clock_says_at_each_exit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a machine on which each convolution takes a millisecond, and nothing else takes time."""
    now = [0.0]

    class Ticking(Convolution):
        def run(self, batch: Floats) -> Floats:
            now[0] += 0.001
            return Convolution.run(self, batch)

    layers = [
        Ticking(each.weights, each.bias, each.stride) if isinstance(each, Convolution) else each
        for each in NETWORK.trunk
    ]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    rates = measure_rates(replace(NETWORK, trunk=tuple(layers)))
    works = [sum(layer.work for layer in way_out.layers) for way_out in PROFILE.exits]
    convolutions = [1, 2, 3]
    assert rates == [
        work // (1_000 * count) for work, count in zip(works, convolutions, strict=True)
    ]
    assert now[0] >= 0.5  # long enough to mean something


def test_a_task_with_time_stays_on_the_device() -> None:
    found = infer(NETWORK, replace(SENSOR, deadline_us=10**6), PIXELS[0], refuse)
    assert found.plan.edge_rate == 0


def test_a_task_nobody_can_serve_is_said_to_be_one() -> None:
    with pytest.raises(NoPlanError):
        infer(NETWORK, replace(SENSOR, accuracy_ppm=10**6 + 1), PIXELS[0], tail)
    with pytest.raises(NoPlanError):
        infer(NETWORK, replace(SENSOR, deadline_us=1), PIXELS[0], tail)


def test_wrong_messages_are_the_devices_fault() -> None:
    good = run_head(NETWORK, 2, 1, PIXELS[0])
    steps = len(NETWORK.layers(2))
    not_finite = good[:2] + np.float32("nan").tobytes() + good[6:]
    for bad in (
        b"",
        good[:1],
        good[:-1],
        good + b"\0",
        bytes((len(NETWORK.branches),)) + good[1:],
        bytes((2, steps)) + good[2:],
        bytes((2, 0)) + good[2:],
        not_finite,
    ):
        with pytest.raises(MalformedActivationError):
            tail(bad)


def test_wrong_inputs_and_answers_are_refused() -> None:
    with pytest.raises(ValueError, match="pixels"):
        NETWORK.run(PIXELS[0][:-1], 0)
    with pytest.raises(ValueError, match="answer"):
        infer(NETWORK, SENSOR, PIXELS[0], lambda message: b"")


def test_a_wrong_tail_is_seen_in_the_answer() -> None:
    """The tail decides: an edge that computes something else cannot return the same numbers."""
    first = NETWORK.trunk[0]
    other: MultiExitNetwork = replace(
        NETWORK, trunk=(replace(first, bias=first.bias + np.float32(0.5)), *NETWORK.trunk[1:])
    )
    message = run_head(NETWORK, 2, 0, PIXELS[0])
    assert run_tail(other, message) != tail(message)


def test_a_saved_network_is_the_same_again(tmp_path: Path) -> None:
    save_network(NETWORK, tmp_path / "network.npz")
    again = load_network(tmp_path / "network.npz")
    assert again.profile() == PROFILE
    for way_out in WAYS_OUT:
        assert again.run(PIXELS[1], way_out).tobytes() == NETWORK.run(PIXELS[1], way_out).tobytes()


def test_the_model_is_small_and_takes_images_of_the_data() -> None:
    assert (MODEL / "network.npz").stat().st_size < 200_000
    assert {len(pixels) for pixels in PIXELS} == {prod(NETWORK.input_shape)}
    assert len(PIXELS) == len(LABELS) >= 400


def test_all_names_of_the_door_exist_and_are_sorted() -> None:
    names = edge.__all__
    assert len(set(names)) == len(names)
    assert names == sorted(names, key=lambda n: (not n.isupper(), not n[0].isupper(), n))
    assert all(hasattr(edge, name) for name in names)
