"""Edge inference through a gateway: planned, auctioned, relayed, counted, audited."""

import asyncio
import base64
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import httpx
import numpy as np
import pytest

from gateway.access.admission import Admission
from gateway.access.api_keys import KeyTerms
from gateway.edge.plane import EdgeRules
from gateway.routing.sessions import Session
from tests.factories import WEIGHTS
from tests.gateway.harness import Gateway, a_gateway
from tests.gateway.tails import (
    MODEL,
    NETWORK,
    PIXELS,
    PRICE,
    RATE,
    SENSOR,
    TailSupplier,
    a_gateway_of_tails,
    tail_of,
)

pytestmark = pytest.mark.anyio


async def plan_of(client: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    response = await client.post("/edge/plan", json=SENSOR | more)
    assert response.status_code == 200, response.text
    return dict(response.json())


def only_session(gateway: Gateway) -> Session:
    (session,) = gateway.table.sessions.values()
    return session


def refused(response: httpx.Response) -> tuple[int, str, str | None]:
    error = response.json()["error"]
    return response.status_code, error["code"], error["param"]


async def test_a_device_gets_a_plan_and_the_answer_of_the_uncut_network(tmp_path: Path) -> None:
    fake = TailSupplier("honest")
    async with a_gateway_of_tails(tmp_path, fake) as (gateway, client):
        plan = await plan_of(client)
        assert plan["latency_us"] <= SENSOR["deadline_us"]
        assert plan["accuracy_ppm"] >= SENSOR["accuracy_ppm"]
        assert 0 < plan["edge_rate"] <= RATE
        assert plan["premium"] == 0  # nobody else waits
        assert plan["price"] == plan["offers"][0]["cost"] == -(-plan["units"] * PRICE // 10**6)
        response = await client.post("/edge/infer", json=tail_of(plan))
        assert response.status_code == 200, response.text
        answer = response.json()
        whole = NETWORK.run(PIXELS, plan["exit"])
        assert np.float32(answer["logits"]).tobytes() == whole.tobytes()
        assert answer["label"] == int(whole.argmax())
        await gateway.settled()
        (recount,) = gateway.recounts
        usage = answer["usage"]
        units = WEIGHTS.units(usage["prompt_tokens"], 0, usage["completion_tokens"])
        assert recount.units_claimed == recount.units_receipted == units == plan["units"]
        assert not recount.is_overclaim
        assert [each.units for each in fake.receipts.values()] == [units]


@pytest.mark.parametrize(
    "lie", ["wrong class", "made up", "not finite", "fewer numbers", "no object"]
)
async def test_an_answer_that_is_not_the_networks_is_not_paid_and_ends_its_supplier(
    tmp_path: Path, lie: str
) -> None:
    fake = TailSupplier("liar", lie)
    async with a_gateway_of_tails(tmp_path, fake) as (gateway, client):
        plan = await plan_of(client)
        await client.post("/edge/infer", json=tail_of(plan))
        await gateway.settled()
        (recount,) = gateway.recounts
        assert recount.is_overclaim
        assert recount.units_receipted == WEIGHTS.units(0, 0, 0)
        assert gateway.standing.of(fake.supplier).is_dropped
        assert len(list((gateway.data_dir / "evidence").glob("*.json"))) == 1


async def test_an_answer_nobody_audits_is_held_to_its_form_only(tmp_path: Path) -> None:
    for number, (lie, is_caught) in enumerate((("made up", False), ("wrong class", True))):
        fake = TailSupplier("liar", lie)
        async with a_gateway_of_tails(tmp_path / str(number), fake, audit_ppm=0) as (
            gateway,
            client,
        ):
            await client.post("/edge/infer", json=tail_of(await plan_of(client)))
            await gateway.settled()
            assert gateway.recounts[0].is_overclaim is is_caught


@pytest.mark.parametrize("lie", ["more work", "more bytes", "units", "signature", "spec"])
async def test_a_count_beyond_the_plans_is_never_accepted(tmp_path: Path, lie: str) -> None:
    liar = TailSupplier("liar", lie)
    async with a_gateway_of_tails(tmp_path, liar) as (gateway, client):
        response = await client.post("/edge/infer", json=tail_of(await plan_of(client)))
        assert refused(response) == (502, "upstream_invalid", None)
        await gateway.settled()
        assert not liar.receipts


async def test_another_supplier_serves_where_one_fails_and_the_plan_outlives_a_failure(
    tmp_path: Path,
) -> None:
    broken, honest = TailSupplier("broken", "500"), TailSupplier("honest")
    async with a_gateway_of_tails(tmp_path, broken, honest) as (_, client):
        for _ in range(3):
            response = await client.post("/edge/infer", json=tail_of(await plan_of(client)))
            assert response.status_code == 200
        assert honest.served == 3
        honest.lie = "500"
        plan = await plan_of(client)
        response = await client.post("/edge/infer", json=tail_of(plan))
        assert response.status_code == 502
        honest.lie = ""
        response = await client.post("/edge/infer", json=tail_of(plan))
        assert response.status_code == 200


async def test_a_supplier_that_fails_slowly_is_not_planned_with(tmp_path: Path) -> None:
    """It costs its users half a second before another serves; who asks next has its plan."""
    silent, honest = TailSupplier("silent", "hang"), TailSupplier("honest")
    async with a_gateway_of_tails(tmp_path, silent, honest) as (gateway, client):
        while silent.served < 2:
            gateway.standing.of(silent.supplier).aside_until = 0.0
            plan = await plan_of(client)
            assert (await client.post("/edge/infer", json=tail_of(plan))).status_code == 200
        assert (await plan_of(client))["latency_us"] <= SENSOR["deadline_us"]


UNFIT: list[tuple[dict[str, Any], tuple[int, str, str]]] = [
    ({"exit": 0}, (400, "invalid_value", "cut")),
    ({"cut": 3}, (400, "invalid_value", "cut")),
    ({"exit": 9}, (400, "invalid_value", "cut")),
    ({"shape": [8, 8, 2]}, (400, "invalid_value", "shape")),
    ({"dtype": "float64"}, (400, "invalid_value", "dtype")),
    ({"activation": "AAAA"}, (400, "invalid_value", "activation")),
    ({"activation": "!"}, (400, "invalid_value", "activation")),
    ({"more": 1}, (400, "invalid_value", "more")),
    ({"plan": None}, (400, "missing_required_parameter", "plan")),
    ({"plan": "plan_of_another"}, (404, "plan_not_found", "plan")),
    ({"model": "other"}, (404, "model_not_found", "model")),
]


async def test_a_tail_that_is_not_its_plans_is_refused_and_costs_nothing(tmp_path: Path) -> None:
    fake = TailSupplier("honest")
    async with a_gateway_of_tails(tmp_path, fake) as (_, client):
        plan = await plan_of(client)
        for change, expected in UNFIT:
            response = await client.post("/edge/infer", json=tail_of(plan) | change)
            assert (change, refused(response)) == (change, expected)
        assert fake.served == 0
        assert (await client.post("/edge/infer", json=tail_of(plan))).status_code == 200


async def test_an_activation_with_a_nan_in_it_is_refused(tmp_path: Path) -> None:
    fake = TailSupplier("honest")
    async with a_gateway_of_tails(tmp_path, fake) as (_, client):
        body = tail_of(await plan_of(client))
        assert body["dtype"] == "float32"
        data = bytearray(base64.b64decode(body["activation"]))
        data[:4] = np.float32("nan").tobytes()
        body["activation"] = base64.b64encode(bytes(data)).decode()
        response = await client.post("/edge/infer", json=body)
        assert refused(response) == (400, "invalid_value", "activation")
        assert "finite" in response.json()["error"]["message"]
        assert fake.served == 0


async def test_a_plan_is_used_once_by_its_key_and_in_its_time(tmp_path: Path) -> None:
    fake = TailSupplier("honest")
    rules = EdgeRules(plan_s=0.3)
    async with a_gateway_of_tails(tmp_path, fake, rules=rules) as (gateway, client):
        plan = await plan_of(client)
        other, _ = gateway.keys.create("other", only_session(gateway).key.application)
        gateway.accounts.load(gateway.keys.list())
        stolen = await client.post(
            "/edge/infer", json=tail_of(plan), headers={"authorization": f"Bearer {other}"}
        )
        assert refused(stolen) == (404, "plan_not_found", "plan")
        assert (await client.post("/edge/infer", json=tail_of(plan))).status_code == 200
        again = await client.post("/edge/infer", json=tail_of(plan))
        assert refused(again) == (404, "plan_not_found", "plan")
        late = await plan_of(client)
        deadline = asyncio.get_running_loop().time() + rules.plan_s
        while asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
        response = await client.post("/edge/infer", json=tail_of(late))
        assert refused(response) == (404, "plan_not_found", "plan")


async def test_a_plan_that_is_sent_twice_at_once_is_served_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, let_in = TailSupplier("honest"), Admission.let_in
    asked, told = asyncio.Event(), asyncio.Event()

    async def ask_elsewhere(self: Admission, *demand: Any) -> Any:
        asked.set()
        await told.wait()
        return await let_in(self, *demand)

    async with a_gateway_of_tails(tmp_path, fake) as (_, client):
        plan = await plan_of(client)
        monkeypatch.setattr(Admission, "let_in", ask_elsewhere)
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            first = tasks.create_task(client.post("/edge/infer", json=tail_of(plan)))
            await asked.wait()
            second = tasks.create_task(client.post("/edge/infer", json=tail_of(plan)))
            done, _ = await asyncio.wait({second}, timeout=1)
            told.set()
        assert done
        assert first.result().status_code == 200
        assert refused(second.result()) == (404, "plan_not_found", "plan")
        assert fake.served == 1


async def test_a_plan_that_was_refused_before_any_work_can_be_sent_again(tmp_path: Path) -> None:
    async with a_gateway_of_tails(tmp_path, TailSupplier("honest")) as (gateway, client):
        plan, account = await plan_of(client), gateway.accounts.get(gateway.key_id)
        assert account is not None
        allowed, account.in_flight_max = account.in_flight_max, 0
        busy = await client.post("/edge/infer", json=tail_of(plan))
        assert refused(busy) == (429, "rate_limit_exceeded", None)
        account.in_flight_max = allowed
        assert (await client.post("/edge/infer", json=tail_of(plan))).status_code == 200


IMPOSSIBLE: list[tuple[dict[str, Any], str, str]] = [
    ({"deadline_us": 1}, "no_plan", "round trip"),
    ({"deadline_us": 21_010}, "no_plan", "round trip"),
    ({"deadline_us": 21_500}, "no_plan", "a supplier gives 100"),
    ({"accuracy_ppm": 990_000}, "no_plan", "most accurate in 982222"),
    ({"deadline_us": 0}, "invalid_value", "deadline_us"),
    ({"deadline_us": 1.5}, "invalid_value", "deadline_us"),
    ({"device_rate": 0}, "invalid_value", "device_rate"),
    ({"uplink_bytes_s": -1}, "invalid_value", "uplink_bytes_s"),
    ({"bid": 10**16}, "invalid_value", "bid"),
    ({"layers": 3}, "unknown_parameter", "layers"),
    ({"model": None}, "invalid_value", "model"),
]


async def test_what_cannot_be_planned_is_refused_with_the_reason(tmp_path: Path) -> None:
    async with a_gateway_of_tails(tmp_path, TailSupplier("honest")) as (_, client):
        for change, code, why in IMPOSSIBLE:
            response = await client.post("/edge/plan", json=SENSOR | change)
            assert (change, response.status_code) == (change, 400)
            assert response.json()["error"]["code"] == code
            assert why in response.json()["error"]["message"]


async def test_a_device_with_time_enough_is_told_to_do_it_itself(tmp_path: Path) -> None:
    async with a_gateway_of_tails(tmp_path, TailSupplier("honest")) as (_, client):
        plan = await plan_of(client, deadline_us=10**6, bid=0)
        assert (plan["id"], plan["edge_rate"], plan["price"]) == (None, 0, 0)
        assert plan["cut"] == len(NETWORK.layers(plan["exit"]))


async def test_a_harder_task_is_planned_with_that_much_more_work(tmp_path: Path) -> None:
    async with a_gateway_of_tails(tmp_path, TailSupplier("honest")) as (_, client):
        task = {"deadline_us": 48_000, "uplink_bytes_s": 10**9}
        plain = await plan_of(client, **task)
        hard = await plan_of(client, **task, complexity_milli=2_000)
        assert await plan_of(client, **task, complexity_milli=1_000) == plain | {
            "id": ANY, "latency_us": ANY, "network_us": ANY, "edge_us": ANY,
        }  # fmt: skip
        assert hard["edge_rate"] >= 2 * plain["edge_rate"] - 1
        assert hard["latency_us"] <= task["deadline_us"]
        assert hard["units"] == plain["units"]  # what a tail is counted as is its profile's
        for wrong in (999, 0, 1.5, 10**6 + 1):
            response = await client.post("/edge/plan", json=SENSOR | {"complexity_milli": wrong})
            assert refused(response) == (400, "invalid_value", "complexity_milli")


async def test_who_bids_less_than_the_relay_costs_is_not_served(tmp_path: Path) -> None:
    async with a_gateway_of_tails(tmp_path, TailSupplier("honest")) as (_, client):
        price = (await plan_of(client))["price"]
        response = await client.post("/edge/plan", json=SENSOR | {"bid": price - 1})
        assert refused(response) == (429, "outbid", None)
        assert response.headers["x-should-retry"] == "false"
        assert (await plan_of(client, bid=price))["price"] == price


async def test_those_who_wait_share_what_the_edge_can_do_and_the_rest_are_outbid(
    tmp_path: Path,
) -> None:
    """Each wants 25 MFLOP/s or more of 100: three are served, and none above its bid."""
    rules = EdgeRules(window_s=0.5)
    task = {"deadline_us": 24_000, "uplink_bytes_s": 10**9}
    async with a_gateway_of_tails(
        tmp_path, TailSupplier("honest"), rules=rules, terms=KeyTerms(in_flight_max=64)
    ) as (gateway, client):
        bids = [4_000 + 500 * number for number in range(8)]
        responses = await asyncio.gather(
            *(client.post("/edge/plan", json=SENSOR | task | {"bid": bid}) for bid in bids)
        )
        plans = {
            bid: each.json()
            for bid, each in zip(bids, responses, strict=True)
            if each.status_code == 200
        }
        lost = [each for each in responses if each.status_code != 200]
        assert sum(each["edge_rate"] for each in plans.values()) <= RATE
        assert 1 <= len(plans) < len(bids)
        assert {refused(each)[:2] for each in lost} == {(429, "outbid")}
        assert all("8 users" in each.json()["error"]["message"] for each in lost)
        (rate,) = {each["edge_rate"] for each in plans.values()}
        (cost,) = {each["price"] - each["premium"] for each in plans.values()}
        ranked = sorted(bids, reverse=True)
        fitting, first_out = ranked[: RATE // rate], ranked[RATE // rate]
        assert set(plans) <= set(fitting)
        for bid, plan in plans.items():
            assert first_out - cost <= plan["premium"] <= bid - cost
        # what is granted and not used is not to be had again
        again = await client.post("/edge/plan", json=SENSOR | task | {"bid": 10_000})
        free = RATE - sum(each["edge_rate"] for each in plans.values())
        assert (again.status_code == 200) == (free >= next(iter(plans.values()))["edge_rate"])
        served = [await client.post("/edge/infer", json=tail_of(each)) for each in plans.values()]
        assert {each.status_code for each in served} == {200}
        await gateway.settled()
        spent = gateway.ledger.summary()["keys"][gateway.key_id]["cost"]
        assert spent == 10**6 * sum(each["price"] for each in plans.values())


async def test_a_bid_is_held_against_the_budget_and_a_premium_is_spent_of_it(
    tmp_path: Path,
) -> None:
    terms = KeyTerms(daily_budget=20_000)
    async with a_gateway_of_tails(tmp_path, TailSupplier("honest"), terms=terms) as (_, client):
        response = await client.post("/edge/plan", json=SENSOR | {"bid": 20_001})
        assert refused(response) == (429, "insufficient_quota", None)
        plan = await plan_of(client, bid=20_000)
        for _ in range(2):
            await client.post("/edge/infer", json=tail_of(plan))
            plan = await plan_of(client, bid=plan["price"])
        response = await client.post("/edge/plan", json=SENSOR | {"bid": 20_000})
        assert refused(response) == (429, "insufficient_quota", None)


async def test_a_key_holds_no_more_plans_than_requests_in_flight(tmp_path: Path) -> None:
    terms = KeyTerms(in_flight_max=2)
    async with a_gateway_of_tails(tmp_path, TailSupplier("honest"), terms=terms) as (_, client):
        for _ in range(2):
            await plan_of(client)
        response = await client.post("/edge/plan", json=SENSOR)
        assert refused(response) == (429, "rate_limit_exceeded", None)


async def test_dearer_asks_of_a_new_session_void_a_plan(tmp_path: Path) -> None:
    fake = TailSupplier("honest")
    async with a_gateway_of_tails(tmp_path, fake) as (gateway, client):
        plan = await plan_of(client)
        session = only_session(gateway)
        (member,) = session.members
        dearer = replace(member, terms=replace(member.terms, price=PRICE + 1))
        gateway.table.replace(8, [replace(session, members=(dearer,))], {MODEL: session.service})
        response = await client.post("/edge/infer", json=tail_of(plan))
        assert refused(response) == (404, "plan_not_found", "plan")
        assert fake.served == 0


async def test_a_service_of_tails_does_nothing_else_and_shows_its_network(tmp_path: Path) -> None:
    async with a_gateway_of_tails(tmp_path, TailSupplier("honest")) as (_, client):
        chat = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
        assert refused(await client.post("/chat/completions", json=chat))[2] == "model"
        (model,) = (await client.get("/models")).json()["data"]
        assert model["capabilities"] == ["edge.plan", "edge.infer"]
        assert model["edge"]["edge_rate"] == RATE
        assert (await client.get("/edge/plan")).status_code == 405
    async with a_gateway(tmp_path / "chat", TailSupplier("chat")) as gateway:
        headers = {"authorization": f"Bearer {gateway.key}"}
        async with httpx.AsyncClient(base_url=gateway.url + "/v1", headers=headers) as client:
            response = await client.post("/edge/plan", json=SENSOR | {"model": "tiny"})
            assert refused(response) == (400, "invalid_value", "model")
