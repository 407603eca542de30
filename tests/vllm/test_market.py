"""A market on two real vLLM suppliers, one by URL and one a child, from a stock client to money."""

import asyncio
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from openai import APIError, APIStatusError, AsyncOpenAI, BadRequestError, OpenAI
from rich.console import Console

from localnet import EnginePlan, LocalMarket, MarketPlan, Terms
from localnet.chain import free_port
from localnet.demo import Demo
from localnet.nodes import SupplierNode
from localnet.provision import MODEL
from tests.vllm.parts import (
    NEVER_END,
    START_S_MAX,
    Vllm,
    child_engine,
    engine_metric,
    is_running,
    processes_of,
    until,
)

pytestmark = [pytest.mark.e2e, pytest.mark.anvil]
STORY = "Tell me a story."
RUNNING = "vllm:num_requests_running"
LEAVING = 8
"""Clients that go away at once."""
CLOSED = (
    "/tokenize", "/detokenize", "/invocations", "/score", "/v1/score", "/pooling", "/load",
    "/generative_scoring", "/scale_elastic_ep", "/inference/v1/generate", "/v1/responses",
    "/v1/messages", "/v1/chat/completions/batch", "/v1/load_lora_adapter", "/version",
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """The market, its engines, and a client."""

    market: LocalMarket
    child_url: str
    remote_url: str
    client: OpenAI

    @property
    def child(self) -> SupplierNode:
        return self.market.suppliers[0]

    def ask(self, text: str = STORY, **options: Any) -> Any:
        messages = [{"role": "user", "content": text}]
        values: dict[str, Any] = {"max_tokens": 32, "temperature": 0.0, **options}
        return self.client.chat.completions.create(model=MODEL, messages=messages, **values)  # type: ignore[call-overload]

    def usage(self) -> dict[str, Any]:
        totals: dict[str, Any] = self.market.run_gateway("status")["total"]
        return totals

    def engine_of(self, supplier: SupplierNode) -> dict[str, Any]:
        live: dict[str, Any] = self.market.supplier_status(supplier)["live"]["engines"][0]
        return live


@pytest.fixture(scope="module")
def world(vllm: Vllm) -> Iterator[World]:
    port = free_port()
    remote = EnginePlan(kind="vllm", url=vllm.wait().url, start_s_max=START_S_MAX)
    engines = (child_engine(port), remote)
    plan = MarketPlan(suppliers=2, engines=engines, terms=Terms(session_blocks=24))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUPPLIER_SERVER__DRAIN_S", "60")
        yield from run_market(plan, port, vllm)


def run_market(plan: MarketPlan, port: int, vllm: Vllm) -> Iterator[World]:
    with LocalMarket.start(plan) as market:
        client = OpenAI(base_url=market.base_url, api_key=market.api_key, max_retries=0)
        yield World(market, f"http://127.0.0.1:{port}", vllm.url, client)


def test_both_suppliers_serve_and_every_count_is_recounted_exactly(world: World) -> None:
    async def ask_many() -> list[Any]:
        market = world.market
        async with AsyncOpenAI(base_url=market.base_url, api_key=market.api_key) as client:
            return await asyncio.gather(
                *(
                    client.chat.completions.create(
                        model=MODEL,
                        messages=[{"role": "user", "content": STORY}],
                        max_tokens=24,
                        temperature=1.0,
                        seed=number,
                    )
                    for number in range(16)
                )
            )

    def both_have_served() -> bool:
        """A supplier that is a block behind the gateway refuses at first, and is left alone."""
        assert all(each.usage.completion_tokens > 0 for each in asyncio.run(ask_many()))
        suppliers = world.market.run_gateway("status")["suppliers"]
        return len(suppliers) == 2 and all(each["requests"] > 0 for each in suppliers.values())

    until(both_have_served, "only one supplier serves", 120.0)
    assert_exact(world)


def assert_exact(world: World) -> None:
    """All that was served is recounted to the very same units, in time."""
    until(
        lambda: (usage := world.usage())["units_receipted"] == usage["units_served"] > 0,
        "the recount is not equal to the signed counts",
    )
    assert world.usage()["overclaims"] == 0


def test_a_stream_says_what_the_plain_answer_says(world: World) -> None:
    plain = world.ask()
    chunks = list(world.ask(stream=True, stream_options={"include_usage": True}))

    text = "".join(each.choices[0].delta.content or "" for each in chunks if each.choices)
    assert text == plain.choices[0].message.content
    assert chunks[-1].usage.completion_tokens == plain.usage.completion_tokens
    assert [each.usage for each in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-2].choices[0].finish_reason == plain.choices[0].finish_reason


def test_what_vllm_can_do_comes_through(world: World) -> None:
    several = world.ask(n=3, temperature=1.0, seed=4)
    again = world.ask(n=3, temperature=1.0, seed=4)
    stopped = world.ask(stop=["."])
    scored = world.ask(logprobs=True, top_logprobs=2, max_tokens=4)
    numbered = world.ask(max_tokens=4, extra_body={"return_token_ids": True})
    written = world.client.completions.create(
        model=MODEL, prompt=["Once upon a time", "Hello"], max_tokens=6, temperature=0.0
    )

    texts = [each.message.content for each in several.choices]
    assert len(texts) == 3
    assert texts == [each.message.content for each in again.choices]
    assert "." not in stopped.choices[0].message.content
    assert stopped.choices[0].finish_reason == "stop"
    assert [len(each.top_logprobs) for each in scored.choices[0].logprobs.content] == [2] * 4
    assert len(numbered.choices[0].token_ids) == 4
    assert len(written.choices) == 2
    assert_exact(world)


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_beyond_the_context_is_the_client_s_error(world: World, stream: bool) -> None:
    before = world.usage()["units_served"]
    with pytest.raises(BadRequestError) as caught:
        world.ask("Hello there. " * 400, stream=stream)

    assert caught.value.code == "context_length_exceeded"
    assert "maximum context length is 1024 tokens" in caught.value.message
    assert world.usage()["units_served"] == before


def test_vllm_s_own_words_on_a_bad_request_reach_the_client(world: World) -> None:
    with pytest.raises(BadRequestError, match="vocab"):
        world.client.completions.create(model=MODEL, prompt=[100_000], max_tokens=2)


def test_clients_that_leave_stop_the_engine_and_pay_for_what_they_got(world: World) -> None:
    """They ask for so much that no engine is done before it hears of their leaving."""
    engines = (world.child_url, world.remote_url)
    before, made = world.usage(), sum(map(generated, engines))
    asked = asyncio.run(leave_early(world))

    until(
        lambda: not any(engine_metric(url, RUNNING) for url in engines),
        "the engine goes on",
    )
    assert sum(map(generated, engines)) - made < asked / 2, "stopped long before its limit"
    left = before["client_aborts"] + LEAVING
    until(lambda: world.usage()["client_aborts"] == left, "an abort was not noted")
    until(lambda: world.usage()["units_receipted"] > before["units_receipted"], "nothing is paid")
    paid = world.usage()["output_tokens"] - before["output_tokens"]
    assert 7 * LEAVING <= paid < asked / 2
    assert_exact(world)


async def leave_early(world: World) -> int:
    """Clients begin to read long streams, and go; returns the tokens they asked for."""
    market, choices, tokens = world.market, 5, 900
    async with AsyncOpenAI(
        base_url=market.base_url, api_key=market.api_key, max_retries=0
    ) as client:

        async def leave() -> None:
            stream = await client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": STORY}], stream=True,
                n=choices, max_tokens=tokens, extra_body={"logit_bias": NEVER_END},
            )  # fmt: skip
            for _ in range(choices + 7):  # each choice begins with a chunk of no token
                await anext(stream)
            await stream.close()

        await asyncio.gather(*(leave() for _ in range(LEAVING)))
    return LEAVING * choices * tokens


def generated(url: str) -> float:
    return engine_metric(url, "vllm:generation_tokens_total")


def test_only_inference_can_be_reached_from_outside(world: World) -> None:
    body = {"model": MODEL, "prompt": "Hi", "text_1": "Hi", "text_2": "Ho"}
    assert httpx.post(world.remote_url + "/tokenize", json=body).status_code == 200
    for supplier in world.market.suppliers:
        for path in CLOSED:
            for answer in (
                httpx.get(supplier.url + path),
                httpx.post(supplier.url + path, json=body),
            ):
                assert (answer.status_code, answer.json()["error"]["code"]) == (
                    404,
                    "path_not_served",
                ), path
    assert "vllm:" not in httpx.get(world.child.url + "/metrics").text


def test_the_engine_s_queue_is_shown(world: World) -> None:
    for supplier in world.market.suppliers:
        shown = world.engine_of(supplier)
        assert shown["up"]
        assert {"running", "waiting", "kv_cache_used"} <= shown.keys()
    page = httpx.get(world.child.url + "/metrics").text
    assert 'supplier_engine_up{engine="engine"} 1.0' in page
    assert 'supplier_engine_requests{engine="engine",state="waiting"}' in page


def test_an_engine_killed_under_load_costs_nobody_anything(world: World) -> None:
    """Plain answers come from the other supplier, broken streams are not charged."""
    seen = asyncio.run(kill_under_load(world))

    assert seen.plain_failed == 0
    assert seen.streams_broken > 0
    until(lambda: world.engine_of(world.child)["up"], "the engine is not back", START_S_MAX)
    assert world.engine_of(world.child)["restarts"] == 1
    assert_exact(world)


@dataclass
class Crowd:
    """Clients of which some stream for long and some ask for a plain answer."""

    client: AsyncOpenAI
    streaming: int = 0
    streams_broken: int = 0
    plain_failed: int = 0

    async def stream(self) -> None:
        try:
            chunks = await self._ask(
                stream=True, n=4, max_tokens=200, extra_body={"logit_bias": NEVER_END}
            )
            await anext(chunks)
            self.streaming += 1
            async for _ in chunks:
                pass
        except APIError:
            self.streams_broken += 1

    async def plain(self) -> None:
        try:
            await self._ask(max_tokens=16)
        except APIStatusError:
            self.plain_failed += 1

    async def _ask(self, **options: Any) -> Any:
        messages = [{"role": "user", "content": STORY}]
        return await self.client.chat.completions.create(model=MODEL, messages=messages, **options)


async def kill_under_load(world: World) -> Crowd:
    victim = processes_of(world.child_url)[0]
    async with (
        AsyncOpenAI(
            base_url=world.market.base_url, api_key=world.market.api_key, max_retries=0
        ) as client,
        asyncio.TaskGroup() as tasks,
    ):
        crowd = Crowd(client)
        for _ in range(8):
            tasks.create_task(crowd.stream())
        async with asyncio.timeout(60):
            while crowd.streaming < 8:
                await asyncio.sleep(0.01)
            while not await asyncio.to_thread(engine_metric, world.child_url, RUNNING):
                tasks.create_task(crowd.stream())  # who refused of late is asked less
                await asyncio.sleep(0.5)
        os.kill(victim, signal.SIGKILL)
        for _ in range(8):
            tasks.create_task(crowd.plain())
        for _ in range(4):
            await crowd.plain()
    return crowd


def test_what_vllm_served_is_claimed_proved_and_paid(world: World) -> None:
    result = asyncio.run(Demo(world.market, Console(quiet=True)).run())

    assert all(each["paid"] > 0 and each["slashed"] == 0 for each in result["suppliers"])
    counts = [(each["served"], each["receipted"]) for each in result["suppliers"]]
    assert all(served == receipted for served, receipted in counts), counts
    assert result["conserved"]
    assert result["outcomes"].keys() == {"plain", "streamed", "abandoned"}


def test_a_supplier_that_is_told_to_stop_finishes_its_streams_and_ends_its_engine(
    world: World,
) -> None:
    engine = processes_of(world.child_url)
    tokens = asyncio.run(stop_while_streaming(world))

    assert tokens == [60] * 6
    until(lambda: not world.child.node.is_alive(), "the supplier does not end")
    assert world.child.node.process.wait() == 0
    assert not any(is_running(pid) for pid in engine)


async def stop_while_streaming(world: World) -> list[int]:
    market = world.market
    async with AsyncOpenAI(
        base_url=market.base_url, api_key=market.api_key, max_retries=0
    ) as client:
        streams = await asyncio.gather(
            *(
                client.chat.completions.create(
                    model=MODEL,
                    messages=[{"role": "user", "content": STORY}],
                    max_tokens=60,
                    stream=True,
                    stream_options={"include_usage": True},
                    extra_body={"logit_bias": NEVER_END},
                )
                for _ in range(6)
            )
        )
        os.kill(world.child.node.process.pid, signal.SIGTERM)
        return await asyncio.gather(*(count(each) for each in streams))


async def count(stream: Any) -> int:
    usage = [chunk.usage.completion_tokens async for chunk in stream if chunk.usage is not None]
    return int(usage[-1])
