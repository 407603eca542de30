"""What an answer cost is in it, and its signed bytes can be had back."""

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import httpx
import openai
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.budgets import MILLIONTHS
from gateway.api.cors import ALLOWED, Cors
from gateway.routing.costs import cost_of, restore_signed, splice_cost
from tests.factories import WEIGHTS
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, Gateway, a_gateway

HI = [{"role": "user", "content": "hi"}]
COST = cost_of(WEIGHTS.units(8, 0, 12), 1000)
texts = st.text(max_size=20) | st.sampled_from(['"usage":{', '","usage":{"cost":1}', "{}"])
usages = st.dictionaries(
    st.sampled_from(["prompt_tokens", "cost", "details"]),
    st.integers(0, 9) | st.dictionaries(st.sampled_from("ab"), st.integers(0, 9)) | st.none(),
)


@given(texts, usages, st.integers(0, 10**30), st.booleans())
def test_the_cost_is_last_in_the_usage_and_comes_out_again(
    text: str, usage: dict[str, Any], cost: int, indented: bool
) -> None:
    answer = {"id": "a", "choices": [{"text": text, "logprobs": None}], "usage": usage, "x": [text]}
    given = orjson.dumps(answer, option=orjson.OPT_INDENT_2 if indented else None)
    spliced = splice_cost(given, cost % 2**63)
    assert orjson.loads(spliced) == {**answer, "usage": {**usage, "cost": cost % 2**63}}
    assert list(orjson.loads(spliced)["usage"])[-1] == "cost" or "cost" in usage
    assert restore_signed(spliced) == given


@given(st.binary(max_size=60) | st.sampled_from([b'{"usage":null}', b'{"usage":', b'"usage":{{']))
def test_what_has_no_usage_stays_as_it_is(answer: bytes) -> None:
    assert splice_cost(answer, 5) == answer


@pytest.mark.parametrize("space", ["", " ", "  ", "\n\t "])
def test_a_usage_is_found_however_it_is_spaced(space: str) -> None:
    given = f'{{"id":"a","usage"{space}:{space}{{"total_tokens": 5{space}}}}}'.encode()
    spliced = splice_cost(given, 7)
    assert orjson.loads(spliced)["usage"] == {"total_tokens": 5, "cost": 7}
    assert restore_signed(spliced) == given


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_a_cost_covers_the_units_and_no_more_than_one_beyond(units: int, price: int) -> None:
    assert 0 <= cost_of(units, price) * MILLIONTHS - units * price < MILLIONTHS


@pytest.mark.anyio
async def test_a_plain_answer_says_what_is_charged(tmp_path: Path) -> None:
    async with a_gateway(tmp_path, FakeSupplier("one")) as gateway, gateway.client() as client:
        answer = await client.chat.completions.create(model=MODEL, messages=HI, max_tokens=50)
        assert answer.usage is not None
        assert answer.usage.model_dump()["cost"] == COST
        assert answer.usage.total_tokens == 20
        done = await client.completions.create(model=MODEL, prompt="say", max_tokens=50)
        assert done.usage is not None
        assert done.usage.model_dump()["cost"] == cost_of(WEIGHTS.units(3, 0, 12), 1000)
        await gateway.settled()


async def read_stream(gateway: Gateway, **members: Any) -> bytes:
    body = {"model": MODEL, "messages": HI, "stream": True, "max_tokens": 50, **members}
    headers = {"authorization": f"Bearer {gateway.key}"}
    async with httpx.AsyncClient() as client:
        url = gateway.url + "/v1/chat/completions"
        answer = await client.post(url, json=body, headers=headers)
        assert answer.status_code != 200 or answer.headers["x-accel-buffering"] == "no"
        return answer.content


def verdict_of(stream: bytes) -> dict[str, Any]:
    *_, verdict, done, rest = stream.split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    found: dict[str, Any] = orjson.loads(verdict.removeprefix(b": lode "))
    return found


@pytest.mark.anyio
@pytest.mark.parametrize("part_every", [0, 1])
async def test_a_stream_ends_with_its_cost_and_a_verdict(tmp_path: Path, part_every: int) -> None:
    fake = FakeSupplier("one", part_every=part_every)
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        stream = await client.chat.completions.create(
            model=MODEL, messages=HI, stream=True, max_tokens=50,
            stream_options={"include_usage": True},
        )  # fmt: skip
        usages = [chunk.usage async for chunk in stream if chunk.usage]
        assert [each.model_dump()["cost"] for each in usages] == [COST]
        raw = await read_stream(gateway, stream_options={"include_usage": True})
        response = list(fake.responses.values())[-1]
        verdict = verdict_of(raw)
        assert (verdict["cost"], verdict["status"], verdict["units"]) == (
            COST, "ok", response.units,
        )  # fmt: skip
        assert verdict["supplier"] == "0x" + fake.supplier.hex()
        assert hashlib.sha256(restore_signed(raw)).digest() == response.body_hash
        assert b'"usage"' not in await read_stream(gateway)


@pytest.mark.anyio
async def test_the_comments_of_an_engine_are_signed_as_all_else(tmp_path: Path) -> None:
    fake = FakeSupplier("one", "pings")
    async with a_gateway(tmp_path, fake) as gateway:
        raw = await read_stream(gateway, stream_options={"include_usage": True})
        (response,) = fake.responses.values()
        assert raw.startswith(b": ping\n\n")
        assert hashlib.sha256(restore_signed(raw)).digest() == response.body_hash


@pytest.mark.anyio
@pytest.mark.parametrize("lie", ["forges a verdict", "forges inside", "forges a beat"])
async def test_only_the_gateway_says_what_the_gateway_says(tmp_path: Path, lie: str) -> None:
    async with a_gateway(tmp_path, FakeSupplier("liar", lie)) as gateway:
        raw = await read_stream(gateway)
        assert b"lode {" not in raw
        assert orjson.loads(raw)["error"]["code"] == "upstream_invalid"
        assert gateway.results == ["invalid"]


@pytest.mark.anyio
async def test_a_stream_that_breaks_says_what_of_it_is_charged(tmp_path: Path) -> None:
    fake = FakeSupplier("one", "stall")
    async with a_gateway(tmp_path, fake) as gateway:
        *_, last, _ = (await read_stream(gateway)).split(b"\n\n")
        event = orjson.loads(last.removeprefix(b"data: "))
        assert event["error"]["code"] == "upstream_timeout"
        assert event["usage"] == {
            "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "cost": 0,
        }  # fmt: skip
        fake.lie, fake.part_every = "refuses", 1
        *_, last, _ = (await read_stream(gateway)).split(b"\n\n")
        event = orjson.loads(last.removeprefix(b"data: "))
        (owed,) = {each.units for each in fake.parts[:1]}
        assert event["usage"]["cost"] == cost_of(owed, 1000) > 0
        await gateway.settled()
        assert sum(each.units for each in fake.receipts.values()) == owed


@pytest.mark.anyio
async def test_a_price_cap_is_kept_or_the_price_is_named(tmp_path: Path) -> None:
    fakes = [FakeSupplier("one"), FakeSupplier("two")]
    async with a_gateway(tmp_path, *fakes) as gateway, gateway.client() as client:
        ask = client.chat.completions.create

        async def at(cap: str) -> Any:
            return await ask(model=MODEL, messages=HI, extra_headers={"lode-price-max": cap})

        await at("1000")
        with pytest.raises(openai.APIStatusError, match="lowest price of this model is 1000") as e:
            await at("999")
        assert (e.value.status_code, e.value.code) == (402, "price_above_cap")
        for nonsense in ("-1", "1.5", "", "9" * 21):
            with pytest.raises(openai.BadRequestError):
                await at(nonsense)
        assert sum(each.served for each in fakes) == 1


@pytest.mark.anyio
async def test_silence_is_filled_with_comments_and_another_supplier_still_answers(
    tmp_path: Path,
) -> None:
    bad, good = FakeSupplier("bad", "hang"), FakeSupplier("good")
    async with a_gateway(tmp_path, bad, good, beat_s=0.05) as gateway:
        raw = b""
        while not bad.served:
            raw = await read_stream(gateway)
        assert raw.startswith(b": waiting\n\n")
        assert verdict_of(raw)["status"] == "ok"
        assert gateway.results[-2:] == ["timeout", "ok"]
        good.lie = "hang"
        *_, last, _ = (await read_stream(gateway)).split(b"\n\n")
        assert orjson.loads(last.removeprefix(b"data: "))["error"]["code"] == "upstream_timeout"
        async with asyncio.timeout(10):
            while gateway.ledger.requests.summary()["failed"] != 1:
                await asyncio.sleep(0.01)


@pytest.mark.anyio
async def test_the_official_client_reads_past_comments(tmp_path: Path) -> None:
    fakes = [FakeSupplier("bad", "hang"), FakeSupplier("good")]
    async with a_gateway(tmp_path, *fakes, beat_s=0.05) as gateway, gateway.client() as client:
        while not fakes[0].served:
            stream = await client.chat.completions.create(model=MODEL, messages=HI, stream=True)
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
            assert text == "Hello, world"


@pytest.mark.anyio
async def test_pages_of_allowed_origins_may_call(tmp_path: Path) -> None:
    cors = Cors(frozenset({"https://a.example"}))
    async with a_gateway(tmp_path, FakeSupplier("one"), cors=cors) as gateway:
        url, allow = gateway.url + "/v1/models", "access-control-allow-origin"
        async with httpx.AsyncClient() as client:
            for origin, allowed in (("https://a.example", True), ("https://b.example", False)):
                headers = {"origin": origin}
                before = await client.options(url, headers=headers)
                assert (before.status_code == 204) == allowed
                after = await client.get(url, headers=headers)
                assert after.status_code == 401
                assert (after.headers.get(allow) == origin) == allowed
                assert ("access-control-allow-headers" in before.headers) == allowed
            assert allow not in (await client.get(url)).headers


STAINLESS = "authorization,content-type,x-stainless-arch,x-stainless-retry-count"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        (STAINLESS, STAINLESS),
        ("x-a, x-b", "x-a, x-b"),
        (",".join(["x"] * 64), ",".join(["x"] * 64)),
        (",".join(["x"] * 65), ALLOWED.decode()),
        ("x" * 65, ALLOWED.decode()),
        ("x-a; x-b", ALLOWED.decode()),
        ("", ALLOWED.decode()),
        (None, ALLOWED.decode()),
    ],
)
async def test_a_page_may_send_the_headers_it_asks_for(
    tmp_path: Path, asked: str | None, allowed: str
) -> None:
    headers = {"origin": "https://a.example"}
    headers |= {} if asked is None else {"access-control-request-headers": asked}
    cors = Cors(frozenset({"*"}))
    async with a_gateway(tmp_path, FakeSupplier("one"), cors=cors) as gateway:
        async with httpx.AsyncClient() as client:
            answer = await client.options(gateway.url + "/v1/models", headers=headers)
        assert answer.headers["access-control-allow-headers"] == allowed
        assert answer.headers["vary"] == "origin, access-control-request-headers"
        assert "idempotent-replayed" in answer.headers["access-control-expose-headers"]
