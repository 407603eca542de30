"""A market of tails: devices plan, cut and buy; two suppliers serve, claim and are paid.

The network is the committed one, widened by filters that find nothing: it names the same digits,
and takes a device of 1 MFLOP/s so long that a relay on a busy machine is still worth its while.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from edge import (
    DeviceNetwork,
    EdgeClient,
    RefusedError,
    WrongNetworkError,
    load_network,
    save_network,
)
from localnet import LocalMarket, MarketPlan
from localnet.market import EnginePlan
from localnet.processes import ROOT, module, wait_until
from pricing import EdgeTask
from tests.edge.widening import widen

pytestmark = [
    pytest.mark.e2e, pytest.mark.long, pytest.mark.anvil, pytest.mark.xdist_group("edge"),
    pytest.mark.timeout(600),
]  # fmt: skip
COMMITTED = ROOT / "models" / "edge"
NAME = "lode-edge"
FILTERS = 80
NETWORK = widen(load_network(COMMITTED / "network.npz"), FILTERS)
TASK = EdgeTask(
    accuracy_ppm=980_000,
    deadline_us=1_500_000,
    device_rate=1,
    uplink_bytes_s=1_000_000,
    round_trip_us=1_000,
)
"""What the device alone would take 2.4 s for."""
INFERENCES = 40
BID = 100_000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wide")
    save_network(NETWORK, directory / "network.npz")
    shutil.copy(COMMITTED / "config.json", directory)
    return directory


@pytest.fixture(scope="module")
def market(model: Path) -> Iterator[LocalMarket]:
    plan = MarketPlan(suppliers=2, engines=(EnginePlan(model=model, name=NAME),))
    with LocalMarket.start(plan) as running:
        yield running


@pytest.fixture(scope="module")
def held_out() -> tuple[list[bytes], list[int]]:
    with np.load(COMMITTED / "held_out.npz") as file:
        return [image.tobytes() for image in file["pixels"]], file["labels"].tolist()


def a_client(market: LocalMarket, model: Path) -> EdgeClient:
    network = DeviceNetwork.load(model / "network.npz")
    return EdgeClient(market.base_url, market.api_key, NAME, network)


def test_every_answer_is_the_uncut_networks_within_the_latency_that_was_predicted(
    market: LocalMarket, model: Path, held_out: tuple[list[bytes], list[int]]
) -> None:
    late: list[int] = []
    right = expected = paid = 0
    with a_client(market, model) as client:
        for image, label in zip(*(each[:INFERENCES] for each in held_out), strict=True):
            plan = client.plan(TASK, BID)
            assert plan.edge_rate > 0
            assert plan.latency_us <= TASK.deadline_us
            found = client.infer(plan, image)
            whole = NETWORK.run(image, plan.exit)
            assert np.float32(found.answer.logits).tobytes() == whole.tobytes()
            late.append(found.took_us - plan.latency_us)
            right += found.answer.label == label
            expected += int(whole.argmax()) == label
            paid += plan.price
    assert max(late) <= 0
    assert right == expected
    assert paid > 0


def test_tails_are_claimed_and_paid_like_any_relay(market: LocalMarket) -> None:
    def paid() -> int:
        return sum(market.supplier_status(each)["totals"]["paid"] for each in market.suppliers)

    wait_until(lambda: paid() > 0, "no claim was paid", 120.0, 1.0)
    status = market.run_gateway("status")
    total = status["total"]
    assert total["overclaims"] == 0
    assert total["units_receipted"] == total["units_served"] > 0


def test_an_impossible_deadline_and_a_wrong_network_are_refused_in_words(
    market: LocalMarket, model: Path, tmp_path: Path
) -> None:
    with a_client(market, model) as client:
        with pytest.raises(RefusedError, match="round trip") as caught:
            client.plan(EdgeTask(980_000, 10_000, 1, 10**6, 9_000), BID)
        assert (caught.value.status, caught.value.code) == (400, "no_plan")
    other = tmp_path / "other.npz"
    save_network(replace(NETWORK, branches=NETWORK.branches[:2]), other)
    network = DeviceNetwork.load(other)
    with (
        EdgeClient(market.base_url, market.api_key, NAME, network) as client,
        pytest.raises(WrongNetworkError),
    ):
        client.plan(EdgeTask(800_000, 10**6, 1, 10**6, 0), BID)
    with (
        EdgeClient(market.base_url, "lode_sk_none", NAME, network) as client,
        pytest.raises(RefusedError, match="key"),
    ):
        client.plan(TASK, BID)


def test_the_command_line_names_digits(market: LocalMarket, model: Path) -> None:
    argv = module(
        "edge", "infer", str(COMMITTED / "held_out.npz"), "--count", "5",
        "--network", str(model / "network.npz"), "--url", market.base_url, "--model", NAME,
        "--accuracy-ppm", "980000", "--deadline-us", str(TASK.deadline_us), "--bid", str(BID),
        "--json",
    )  # fmt: skip
    environment = {**os.environ, "EDGE_API_KEY": market.api_key}
    done = subprocess.run(
        argv, capture_output=True, timeout=120, check=False, cwd=ROOT, env=environment
    )
    assert done.returncode == 0, done.stderr.decode()
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert len(said["answers"]) == said["labelled"] == said["in_time"] == 5
    assert said["right"] >= 4
    assert said["paid"] == sum(each["plan"]["price"] for each in said["answers"]) > 0


def test_the_model_is_listed_with_its_network(market: LocalMarket) -> None:
    headers = {"authorization": f"Bearer {market.api_key}"}
    (listed,) = httpx.get(f"{market.base_url}/models", headers=headers).json()["data"]
    assert listed["id"] == NAME
    assert listed["capabilities"] == ["edge.plan", "edge.infer"]
    assert [each["accuracy_ppm"] for each in listed["edge"]["network"]["exits"]] == [
        branch.accuracy_ppm for branch in NETWORK.branches
    ]
