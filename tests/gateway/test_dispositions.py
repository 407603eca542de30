"""Every request ends in one disposition, and the two sides of the ledger agree."""

import asyncio
from pathlib import Path

import openai
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.books.dispositions import Disposition, Dispositions, judge_status
from gateway.books.ledger import REFUSALS_MAX, Ledger
from gateway.routing.observation import Began, Ended
from node.append_log import AppendLog
from node.http import ClientPool
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, Gateway, a_gateway

HI = [{"role": "user", "content": "hi"}]


def is_balanced(found: dict[str, int]) -> bool:
    return found["requests"] == sum(found.values()) - found["requests"]


@given(st.lists(st.tuples(st.sampled_from("btreux"), st.sampled_from("12345")), max_size=60))
def test_both_sides_agree_after_every_step(steps: list[tuple[str, str]]) -> None:
    book, seen, refused = Dispositions(), set[str](), 0
    for step, name in steps:
        if step == "b":
            book.begin(name, "key")
        elif step == "t":
            book.take_try(name, "key", 1, Disposition.FAILED)
        elif step == "r":
            book.take_recount(name, "key", 5)
        elif step == "e":
            book.end(name, "key", None)
        elif step == "u":
            book.take_recount(name, "key", 0)
        else:
            book.refuse(2)
            refused += 2
        seen.add(name)
        assert is_balanced(book.summary())
        assert book.ended[Disposition.REFUSED] == refused
        assert all(each.disposition is None for each in book.open.values())


@pytest.mark.parametrize(
    ("units", "end", "expected"),
    [
        ([5], None, Disposition.PAID),
        ([0, 5], None, Disposition.PAID),
        ([5], Disposition.FAILED, Disposition.PAID),
        ([0], None, Disposition.REFUNDED),
        ([], Disposition.REFUSED, Disposition.REFUSED),
        ([], Disposition.FAILED, Disposition.FAILED),
    ],
)
def test_what_is_paid_decides_and_then_how_it_ended(
    units: list[int], end: Disposition | None, expected: Disposition
) -> None:
    book = Dispositions()
    book.begin("1", "key")
    book.take_try("1", "key", len(units), Disposition.REFUNDED)
    book.end("1", "key", end)
    for each in units:
        assert book.summary()["in_flight"] == 1
        book.take_recount("1", "key", each)
    assert book.ended == {expected: 1}
    assert not book.open


@pytest.mark.parametrize(
    ("status", "is_refusal"), [(400, True), (402, True), (503, True), (500, False), (504, False)]
)
def test_a_status_is_a_no_or_a_failure(status: int, is_refusal: bool) -> None:
    assert (judge_status(status) is Disposition.REFUSED) == is_refusal


async def end_of(gateway: Gateway) -> dict[str, int]:
    """The ledger once nothing is in flight, the same as its log adds up to."""
    await gateway.settled()
    async with asyncio.timeout(10):
        while gateway.ledger.requests.open:
            await asyncio.sleep(0.01)
    await gateway.ledger.flush()
    again = Ledger(gateway.ledger.log)
    again.replay(gateway.ledger.log.replay())
    assert again.requests.summary() == gateway.ledger.requests.summary()
    assert again.summary()["days"] == gateway.ledger.summary()["days"]
    found = gateway.ledger.requests.summary()
    assert is_balanced(found)
    return {name: count for name, count in found.items() if count and name != "requests"}


STREAM_FAULTS = ["stall", "cut", "truncate", "no frame", "signature", "hash", "engine"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("lie", "stream", "expected"),
    [
        ("", False, "paid"),
        ("", True, "paid"),
        ("inflate", False, "paid"),
        ("500", False, "failed"),
        ("hang", False, "failed"),
        ("unsigned", False, "failed"),
        ("503", False, "failed"),
        ("402", False, "refused"),
        ("context", False, "refused"),
        *((lie, True, "failed") for lie in STREAM_FAULTS),
    ],
)
async def test_a_request_ends_in_one(tmp_path: Path, lie: str, stream: bool, expected: str) -> None:
    async with a_gateway(tmp_path, FakeSupplier("one", lie)) as gateway, gateway.client() as client:
        try:
            answer = await client.chat.completions.create(
                model=MODEL, messages=HI, stream=stream, max_tokens=1024
            )
            if stream:
                assert [chunk async for chunk in answer]
        except openai.APIError as error:
            assert expected != "paid", error
        assert await end_of(gateway) == {expected: 1}


@pytest.mark.anyio
async def test_a_client_that_leaves_pays_for_what_it_had_or_nothing(tmp_path: Path) -> None:
    fake = FakeSupplier("slow", pause=asyncio.Event())
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        stream = await client.chat.completions.create(model=MODEL, messages=HI, stream=True)
        await anext(aiter(stream))
        assert gateway.ledger.requests.summary()["in_flight"] == 1
        await stream.close()
        async with asyncio.timeout(10):
            while not gateway.results:
                await asyncio.sleep(0.01)
        assert await end_of(gateway) == {"paid": 1}
        fake.lie = "hang"
        with pytest.raises(openai.APITimeoutError):
            await client.with_options(timeout=0.1).chat.completions.create(model=MODEL, messages=HI)
        async with asyncio.timeout(10):
            while len(gateway.results) < 2:
                await asyncio.sleep(0.01)
        assert await end_of(gateway) == {"paid": 1, "refunded": 1}


@pytest.mark.anyio
async def test_refusals_are_counted_with_a_key_and_without(tmp_path: Path) -> None:
    async with a_gateway(tmp_path, FakeSupplier("one")) as gateway, ClientPool() as pool:
        url, key = gateway.url + "/v1/chat/completions", b"Bearer " + gateway.key.encode()
        for value, body in ((key, b"{"), (b"Bearer lode_sk_no", b"{}"), (b"", b"{}")):
            answer = await pool.request(b"POST", url, ((b"authorization", value),), body)
            assert answer.status in (400, 401)
            assert (answer.headers.get(b"x-request-id") or b"").startswith(b"req_")
        assert await end_of(gateway) == {"refused": 3}


@pytest.mark.anyio
async def test_a_key_that_is_refused_without_end_does_not_fill_the_disk(tmp_path: Path) -> None:
    async with AppendLog(tmp_path) as log:
        ledger, count = Ledger(log), 1_500
        for number in range(count):
            ledger.record(an_end(number, 429, "rate_limit_exceeded"))
        ledger.record(Began(an_end(count).request, "key_1", MODEL))
        ledger.record(an_end(count, 503, "no_supplier_available"))  # let in, so told
        ledger.record(an_end(count + 1, 500, "internal_error"))
        await ledger.flush()
        ledger.record(an_end(count + 2, 400, "invalid_json"))
        await ledger.flush()
        lines = [line for record in log.replay() for line in orjson.loads(record)]
        again = Ledger(log)
        again.replay(log.replay())

    summed = [each for each in lines if each["kind"] == "refusals"]
    assert [(each["key"], each["code"], each["count"]) for each in summed] == [
        ("key_1", "rate_limit_exceeded", count - REFUSALS_MAX)
    ]
    told = [each["code"] for each in lines if each["kind"] == "end"]
    assert told == [
        *["rate_limit_exceeded"] * REFUSALS_MAX,
        "no_supplier_available", "internal_error", "invalid_json",
    ]  # fmt: skip
    expected = {"refused": count + 2, "failed": 1, "requests": count + 3}
    for each in (ledger, again):
        assert {name: each.requests.summary()[name] for name in expected} == expected
        assert is_balanced(each.requests.summary())
        assert not each.totals.keys


def an_end(number: int, status: int = 200, code: str = "") -> Ended:
    return Ended(number.to_bytes(16, "big"), "key_1", MODEL, status, code)


@pytest.mark.anyio
async def test_what_is_in_flight_is_in_the_log(tmp_path: Path) -> None:
    fake = FakeSupplier("slow", pause=asyncio.Event())
    async with a_gateway(tmp_path / "live", fake) as gateway, gateway.client() as client:
        stream = await client.chat.completions.create(model=MODEL, messages=HI, stream=True)
        await anext(aiter(stream))
        await gateway.ledger.flush()
        async with AppendLog(tmp_path / "none") as log:
            seen = Ledger(log)
            seen.replay(gateway.ledger.log.replay())
            assert seen.requests.summary() == {
                "requests": 1, "paid": 0, "refunded": 0, "refused": 0, "failed": 0, "in_flight": 1,
            }  # fmt: skip
        fake.pause.set()
        assert [chunk async for chunk in stream]
        assert await end_of(gateway) == {"paid": 1}
