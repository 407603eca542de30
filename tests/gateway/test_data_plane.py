"""What clients of the official library see, through suppliers that are honest and that are not."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import openai
import orjson
import pytest

from gateway.routing.relay import Relay, RelaySigner, Served
from gateway.routing.sessions import Member
from node.http import ClientPool
from relay_mining import Status
from tests.factories import GATEWAY_SIGNER, WEIGHTS
from tests.gateway.fakes import FakeSupplier, encode
from tests.gateway.harness import MODEL, a_gateway

pytestmark = pytest.mark.anyio
HI = [{"role": "user", "content": "hi"}]
LONG = [{"role": "user", "content": "hi " * 400}]
BEFORE_THE_FIRST_BYTE = ["hang", "reset", "500", "503", "402", "429", "nested", "unsigned",
                         "unfinished", "signature", "hash", "units", "spec", "flood"]  # fmt: skip
IN_THE_MIDDLE = ["stall", "cut", "truncate", "no frame", "flood", "signature", "hash"]


async def test_a_plain_answer_is_verified_receipted_and_counted(tmp_path: Path) -> None:
    fake = FakeSupplier("honest")
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        answer = await client.chat.completions.create(model=MODEL, messages=HI, max_tokens=50)
        assert answer.choices[0].message.content == "Hello, world"
        await gateway.settled()
        (receipt,) = fake.receipts.values()
        (recount,) = gateway.recounts
        assert receipt.units == recount.units_receipted == WEIGHTS.units(8, 0, 12)
        assert fake.batch_signer == GATEWAY_SIGNER.address
        total = gateway.ledger.summary()["total"]
        assert total["units_served"] == total["units_receipted"] == receipt.units
        assert total["requests"] == 1


async def test_a_model_is_found_by_a_name_with_a_slash(tmp_path: Path) -> None:
    async with a_gateway(tmp_path, FakeSupplier("honest")) as gateway, gateway.client() as client:
        (session,) = gateway.table.sessions.values()
        gateway.table.replace(7, [session], {"Qwen/Qwen3-8B ü": session.service})
        assert (await client.models.retrieve("Qwen/Qwen3-8B ü")).id == "Qwen/Qwen3-8B ü"


async def test_completions_and_models(tmp_path: Path) -> None:
    async with a_gateway(tmp_path, FakeSupplier("honest")) as gateway, gateway.client() as client:
        answer = await client.completions.create(model=MODEL, prompt="say", max_tokens=50)
        assert answer.choices[0].text == "Hello, world"
        (model,) = (await client.models.list()).data
        assert model.id == MODEL
        assert model.unit_weights["output"] == WEIGHTS.output
        assert model.price_per_million_cu == {"min": 1000, "max": 1000}
        assert (await client.models.retrieve(MODEL)).context_length == 1024


async def test_the_suppliers_bytes_carry_no_key_and_what_the_market_needs(tmp_path: Path) -> None:
    fake = FakeSupplier("honest")
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        await client.chat.completions.create(model=MODEL, messages=HI)
        (headers,) = fake.headers
        assert b"authorization" not in headers
        assert gateway.key.encode() not in b"".join((*headers.values(), *fake.bodies))
        body = orjson.loads(fake.bodies[0])
        assert body["return_token_ids"] is True
        assert body["max_tokens"] == 512


@pytest.mark.parametrize("include_usage", [True, False])
async def test_a_stream(tmp_path: Path, include_usage: bool) -> None:
    fake = FakeSupplier("honest")
    options = {"stream_options": {"include_usage": True}} if include_usage else {}
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        stream = await client.chat.completions.create(
            model=MODEL, messages=HI, stream=True, max_tokens=50, **options
        )
        chunks = [chunk async for chunk in stream]
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert text == "Hello, world"
        assert [c.usage.completion_tokens for c in chunks if c.usage] == [12] * include_usage
        await gateway.settled()
        assert gateway.results == ["ok"]
        assert [each.units for each in fake.receipts.values()] == [WEIGHTS.units(8, 0, 12)]


async def test_the_first_event_does_not_wait_for_the_rest(tmp_path: Path) -> None:
    fake = FakeSupplier("honest", pause=asyncio.Event())
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        stream = await client.chat.completions.create(model=MODEL, messages=HI, stream=True)
        first = await anext(aiter(stream))
        assert first.choices[0].delta.content == "Hello"
        fake.pause.set()
        assert len([chunk async for chunk in stream]) == 3, "two words and the end"


@pytest.mark.parametrize("lie", BEFORE_THE_FIRST_BYTE)
async def test_another_supplier_answers_where_one_fails(tmp_path: Path, lie: str) -> None:
    bad, good = FakeSupplier("bad", lie), FakeSupplier("good")
    async with a_gateway(tmp_path, bad, good) as gateway, gateway.client() as client:
        for _ in range(10):
            gateway.standing.states.clear()
            answer = await client.chat.completions.create(model=MODEL, messages=HI, max_tokens=9)
            assert answer.choices[0].message.content == "Hello, world"
            if bad.served:
                break
        assert bad.served
        assert gateway.results[-1] == "ok"
        assert gateway.results[-2] in ("timeout", "broken", "refused", "invalid")
        await gateway.settled()
        assert not bad.receipts


@pytest.mark.parametrize("lie", BEFORE_THE_FIRST_BYTE)
async def test_nothing_unverified_is_released(tmp_path: Path, lie: str) -> None:
    async with a_gateway(tmp_path, FakeSupplier("bad", lie)) as gateway, gateway.client() as client:
        with pytest.raises(openai.InternalServerError) as caught:
            await client.chat.completions.create(model=MODEL, messages=HI, max_tokens=9)
        assert caught.value.status_code in (502, 503, 504)
        assert caught.value.code.startswith("upstream_")


@pytest.mark.parametrize("stream", [False, True])
async def test_what_nobody_foresaw_of_an_answer_is_its_supplier_s_fault(
    tmp_path: Path, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = FakeSupplier("bad"), FakeSupplier("good")
    accept = RelaySigner.accept

    def read(signer: RelaySigner, relay: Relay, member: Member, *more: Any) -> Served:
        if member.supplier == bad.supplier:
            raise RecursionError("what nobody foresaw")
        return accept(signer, relay, member, *more)

    monkeypatch.setattr(RelaySigner, "accept", read)
    async with a_gateway(tmp_path, bad, good) as gateway, gateway.client() as client:
        while not bad.served:
            gateway.standing.states.clear()
            gateway.events.clear()
            ask = client.chat.completions.create(model=MODEL, messages=HI, stream=stream)
            if not stream:
                await ask
                continue
            with suppress(openai.APIError):
                assert [each async for each in await ask]
        assert gateway.results == (["invalid"] if stream else ["invalid", "ok"])


@pytest.mark.parametrize(
    ("said", "told"),
    [([b"30", b"40"], "30"), ([b"30", b""], "1"), ([b"9999"], "60"), ([b"0"], "1"),
     ([b"soon"], "1"), ([b"30"] * 3, "30"), ([b"30"] * 4, "1")],
)  # fmt: skip
async def test_who_is_refused_by_all_comes_back_when_the_first_of_them_says(
    tmp_path: Path, said: list[bytes], told: str
) -> None:
    fakes = [FakeSupplier(f"{i}", "429", retry_after=each) for i, each in enumerate(said)]
    async with a_gateway(tmp_path, *fakes) as gateway, gateway.client() as client:
        with pytest.raises(openai.InternalServerError) as caught:
            await client.chat.completions.create(model=MODEL, messages=HI)
        assert (caught.value.status_code, caught.value.code) == (503, "upstream_refused")
        assert caught.value.response.headers["retry-after"] == told


async def test_a_piece_does_not_pass_for_a_whole_answer(tmp_path: Path) -> None:
    fake = FakeSupplier("bad", "unfinished")
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        with pytest.raises(openai.APIError, match="finish reason"):
            stream = await client.chat.completions.create(model=MODEL, messages=HI, stream=True)
            async for _ in stream:
                pass
        await gateway.settled()
        assert gateway.results == ["invalid"]
        assert len(fake.receipts) == 1, "what the client had is paid"


@pytest.mark.parametrize("lie", IN_THE_MIDDLE)
async def test_a_broken_stream_ends_with_an_error(tmp_path: Path, lie: str) -> None:
    fake = FakeSupplier("bad", lie)
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        with pytest.raises(openai.APIError):
            stream = await client.chat.completions.create(model=MODEL, messages=HI, stream=True)
            async for _ in stream:
                pass
        await gateway.settled()
        assert gateway.results[0] in ("timeout", "broken", "invalid")
        assert not fake.receipts


@pytest.mark.parametrize("lie", ["reset", "500", "engine", "pings and dies", "pings and fails"])
async def test_a_stream_fails_over_before_its_first_byte(tmp_path: Path, lie: str) -> None:
    bad, good = FakeSupplier("bad", lie), FakeSupplier("good")
    async with a_gateway(tmp_path, bad, good) as gateway, gateway.client() as client:
        while not bad.served:
            gateway.standing.states.clear()
            stream = await client.chat.completions.create(model=MODEL, messages=HI, stream=True)
            text = "".join([c.choices[0].delta.content or "" async for c in stream])
            assert text == "Hello, world"


async def test_a_context_too_long_is_passed_on_without_a_second_try(tmp_path: Path) -> None:
    fakes = [FakeSupplier("one", "context"), FakeSupplier("two", "context")]
    async with a_gateway(tmp_path, *fakes) as gateway, gateway.client() as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.chat.completions.create(model=MODEL, messages=LONG)
        assert caught.value.code == "context_length_exceeded"
        assert sum(each.served for each in fakes) == 1
        assert gateway.results == ["rejected"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_context_said_to_be_too_long_for_what_fits_is_a_lie(
    tmp_path: Path, stream: bool
) -> None:
    liar, honest = FakeSupplier("liar", "context"), FakeSupplier("honest")
    async with a_gateway(tmp_path, liar, honest) as gateway, gateway.client() as client:
        while not liar.served:
            answer = await client.chat.completions.create(model=MODEL, messages=HI, stream=stream)
            assert not stream or [each async for each in answer]
        assert gateway.results[-2:] == ["invalid", "ok"]
        assert gateway.standing.of(liar.supplier).aside_until > gateway.standing.clock()
        honest.lie = "context"
        gateway.standing.states.clear()
        with pytest.raises(openai.InternalServerError) as caught:
            await client.chat.completions.create(model=MODEL, messages=HI, stream=stream)
        assert caught.value.code == "upstream_invalid"


@pytest.mark.parametrize(("lie", "signed"), [("inflate", 1012), ("prompt", 12)])
async def test_an_overclaim_is_cut_kept_and_ends_the_supplier(
    tmp_path: Path, lie: str, signed: int
) -> None:
    fake = FakeSupplier("liar", lie)
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        await client.chat.completions.create(model=MODEL, messages=HI, max_tokens=1024)
        await gateway.settled()
        (recount,) = gateway.recounts
        assert recount.is_overclaim
        assert recount.output_tokens == signed
        assert recount.units_receipted == WEIGHTS.units(8, 0, 12) < recount.units_claimed
        (evidence,) = (tmp_path / "evidence").iterdir()
        assert orjson.loads(evidence.read_bytes())["recount"]["output_tokens"] == 12
        with pytest.raises(openai.InternalServerError) as caught:
            await client.chat.completions.create(model=MODEL, messages=HI)
        assert caught.value.code == "no_supplier_available"


async def test_a_client_that_leaves_is_receipted_up_to_where_it_left(tmp_path: Path) -> None:
    fake = FakeSupplier("honest", pause=asyncio.Event())
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        stream = await client.chat.completions.create(model=MODEL, messages=HI, stream=True)
        await anext(aiter(stream))
        await stream.close()
        async with asyncio.timeout(10):
            while not gateway.results:
                await asyncio.sleep(0.01)
        await gateway.settled()
        assert gateway.results == ["client_abort"]
        (response,) = fake.responses.values()
        (receipt,) = fake.receipts.values()
        assert response.status is Status.CLIENT_ABORT
        assert receipt.units == response.units == WEIGHTS.units(8, 0, len(encode("Hello")))
        assert gateway.standing.of(fake.supplier).aside_until == 0.0


async def test_keys_are_checked_and_revoked(tmp_path: Path) -> None:
    async with a_gateway(tmp_path, FakeSupplier("honest")) as gateway:
        for key in ("lode_sk_wrong", "x" * 300):
            async with gateway.client(key) as client:
                with pytest.raises(openai.AuthenticationError) as caught:
                    await client.models.list()
                assert caught.value.code == "invalid_api_key"
        gateway.keys.revoke(gateway.key_id)
        gateway.accounts.load(gateway.keys.list())
        async with gateway.client() as client:
            with pytest.raises(openai.AuthenticationError):
                await client.models.list()
        assert gateway.key not in (tmp_path / "keys.db").read_bytes().decode("latin-1")


async def test_a_request_larger_than_the_slice_is_refused(tmp_path: Path) -> None:
    async with a_gateway(tmp_path, FakeSupplier("honest"), cap=1) as gateway:
        async with gateway.client() as client:
            with pytest.raises(openai.APIStatusError) as caught:
                await client.chat.completions.create(model=MODEL, messages=HI)
        assert caught.value.status_code == 402


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b"[]", 400, "invalid_json"),
        (b'{"model":"tiny","messages":[],"x":' + b"[" * 40 + b"]" * 40 + b"}", 400, "invalid_json"),
        (
            b'{"model":"tiny","messages":[{"role":"user","content":"hi"}],"n":6}',
            400,
            "invalid_value",
        ),
        (b'{"model":"none","messages":[{"role":"user","content":"hi"}]}', 404, "model_not_found"),
        (b'{"model":"tiny"}', 400, "missing_required_parameter"),
        (b'{"model":"tiny","messages":[{"role":"user","content":"hi"}],"zz":1}', 400,
         "unknown_parameter"),
        (b'{"model":"tiny","messages":[{"role":"user","content":"hi"}],"suffix":""}', 400,
         "unsupported_parameter"),
        (b" " * ((10 << 20) + 1), 413, "body_too_large"),
    ],
)  # fmt: skip
async def test_bad_bodies(tmp_path: Path, body: bytes, status: int, code: str) -> None:
    async with a_gateway(tmp_path, FakeSupplier("honest")) as gateway, ClientPool() as pool:
        headers = ((b"authorization", b"Bearer " + gateway.key.encode()),)
        url = gateway.url + "/v1/chat/completions"
        answer = await pool.request(b"POST", url, headers, body)
        error = orjson.loads(answer.body)["error"]
        assert (answer.status, error["code"]) == (status, code)
        assert set(error) == {"message", "type", "param", "code"}
        assert (await pool.request(b"GET", url, headers)).status == 405
        assert (await pool.request(b"GET", gateway.url + "/v2")).status == 404
        assert (await pool.request(b"GET", gateway.url + "/readyz")).status == 200


async def test_a_gateway_without_a_session_asks_to_be_tried_again(tmp_path: Path) -> None:
    async with a_gateway(tmp_path, FakeSupplier("honest")) as gateway, ClientPool() as pool:
        gateway.table.replace(gateway.table.number, [], {})
        headers = ((b"authorization", b"Bearer " + gateway.key.encode()),)
        body = b'{"model":"tiny","messages":[{"role":"user","content":"hi"}]}'

        answer = await pool.request(b"POST", gateway.url + "/v1/chat/completions", headers, body)

        assert answer.status == 503
        assert orjson.loads(answer.body)["error"]["code"] == "no_supplier_available"
        assert answer.headers.get(b"retry-after") == b"1"
        assert (await pool.request(b"GET", gateway.url + "/v1/models", headers)).status == 503
        assert (await pool.request(b"GET", gateway.url + "/readyz")).status == 503


def test_the_synchronous_client(tmp_path: Path) -> None:
    async def main() -> None:
        async with a_gateway(tmp_path, FakeSupplier("honest")) as gateway:
            await asyncio.to_thread(ask, gateway.url + "/v1", gateway.key)

    def ask(url: str, key: str) -> None:
        with openai.OpenAI(base_url=url, api_key=key, max_retries=0) as client:
            answer = client.chat.completions.create(model=MODEL, messages=HI)
            assert answer.choices[0].message.content == "Hello, world"
            stream = client.chat.completions.create(model=MODEL, messages=HI, stream=True)
            assert "".join(c.choices[0].delta.content or "" for c in stream) == "Hello, world"

    asyncio.run(main())
