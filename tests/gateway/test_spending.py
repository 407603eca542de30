"""Limits of a key, as clients of the official library meet them, and what a kill leaves of them."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import openai
import pytest

from gateway.access.api_keys import KeyTerms
from gateway.access.budgets import DAY_S
from node.http import ClientPool, serve
from tests.factories import WEIGHTS
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, Clock, Gateway, a_gateway

pytestmark = pytest.mark.anyio
HI = [{"role": "user", "content": "hi"}]
PRICE = 1000
COST = WEIGHTS.units(8, 0, 12) * PRICE
"""Of one honest answer to `HI`, in millionths of a token base unit."""
RATE_HEADERS = {
    f"x-ratelimit-{what}-{of}"
    for what in ("limit", "remaining", "reset")
    for of in ("requests", "tokens")
}


async def ask(client: openai.AsyncOpenAI, **options: Any) -> Any:
    return await client.chat.completions.create(
        model=MODEL, messages=HI, **{"max_tokens": 50, **options}
    )


def spent(gateway: Gateway) -> int:
    return gateway.ledger.spending[gateway.key_id].today


async def test_a_client_waits_as_long_as_it_is_told_and_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, fake, waits = Clock(), FakeSupplier("honest"), list[float]()
    terms = KeyTerms(requests_per_minute=3)
    async with (
        a_gateway(tmp_path, fake, terms=terms, clock=clock) as gateway,
        gateway.client() as client,
    ):
        for _ in range(3):
            await ask(client)
        with pytest.raises(openai.RateLimitError) as caught:
            await ask(client)
        error = caught.value
        assert (error.code, error.type) == ("rate_limit_exceeded", "rate_limit_error")
        assert 1 <= int(error.response.headers["retry-after"]) <= 20
        assert error.response.headers["x-ratelimit-remaining-requests"] == "0"

        async def sleep(seconds: float) -> None:
            waits.append(seconds)
            clock.passed += seconds

        monkeypatch.setattr(anyio, "sleep", sleep)
        patient = client.with_options(max_retries=1)
        for _ in range(3):
            await ask(patient)
    assert len(waits) == 3
    assert sum(waits) == pytest.approx(60, abs=10)


async def test_every_answer_of_a_limited_key_says_how_far_it_is(tmp_path: Path) -> None:
    terms = KeyTerms(requests_per_minute=100, tokens_per_minute=10_000)
    async with (
        a_gateway(tmp_path, FakeSupplier("honest"), terms=terms) as gateway,
        gateway.client() as client,
        ClientPool() as pool,
    ):
        plain = await client.chat.completions.with_raw_response.create(
            model=MODEL, messages=HI, max_tokens=50
        )
        assert plain.headers["x-ratelimit-limit-requests"] == "100"
        assert plain.headers["x-ratelimit-remaining-requests"] == "99"
        assert plain.headers["x-ratelimit-reset-requests"].endswith("ms")
        # One byte a token, the template's own, and the answer's: reserved until it ends.
        assert 9_700 < int(plain.headers["x-ratelimit-remaining-tokens"]) < 9_850
        models = await client.models.with_raw_response.list()
        assert int(models.headers["x-ratelimit-remaining-tokens"]) >= 10_000 - 20
        stream = await client.chat.completions.with_raw_response.create(
            model=MODEL, messages=HI, stream=True
        )
        assert set(stream.headers) >= RATE_HEADERS
        with pytest.raises(openai.NotFoundError) as caught:
            await client.chat.completions.create(model="none", messages=HI)
        assert set(caught.value.response.headers) >= RATE_HEADERS
        health = await pool.request(b"GET", gateway.url + "/healthz")
        assert not any(name.startswith(b"x-ratelimit") for name, _ in health.headers)


async def test_a_request_larger_than_its_minute_is_not_retried(tmp_path: Path) -> None:
    terms = KeyTerms(tokens_per_minute=100)
    async with (
        a_gateway(tmp_path, FakeSupplier("honest"), terms=terms) as gateway,
        gateway.client() as client,
    ):
        with pytest.raises(openai.RateLimitError, match="lower max_tokens") as caught:
            await ask(client.with_options(max_retries=5), max_tokens=500)
    headers = caught.value.response.headers
    assert headers["x-should-retry"] == "false"
    assert "retry-after" not in headers


async def test_requests_at_once_never_overspend_and_a_new_day_begins_anew(tmp_path: Path) -> None:
    fake, clock = FakeSupplier("honest"), Clock()
    clock.passed = DAY_S - time.time() % DAY_S + 1  # not close to the end of a day
    terms = KeyTerms(daily_budget=20)
    async with (
        a_gateway(tmp_path, fake, terms=terms, clock=clock) as gateway,
        gateway.client() as client,
    ):

        async def try_one(number: int) -> str:
            try:
                answer = await ask(client, stream=number % 2 == 0)
                if number % 2 == 0:
                    [chunk async for chunk in answer]
            except openai.RateLimitError as error:
                assert error.type == error.code == "insufficient_quota"
                return error.response.headers["retry-after"]
            return ""

        waits = set[str]()
        while not waits or waits & {"", "1"}:  # until nothing is left, rather than reserved
            waits = set(await asyncio.gather(*(try_one(number) for number in range(16))))
            assert spent(gateway) <= 20_000_000
        await gateway.settled()
        assert 20_000_000 - 4_000_000 < spent(gateway) <= 20_000_000
        assert spent(gateway) == PRICE * sum(each.units for each in fake.receipts.values())
        assert gateway.ledger.spending[gateway.key_id].reserved == 0
        with pytest.raises(openai.RateLimitError) as caught:
            await ask(client.with_options(max_retries=3), stream=False)
        assert caught.value.response.headers["x-should-retry"] == "false"
        clock.passed += int(caught.value.response.headers["retry-after"])
        await ask(client)


@pytest.mark.parametrize("lie", ["inflate", "prompt"])
async def test_only_what_the_recount_found_stays_spent(tmp_path: Path, lie: str) -> None:
    terms = KeyTerms(monthly_budget=10**9)
    async with a_gateway(tmp_path, FakeSupplier("liar", lie), terms=terms) as gateway:
        async with gateway.client() as client:
            await ask(client, max_tokens=1024)
        await gateway.settled()
        assert spent(gateway) == gateway.ledger.totals.keys[gateway.key_id].cost == COST


async def test_a_failed_request_costs_nothing(tmp_path: Path) -> None:
    terms = KeyTerms(daily_budget=10, tokens_per_minute=1000)
    async with (
        a_gateway(tmp_path, FakeSupplier("bad", "500"), terms=terms) as gateway,
        gateway.client() as client,
    ):
        with pytest.raises(openai.InternalServerError) as caught:
            await ask(client)
    assert caught.value.response.headers["x-ratelimit-remaining-tokens"] == "1000"
    assert (spent(gateway), gateway.ledger.spending[gateway.key_id].reserved) == (0, 0)


async def test_a_key_sees_and_uses_the_models_it_is_for(tmp_path: Path) -> None:
    terms = KeyTerms(models=["other"])
    async with (
        a_gateway(tmp_path, FakeSupplier("honest"), terms=terms) as gateway,
        gateway.client() as client,
    ):
        for call in (ask(client), client.models.retrieve(MODEL)):
            with pytest.raises(openai.PermissionDeniedError) as caught:
                await call
            assert (caught.value.code, caught.value.param) == ("model_not_allowed", "model")
        assert (await client.models.list()).data == []
        gateway.keys.update(gateway.key_id, {"models": [MODEL]})
        gateway.accounts.load(gateway.keys.list())
        await ask(client)


async def test_a_key_ends_with_its_time(tmp_path: Path) -> None:
    clock = Clock()
    terms = KeyTerms(expires_at=int(time.time()) + 3600)
    async with (
        a_gateway(tmp_path, FakeSupplier("honest"), terms=terms, clock=clock) as gateway,
        gateway.client() as client,
    ):
        await ask(client)
        clock.passed = 3600
        with pytest.raises(openai.AuthenticationError, match="expired") as caught:
            await ask(client)
    assert caught.value.code == "invalid_api_key"


CHILD = """
import asyncio, sys
from pathlib import Path
import openai
from gateway.access.api_keys import KeyTerms
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import a_gateway
from tests.gateway.test_spending import ask, spent

async def main():
    fake, terms = FakeSupplier("honest"), KeyTerms(daily_budget=6)
    async with a_gateway(Path(sys.argv[1]), fake, url=sys.argv[2], terms=terms) as node:
        async with node.client() as client:
            while True:
                try:
                    await ask(client)
                except openai.RateLimitError:
                    break
        await node.settled()
        await node.ledger.flush()
        print(node.key, node.key_id, spent(node), flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_kill_9_does_not_give_a_budget_back(tmp_path: Path) -> None:
    fake = FakeSupplier("honest")
    server = await serve(fake.handle, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.port}"
    child = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", CHILD, str(tmp_path), url], stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2], start_new_session=True, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    key, key_id, before = (await asyncio.to_thread(child.stdout.readline)).split()
    os.killpg(child.pid, signal.SIGKILL)  # the recount worker with it
    child.wait()
    child.stdout.close()

    async with a_gateway(tmp_path, fake, url=url) as gateway, gateway.client(key) as client:
        assert gateway.ledger.spending[key_id].today == int(before) > 0
        with pytest.raises(openai.RateLimitError) as caught:
            await ask(client)
        assert caught.value.code == "insufficient_quota"
    await server.close(0)
