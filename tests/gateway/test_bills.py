"""A bill holds, says what was paid, and does not hold once anything in it is changed."""

import asyncio
import copy
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.budgets import round_up
from gateway.books.bills import verify_bill, write_bill
from gateway.books.records import Records
from gateway.books.statements import Expected
from gateway.cli import app
from gateway.errors import BillError
from gateway.routing.relay import RelaySigner
from gateway.settlement.outbox import Bill, OwedReceipt, decode_owed, encode_owed
from relay_mining import RelayResponse, Status, keccak
from tests.clis import CommandLine
from tests.factories import (
    DOMAIN,
    GATEWAY_SIGNER,
    OPERATOR_SIGNER,
    SUPPLIER,
    a_hash,
    a_session,
)
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, Gateway, a_gateway

HI = [{"role": "user", "content": "hi"}]
SIGNER = RelaySigner(DOMAIN, {GATEWAY_SIGNER.address: GATEWAY_SIGNER})
SALT = OPERATOR_SIGNER.session_salt(a_session().id)


def an_owed(part: int, units: int, price: int = 7, less: int = 0) -> OwedReceipt:
    """One part of a relay that signs `units` up to it, receipted with `less` than it adds."""
    response = RelayResponse(
        a_hash("request"), a_hash(f"body {part}"), keccak(SALT), 5, 0, units, units,
        Status.OK, a_hash("spec"), part,
    )  # fmt: skip
    digest = DOMAIN.digest(response)
    bill = Bill(b"r" * 16, "key_1", MODEL, price, response, OPERATOR_SIGNER.sign(digest))
    return OwedReceipt(
        a_session(), GATEWAY_SIGNER.address, SUPPLIER, response.request_hash, digest,
        response.salt_hash, units - 100 * part - less, bill,
    )  # fmt: skip


@given(st.integers(1, 2**63 - 1), st.integers(0, 2**31), st.text(max_size=40))
def test_a_debt_and_its_bill_come_back_from_the_log(units: int, price: int, model: str) -> None:
    owed = an_owed(0, 100)
    assert owed.bill is not None
    bill = Bill(owed.bill.request, "key_ü", model.replace("\0", ""), price, owed.bill.response,
                owed.bill.signature)  # fmt: skip
    changed = OwedReceipt(
        owed.session, owed.signer, owed.supplier, owed.request_hash, owed.response_hash,
        owed.salt_hash, units, bill,
    )  # fmt: skip
    assert decode_owed(encode_owed(changed)) == changed


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_a_bill_holds(parts: int) -> None:
    receipts = [an_owed(part, 100 * (part + 1), less=part) for part in range(parts)]
    bill = write_bill(receipts, SIGNER)
    found = verify_bill(bill, salt=SALT, body_hash=a_hash(f"body {parts - 1}"))
    assert found.units == sum(each.units for each in receipts)
    assert found.cost == round_up(7 * found.units)
    assert (found.signer, found.operators) == (GATEWAY_SIGNER.address, {OPERATOR_SIGNER.address})
    assert orjson.loads(orjson.dumps(bill)) == bill


def test_what_was_taken_back_is_not_on_the_bill() -> None:
    bill = write_bill([an_owed(0, 100, less=100)], SIGNER)
    assert (bill["cost"], bill["receipts"]) == (0, [])
    assert verify_bill(bill).signer is None


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [each for name in value for each in leaves(value[name], (*path, name))]
    if isinstance(value, list):
        return [each for i, one in enumerate(value) for each in leaves(one, (*path, i))]
    return [path]


WHOLE = write_bill([an_owed(part, 100 * (part + 1)) for part in range(3)], SIGNER)


@pytest.mark.parametrize("path", leaves(WHOLE), ids=lambda path: ".".join(map(str, path)))
def test_a_bill_with_anything_changed_does_not_hold(path: tuple[Any, ...]) -> None:
    bill = copy.deepcopy(WHOLE)
    place: Any = bill
    for name in path[:-1]:
        place = place[name]
    value = place[path[-1]]
    place[path[-1]] = value + 1 if isinstance(value, int) else value[:-1] + "01"[value[-1] == "0"]
    with pytest.raises(BillError):
        verify_bill(bill)


@pytest.mark.parametrize("damage", [{}, {"receipts": None}, {**WHOLE, "batch": {}}])
def test_what_is_no_bill_does_not_parse(damage: dict[str, Any]) -> None:
    with pytest.raises(BillError, match="parse"):
        verify_bill(damage)


def test_another_salt_and_another_answer_are_found() -> None:
    with pytest.raises(BillError, match="salt"):
        verify_bill(WHOLE, salt=bytes(32))
    with pytest.raises(BillError, match="answer"):
        verify_bill(WHOLE, body_hash=bytes(32))


def test_units_without_a_price_cannot_be_hidden_in_a_second_receipt() -> None:
    twice = write_bill([an_owed(0, 100), an_owed(0, 100)], SIGNER)
    with pytest.raises(BillError, match="more units"):
        verify_bill(twice)


def test_a_receipt_that_was_lowered_cannot_be_on_a_bill_twice() -> None:
    twice = write_bill([an_owed(0, 100, less=60), an_owed(0, 100, less=60)], SIGNER)
    with pytest.raises(BillError, match="twice"):
        verify_bill(twice)


def test_a_price_is_nobodys_signed_word_and_is_pinned_or_compared() -> None:
    dear = verify_bill(write_bill([an_owed(0, 100, price=7_000_000)], SIGNER))
    assert [each.price for each in dear.charges] == [7_000_000]
    Expected(price_max=7_000_000).verify(dear)
    with pytest.raises(BillError, match="more than 7"):
        Expected(price_max=7).verify(dear)


@pytest.mark.parametrize("price", [-7, 7.0])
def test_a_price_is_a_whole_number(price: Any) -> None:
    bill = copy.deepcopy(WHOLE)
    for each in bill["receipts"]:
        each["price"] = price
    bill["cost_millionths"] = sum(each["units"] * price for each in bill["receipts"])
    bill["cost"] = round_up(bill["cost_millionths"])
    with pytest.raises(BillError):
        verify_bill(bill)


async def ask(gateway: Gateway, path: str, key: str | None = None) -> httpx.Response:
    headers = {"authorization": f"Bearer {key or gateway.key}"}
    async with httpx.AsyncClient() as client:
        return await client.get(gateway.url + path, headers=headers)


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_an_application_sees_its_request_and_its_bill_and_nobody_elses(
    tmp_path: Path, stream: bool
) -> None:
    fake = FakeSupplier("one", part_every=2)
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        raw = await client.chat.completions.with_raw_response.create(
            model=MODEL, messages=HI, stream=stream, max_tokens=50
        )
        request = raw.headers["x-request-id"]
        if stream:
            assert [chunk async for chunk in raw.parse()]
        await gateway.settled()
        async with asyncio.timeout(10):
            while gateway.ledger.requests.open:
                await asyncio.sleep(0.01)
        story = (await ask(gateway, f"/v1/requests/{request}")).json()
        assert (story["id"], story["disposition"], story["status"]) == (request, "paid", 200)
        (attempt,) = story["tries"]
        assert attempt["why"] == "nobody else was left to ask"
        found = verify_bill(story["bill"])
        assert len(found.charges) == len(fake.receipts) == (2 if stream else 1)
        assert found.units == sum(each.units for each in fake.receipts.values())
        assert (
            found.cost == story["cost"] == round_up(gateway.ledger.spending[gateway.key_id].today)
        )
        other, _ = gateway.keys.create("other", gateway.table.sessions.popitem()[1].key.application)
        gateway.accounts.load(gateway.keys.list())
        for path, key in ((request, other), ("req_" + "0" * 32, None), ("nonsense", None)):
            answer = await ask(gateway, f"/v1/requests/{path}", key)
            assert (answer.status_code, answer.json()["error"]["code"]) == (
                404,
                "request_not_found",
            )
        await gateway.ledger.flush()
        told = Records(tmp_path).explain(request)
        assert [each["is_delivered"] for each in told["receipts"]] == [True] * len(found.charges)
        assert {name: told[name] for name in story if name != "bill"} == {
            name: story[name] for name in story if name != "bill"
        }
        bill = write_bill(Records(tmp_path).receipts_of(request), gateway.deliverer.signer)
        assert bill == story["bill"]


@pytest.mark.anyio
async def test_a_failover_is_explained(tmp_path: Path) -> None:
    fakes = [FakeSupplier("bad", "500"), FakeSupplier("worse", "reset"), FakeSupplier("good")]
    async with a_gateway(tmp_path, *fakes) as gateway, gateway.client() as client:
        while gateway.results[-2:] != ["broken", "ok"]:
            gateway.standing.states.clear()
            raw = await client.chat.completions.with_raw_response.create(
                model=MODEL, messages=HI, max_tokens=9
            )
        await gateway.settled()
        story = (await ask(gateway, "/v1/requests/" + raw.headers["x-request-id"])).json()
        tries = story["tries"]
        assert [each["is_answer"] for each in tries] == [False] * (len(tries) - 1) + [True]
        assert tries[-1]["supplier"] == "0x" + fakes[2].supplier.hex()
        assert [len(each["considered"]) for each in tries] == [3, 2, 1][: len(tries)]
        for attempt in tries:
            assert attempt["supplier"] in [each["supplier"] for each in attempt["considered"]]


@pytest.mark.anyio
async def test_a_supplier_sees_where_it_stands_and_the_operator_can_do_without(
    tmp_path: Path,
) -> None:
    fakes = [FakeSupplier("one"), FakeSupplier("two")]
    async with a_gateway(tmp_path, *fakes) as gateway, gateway.client() as client:
        path = f"/v1/suppliers/0x{fakes[0].supplier.hex()}"
        assert (await ask(gateway, path, "no key at all")).json()["standing"] == "good"
        gateway.standing.denied = frozenset({fakes[0].supplier})
        for _ in range(6):
            await client.chat.completions.create(model=MODEL, messages=HI, max_tokens=9)
        assert (fakes[0].served, fakes[1].served) == (0, 6)
        found = (await ask(gateway, path)).json()
        assert found["standing"] == "denied"
        assert found["prices"] == [{"model": MODEL, "price": 1000, "rank": 1, "of": 2}]
        await gateway.settled()
        other = (await ask(gateway, f"/v1/suppliers/{fakes[1].supplier.hex()}")).json()
        assert (other["answers"], other["owed_units"]) == (6, 0)
        assert other["units_receipted"] == sum(e.units for e in fakes[1].receipts.values())
        assert (await ask(gateway, "/v1/suppliers/0x12")).status_code == 400
        assert b"\xff" * 20 not in gateway.standing.states


def test_the_command_line_verifies_and_refuses(tmp_path: Path) -> None:
    cli = CommandLine(app)
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_bytes(orjson.dumps({"id": "req_1", "bill": WHOLE}))
    bad.write_bytes(orjson.dumps({**WHOLE, "units": 1}))
    signer = "0x" + GATEWAY_SIGNER.address.hex()
    found = cli.run("receipts", "verify", str(good), "--signer", signer)
    assert (found["bills"], found["units"], found["cost"]) == (1, WHOLE["units"], WHOLE["cost"])
    assert "add up" in cli.refuse("receipts", "verify", str(bad))
    other = "0x" + "11" * 20
    assert "another key" in cli.refuse("receipts", "verify", str(good), "--signer", other)
    assert "before has charged" in cli.refuse("receipts", "verify", str(good), str(good))


OPERATOR = "0x" + OPERATOR_SIGNER.address.hex()
CONTRACT = "0x" + DOMAIN.verifying_contract.hex()
OTHER = "0x" + "11" * 20


def test_what_is_left_to_compare_with_the_chain_is_shown_and_pinned(tmp_path: Path) -> None:
    cli, path = CommandLine(app), tmp_path / "bill.json"
    path.write_bytes(orjson.dumps(WHOLE))
    held = ("--operator", OTHER, "--operator", OPERATOR, "--price-max", 7,
            "--chain-id", DOMAIN.chain_id, "--claims", CONTRACT)  # fmt: skip
    found = cli.run("receipts", "verify", path, *held)
    assert found["operators"] == [OPERATOR]
    assert found["suppliers"] == ["0x" + SUPPLIER.hex()]
    assert found["signers"] == ["0x" + GATEWAY_SIGNER.address.hex()]
    assert (found["price_min"], found["price_max"]) == (7, 7)
    assert (found["chain_id"], found["claims_contract"]) == (DOMAIN.chain_id, CONTRACT)
    (row,) = found["sessions"]
    assert (row["session"], row["operator"], row["units"]) == (7, OPERATOR, WHOLE["units"])
    for name, value, why in (
        ("--operator", OTHER, "key of a supplier"),
        ("--price-max", 6, "more than 6"),
        ("--chain-id", 1, "not 1"),
        ("--claims", OTHER, "another contract"),
    ):
        assert why in cli.refuse("receipts", "verify", path, name, value)


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_a_bill_is_of_the_answer_as_its_client_received_it(
    tmp_path: Path, stream: bool
) -> None:
    body = {"model": MODEL, "messages": HI, "max_tokens": 50, "stream": stream}
    if stream:
        body["stream_options"] = {"include_usage": True}
    async with a_gateway(tmp_path, FakeSupplier("one", part_every=2)) as gateway:
        headers = {"authorization": f"Bearer {gateway.key}"}
        async with httpx.AsyncClient(base_url=gateway.url, headers=headers) as client:
            answer = await client.post("/v1/chat/completions", json=body)
            await gateway.settled()
            story = await client.get("/v1/requests/" + answer.headers["x-request-id"])
    bill, received = tmp_path / "bill.json", tmp_path / "answer"
    bill.write_bytes(story.content)
    received.write_bytes(answer.content)
    cli = CommandLine(app)
    verify = partial(asyncio.to_thread, cli.run, "receipts", "verify", bill)
    refuse = partial(asyncio.to_thread, cli.refuse, "receipts", "verify", bill)
    assert b'"cost":' in answer.content
    assert (await verify("--answer", received))["cost"] == story.json()["cost"]
    received.write_bytes(answer.content.replace(b"world", b"there"))
    assert "another answer" in await refuse("--answer", received)
    assert "its bill alone" in await refuse(bill, "--answer", received)
