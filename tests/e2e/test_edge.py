"""A market of tails: devices plan, cut and buy; two suppliers serve, claim and are paid.

The network is the committed one, widened by filters that find nothing: it names the same digits,
and is work enough that its time counts beside a relay's. What the suppliers list, and the device
says of itself, is what this machine was measured at.
"""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from threading import Barrier
from typing import Any

import httpx
import numpy as np
import pytest

from contracts import Market, read_claims
from edge import (
    DeviceAnswer,
    DeviceNetwork,
    DevicePlan,
    EdgeClient,
    RefusedError,
    WrongNetworkError,
    load_network,
    save_network,
)
from localnet import LocalMarket, MarketPlan
from localnet.processes import ROOT, module, wait_until
from localnet.provision import TOKEN, EnginePlan, Terms, add_lines
from pricing import EdgeTask
from relay_mining import Claim
from tests.edge.widening import widen

pytestmark = [
    pytest.mark.e2e, pytest.mark.long, pytest.mark.anvil, pytest.mark.xdist_group("edge"),
    pytest.mark.timeout(600),
]  # fmt: skip
COMMITTED = ROOT / "models" / "edge"
NAME = "lode-edge"
FILTERS = 640
NETWORK = widen(load_network(COMMITTED / "network.npz"), FILTERS)
LAST = len(NETWORK.branches) - 1
WORK = sum(layer.work for layer in NETWORK.profile().exits[LAST].layers)
"""FLOP of the whole network."""
LISTED_SHARE = 4
"""A supplier lists a quarter of what the machine was measured at, which runs all the others too."""
SUPPLIERS = 2
UNIT_PRICE = TOKEN // 32
ROUND_TRIP_US = 1_000
RELAY_US = 20_000
"""What the gateway plans with for a relay, until it has measured more."""
INFERENCES = 40
BID = 1_000_000
ON_TIME = 19 / 20
"""Of the answers, within what was predicted: the gateway plans with that share of its relays."""
LATE_MAX = 2
"""Times what was predicted: no answer of all takes longer."""
USERS = 8
WINDOW_MS = 250
"""In which users ask together; longer than a busy machine takes to send eight requests."""
CREDIT_UNITS = 10**7
"""One tail is nearly all that a supplier gives a new gateway on credit."""
PATIENCE_S = 120.0


@dataclass
class Edge:
    """A running market of tails, what this machine was measured at, and what was paid so far."""

    market: LocalMarket
    model: Path
    rate: int
    """MFLOP/s at the last exit."""
    images: list[bytes]
    labels: list[int]
    bought: list[DevicePlan] = field(default_factory=list)

    @property
    def listed(self) -> int:
        """MFLOP/s that each supplier lists."""
        return self.rate // LISTED_SHARE

    def client(self) -> EdgeClient:
        """A device with the whole network and the gateway's key."""
        network = DeviceNetwork.load(self.model / "network.npz")
        return EdgeClient(self.market.base_url, self.market.api_key, NAME, network)

    def task(self, edge_rate: float) -> EdgeTask:
        """A task for the last exit of a device a hundred times slower than this machine.

        Its deadline leaves a relay, and the edge the whole network at the rate.
        """
        return EdgeTask(
            accuracy_ppm=NETWORK.branches[LAST].accuracy_ppm,
            deadline_us=ROUND_TRIP_US + RELAY_US + int(WORK / edge_rate),
            device_rate=max(1, self.rate // 100),
            uplink_bytes_s=10**9,
            round_trip_us=ROUND_TRIP_US,
        )

    def buy(self, client: EdgeClient, task: EdgeTask, image: bytes) -> DeviceAnswer:
        """An inference at the edge, its deadline put off while relays are slower than was set."""
        for _ in range(20):
            try:
                plan = client.plan(task, BID)
                break
            except RefusedError as error:
                assert error.code == "no_plan", error
                task = replace(task, deadline_us=task.deadline_us * 5 // 4)
        assert plan.id is not None
        assert plan.latency_us <= task.deadline_us
        return self.use(client, plan, image)

    def infer(self, count: int, task: EdgeTask, bid: int) -> dict[str, Any]:
        """What the device's command says of the first held-out images."""
        return run_device(
            "infer", str(COMMITTED / "held_out.npz"), "--count", str(count),
            "--network", str(self.model / "network.npz"), "--url", self.market.base_url,
            "--model", NAME, "--accuracy-ppm", str(task.accuracy_ppm),
            "--deadline-us", str(task.deadline_us), "--device-rate", str(task.device_rate),
            "--uplink-bytes-s", str(task.uplink_bytes_s),
            "--complexity-milli", str(task.complexity_milli), "--bid", str(bid),
            api_key=self.market.api_key,
        )  # fmt: skip

    def use(self, client: EdgeClient, plan: DevicePlan, image: bytes) -> DeviceAnswer:
        """The answer of a plan, the very numbers of the uncut network."""
        found = client.infer(plan, image)
        whole = NETWORK.run(image, plan.exit)
        assert np.float32(found.answer.logits).tobytes() == whole.tobytes()
        self.bought.append(plan)
        return found


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    model = tmp_path_factory.mktemp("wide")
    save_network(NETWORK, model / "network.npz")
    rate = run_device("measure", "--network", str(model / "network.npz"))["rates"][LAST]
    config = json.loads((COMMITTED / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"edge_rate": rate // LISTED_SHARE}))
    plan = MarketPlan(
        suppliers=SUPPLIERS,
        engines=(EnginePlan(model=model, name=NAME),),
        terms=Terms(unit_price=UNIT_PRICE),
    )
    with np.load(COMMITTED / "held_out.npz") as file:
        images, labels = [each.tobytes() for each in file["pixels"]], file["labels"].tolist()
    with LocalMarket.start(plan) as market:
        set_up(market)
        yield Edge(market, model, rate, images, labels)


def run_device(*arguments: str, api_key: str = "") -> dict[str, Any]:
    """The result of a device's command; its BLAS has one thread, as a supplier's engine has."""
    environment = {**os.environ, "EDGE_API_KEY": api_key, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        module("edge", *arguments, "--json"),
        capture_output=True, timeout=120, check=False, cwd=ROOT, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def set_up(market: LocalMarket) -> None:
    """Start the nodes anew: the gateway's rounds wait longer, the suppliers' credit is larger."""
    credit = (f"initial_units = {CREDIT_UNITS}", "bound_by_fee = false")
    for supplier in market.suppliers:
        add_lines(supplier.config, "[credit]", credit)
        supplier.node.stop()
        supplier.node.start_again()
    market.gateway.stop()
    with market.gateway_config.open("a") as file:
        file.write(f"[edge]\nwindow_ms = {WINDOW_MS}\n")
    market.gateway.start_again()
    wait_until(lambda: is_served(market), "no session of tails was open", PATIENCE_S, 0.5)


def is_served(market: LocalMarket) -> bool:
    try:
        page = httpx.get(f"{market.base_url.removesuffix('/v1')}/readyz", timeout=5.0)
    except httpx.HTTPError:
        return False
    return NAME in page.json()["models"]


def verify_on_time(shares: Sequence[float]) -> None:
    """Nearly all within what was predicted, every one within the margin."""
    late = [each for each in shares if each > 1]
    assert len(late) <= (1 - ON_TIME) * len(shares), shares
    assert shares[-1] <= LATE_MAX, shares


def shares_of(answers: Iterable[DeviceAnswer]) -> list[float]:
    """How long each took beside what was predicted, the slowest last."""
    return sorted(round(each.took_us / each.plan.latency_us, 3) for each in answers)


def test_answers_come_within_the_latency_that_was_predicted(edge: Edge) -> None:
    """The edge's rate is nearly all that a supplier lists: what it predicts is what it takes."""
    task = edge.task(0.9 * edge.listed)
    assert WORK / task.device_rate > 5 * task.deadline_us  # the device alone is far too slow
    with edge.client() as client:
        answers = [edge.buy(client, task, image) for image in edge.images[:INFERENCES]]
    assert all(each.plan.premium == 0 for each in answers)  # nobody else waits
    assert median(each.plan.edge_rate for each in answers) > edge.listed / 2
    verify_on_time(shares_of(answers))
    # a prediction that could not be missed would say nothing
    assert 8 * median(shares_of(answers)) > 1


def test_a_device_takes_as_long_as_its_measured_rate_predicts_and_no_other(edge: Edge) -> None:
    def run_alone(device_rate: int) -> list[float]:
        """How long each image took beside what was predicted, the slowest last."""
        said = edge.infer(INFERENCES, replace(edge.task(1), device_rate=device_rate), bid=0)
        plans = [each["plan"] for each in said["answers"]]
        assert {(each["id"], each["price"]) for each in plans} == {(None, 0)}
        assert {each["latency_us"] for each in plans} == {-(-WORK // device_rate)}
        return sorted(each["took_us"] / each["plan"]["latency_us"] for each in said["answers"])

    verify_on_time(run_alone(edge.rate // 2))
    assert run_alone(edge.rate * 8)[0] > 1


@pytest.mark.parametrize("way_out", range(LAST + 1))
def test_each_exit_names_through_the_market_what_it_names_at_home(edge: Edge, way_out: int) -> None:
    """And at home each is as accurate as it promises: see `tests/edge`."""
    wanted = NETWORK.branches[way_out].accuracy_ppm
    work = sum(layer.work for layer in NETWORK.profile().exits[way_out].layers)
    task = replace(edge.task(edge.listed), accuracy_ppm=wanted, device_rate=1)
    assert work > task.deadline_us
    right = expected = 0
    with edge.client() as client:
        for image, label in zip(edge.images[:INFERENCES], edge.labels, strict=False):
            found = edge.buy(client, task, image)
            assert found.plan.exit == way_out
            right += found.answer.label == label
            expected += int(NETWORK.run(image, way_out).argmax()) == label
    assert right == expected > 0.7 * INFERENCES


def test_a_head_runs_on_the_device_where_that_leaves_no_more_to_the_edge(edge: Edge) -> None:
    """So little is left that a layer more or less is the same rate: then the device runs it."""
    task = replace(edge.task(1), device_rate=10, deadline_us=WORK // 11)
    with edge.client() as client:
        plan = client.plan(task, BID)
        assert (plan.cut, plan.exit) == (1, LAST)
        edge.use(client, plan, edge.images[0])


def test_users_beyond_the_capacity_bid_for_it_and_the_rest_are_refused(edge: Edge) -> None:
    """Each wants more than half of what a supplier lists, so that no more than three fit."""
    task = edge.task(0.6 * edge.listed)
    with edge.client() as client:
        alone = edge.buy(client, task, edge.images[0]).plan
    task = replace(task, deadline_us=alone.latency_us * 11 // 10)
    bids = [alone.price + 1_000 * (number + 1) for number in range(USERS)]
    clients = [edge.client() for _ in bids]
    ready = Barrier(USERS)

    def ask(place: int) -> DevicePlan | RefusedError:
        ready.wait(60)
        try:
            return clients[place].plan(task, bids[place])
        except RefusedError as error:
            return error

    with ThreadPoolExecutor(USERS) as threads:
        found = dict(zip(bids, threads.map(ask, range(USERS)), strict=True))
        won = {bid: each for bid, each in found.items() if isinstance(each, DevicePlan)}
        lost = {bid: each for bid, each in found.items() if isinstance(each, RefusedError)}
        assert {(each.status, each.code) for each in lost.values()} == {(429, "outbid")}
        assert all(f"{USERS} users" in str(each) for each in lost.values())
        (rate,) = {each.edge_rate for each in won.values()}
        capacity = SUPPLIERS * edge.listed
        fitting, ranked = capacity // rate, sorted(bids, reverse=True)
        assert fitting < USERS
        assert set(won) <= set(ranked[:fitting])
        for bid, plan in won.items():
            # no less than who came next would have paid, no more than was bid
            assert ranked[fitting] - alone.price <= plan.premium <= bid - alone.price
        # what is granted is taken, whatever else is bid
        if (len(won) + 1) * rate > capacity:
            with edge.client() as client, pytest.raises(RefusedError) as refused:
                client.plan(task, 100 * BID)
            assert refused.value.code == "outbid"
        # the capacity that was sold is there: all who won are served at once, in time
        served = threads.map(
            lambda bid: edge.use(clients[bids.index(bid)], won[bid], edge.images[0]), won
        )
        assert shares_of(served)[-1] <= LATE_MAX
    for each in clients:
        each.close()
    with edge.client() as client:
        assert edge.buy(client, task, edge.images[1]).plan.premium == 0


def test_tails_are_claimed_and_paid_at_the_asks_and_premiums_charged_beside(edge: Edge) -> None:
    """What is charged is each relay's units at the ask, and the premium, which no claim holds."""
    market = edge.market

    def paid() -> int:
        return sum(market.supplier_status(each)["totals"]["paid"] for each in market.suppliers)

    def books() -> dict[str, Any]:
        return market.run_gateway("status")

    wait_until(lambda: paid() > 0, "no claim was paid", PATIENCE_S, 1.0)
    wait_until(
        lambda: books()["total"]["requests"] == len(edge.bought), "not all is counted", 30.0, 0.5
    )
    total, (key,) = books()["total"], books()["keys"].values()
    assert total["overclaims"] == 0
    assert total["units_receipted"] == total["units_served"] > 0
    premiums = sum(each.premium for each in edge.bought)
    assert premiums > 0
    assert key["cost"] == total["units_receipted"] * UNIT_PRICE + premiums * 10**6
    at_most = 10**6 * sum(each.price for each in edge.bought)
    assert 0 <= at_most - key["cost"] < 10**6 * len(edge.bought)

    for claim in asyncio.run(read_all_claims(market)):
        assert claim.price == UNIT_PRICE
        assert claim.value == claim.root.sum * UNIT_PRICE // 10**6


async def read_all_claims(market: LocalMarket) -> list[Claim]:
    async with await Market.connect([market.site.rpc], market.book) as chain:
        head = await chain.chain.head()
        found = await read_claims(chain.chain, chain.book, 0, head.number)
    assert found
    return [each.claim for each in found]


def test_an_impossible_deadline_and_a_wrong_network_are_refused_in_words(
    edge: Edge, tmp_path: Path
) -> None:
    with edge.client() as client:
        with pytest.raises(RefusedError, match="round trip") as caught:
            client.plan(EdgeTask(980_000, 10_000, 1, 10**6, 9_000), BID)
        assert (caught.value.status, caught.value.code) == (400, "no_plan")
        with pytest.raises(RefusedError, match="a supplier gives") as caught:
            client.plan(edge.task(2 * edge.listed), BID)
        assert (caught.value.status, caught.value.code) == (400, "no_plan")
    other = tmp_path / "other.npz"
    save_network(replace(NETWORK, branches=NETWORK.branches[:2]), other)
    network = DeviceNetwork.load(other)
    url, key = edge.market.base_url, edge.market.api_key
    with EdgeClient(url, key, NAME, network) as client, pytest.raises(WrongNetworkError):
        client.plan(EdgeTask(800_000, 10**6, 1, 10**6, 0), BID)
    with (
        EdgeClient(url, "lode_sk_none", NAME, network) as client,
        pytest.raises(RefusedError, match="key"),
    ):
        client.plan(edge.task(edge.listed), BID)


def test_the_command_line_names_digits(edge: Edge) -> None:
    said = edge.infer(5, replace(edge.task(edge.listed / 4), complexity_milli=1_100), BID)
    assert len(said["answers"]) == said["labelled"] == said["in_time"] == 5
    assert said["right"] >= 4
    assert said["paid"] == sum(each["plan"]["price"] for each in said["answers"]) > 0


def test_the_model_is_listed_with_its_network(edge: Edge) -> None:
    headers = {"authorization": f"Bearer {edge.market.api_key}"}
    (listed,) = httpx.get(f"{edge.market.base_url}/models", headers=headers).json()["data"]
    assert listed["id"] == NAME
    assert listed["capabilities"] == ["edge.plan", "edge.infer"]
    assert listed["edge"]["edge_rate"] == edge.listed
    assert [each["accuracy_ppm"] for each in listed["edge"]["network"]["exits"]] == [
        branch.accuracy_ppm for branch in NETWORK.branches
    ]
