"""The official Python client, synchronous and asynchronous: what it offers, and its exceptions."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import anyio
import openai
import orjson
import pytest
from pydantic import BaseModel

from gateway.access.api_keys import KeyTerms
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, Clock, Gateway, a_gateway
from tests.gateway.test_batches import an_input, with_batches
from tests.gateway.test_kinds import CALL, TOOL, serve_embeddings

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("is_async", [True, False])]
HI: list[Any] = [{"role": "user", "content": "hi"}]
SLEEPS_MAX = 5
T = TypeVar("T")


class City(BaseModel):
    name: str
    people: int


class LikeVllm(FakeSupplier):
    """Answers with every member that vLLM gives a message, null where it has nothing to say."""

    def said(self) -> dict[str, Any]:
        nothing = dict.fromkeys(("refusal", "annotations", "audio", "function_call", "reasoning"))
        return {**nothing, "content": "".join(self.words) or None, **super().said()}


@dataclass
class Official:
    """One of the two clients; both have the same methods."""

    client: openai.OpenAI | openai.AsyncOpenAI

    async def do(self, ask: Callable[[Any], Awaitable[T] | T]) -> Any:
        if isinstance(self.client, openai.OpenAI):
            return await asyncio.to_thread(ask, self.client)
        return await ask(self.client)  # type: ignore[misc]

    async def chat(self, **asked: Any) -> Any:
        asked = {"model": MODEL, "messages": HI, "max_tokens": 50, **asked}
        return await self.do(lambda c: c.chat.completions.create(**asked))


@asynccontextmanager
async def official(gateway: Gateway, is_async: bool, **options: Any) -> AsyncIterator[Official]:
    arguments: dict[str, Any] = {
        "base_url": gateway.url + "/v1", "api_key": gateway.key, "max_retries": 0, **options,
    }  # fmt: skip
    if is_async:
        async with openai.AsyncOpenAI(**arguments) as client:
            yield Official(client)
    else:
        with openai.OpenAI(**arguments) as client:
            yield Official(client)


async def test_tools_are_called_and_answered(tmp_path: Path, is_async: bool) -> None:
    fake = FakeSupplier("honest", words=[], calls=[CALL])
    async with a_gateway(tmp_path, fake) as gateway, official(gateway, is_async) as client:
        first = await client.chat(tools=[TOOL])
        (call,) = first.choices[0].message.tool_calls
        assert (call.function.name, call.function.arguments) == tuple(CALL.values())
        fake.words, fake.calls = ["Sunny."], []
        said = first.choices[0].message.model_dump(exclude_none=True)
        answered = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
        second = await client.chat(messages=[*HI, said, answered], tools=[TOOL])
        assert second.choices[0].message.content == "Sunny."


async def test_the_messages_of_vllm_are_sent_back_as_they_came(
    tmp_path: Path, is_async: bool
) -> None:
    fake = LikeVllm("honest", words=[], calls=[CALL])
    async with a_gateway(tmp_path, fake) as gateway, official(gateway, is_async) as client:
        first = await client.chat(tools=[TOOL])
        called = first.choices[0].message
        assert "annotations" in called.model_fields_set
        result = {"role": "tool", "tool_call_id": called.tool_calls[0].id, "content": "sunny"}
        fake.words, fake.calls = ["Sunny."], []
        turns = [*HI, called, result]
        second = await client.chat(messages=turns, tools=[TOOL])
        turns += [second.choices[0].message, {"role": "user", "content": "And Bern?"}]
        third = await client.chat(messages=turns, tools=[TOOL])
        assert third.choices[0].message.content == "Sunny."
        sent = orjson.loads(fake.bodies[2])["messages"]
        assert [each["annotations"] for each in (sent[1], sent[3])] == [None, None]
        await gateway.settled()
        assert [each.is_overclaim for each in gateway.recounts] == [False] * 3
        assert all(each.units_claimed == each.units_receipted for each in gateway.recounts)


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # the client's, of itself
async def test_what_was_parsed_is_sent_back_as_it_came(tmp_path: Path, is_async: bool) -> None:
    fake = LikeVllm("honest", words=[], calls=[CALL])
    async with a_gateway(tmp_path, fake) as gateway, official(gateway, is_async) as client:

        async def parse(messages: list[Any]) -> Any:
            answer = await client.do(
                lambda c: c.chat.completions.parse(
                    model=MODEL, messages=messages, tools=[TOOL], response_format=City
                )
            )
            return answer.choices[0].message

        called = await parse(HI)
        assert called.tool_calls[0].function.parsed_arguments is not None
        result = {"role": "tool", "tool_call_id": called.tool_calls[0].id, "content": "sunny"}
        fake.words, fake.calls = ['{"name":"Oslo","people":717710}'], []
        turns = [*HI, called, result]
        turns += [await parse(turns), *HI]
        assert (await parse(turns)).parsed == City(name="Oslo", people=717710)
        sent = orjson.loads(fake.bodies[2])["messages"]
        assert sent[3]["parsed"] == {"name": "Oslo", "people": 717710}
        await gateway.settled()
        assert [each.is_overclaim for each in gateway.recounts] == [False] * 3
        assert all(each.units_claimed == each.units_receipted for each in gateway.recounts)


async def test_structured_outputs_are_parsed(tmp_path: Path, is_async: bool) -> None:
    fake = FakeSupplier("honest", words=['{"name":"Oslo",', '"people":717710}'])
    async with a_gateway(tmp_path, fake) as gateway, official(gateway, is_async) as client:
        answer = await client.do(
            lambda c: c.chat.completions.parse(
                model=MODEL, messages=HI, response_format=City, max_tokens=100
            )
        )
        assert answer.choices[0].message.parsed == City(name="Oslo", people=717710)
        sent = orjson.loads(fake.bodies[0])["response_format"]
        assert sent["json_schema"]["name"] == "City"


async def test_embeddings(tmp_path: Path, is_async: bool) -> None:
    async with a_gateway(tmp_path, FakeSupplier("honest")) as gateway:
        serve_embeddings(gateway)
        async with official(gateway, is_async) as client:
            found = await client.do(lambda c: c.embeddings.create(model=MODEL, input=["a", "b"]))
            assert [each.embedding for each in found.data] == [[0.5, -0.5], [0.5, -0.5]]


async def test_files_and_batches(tmp_path: Path, is_async: bool) -> None:
    async with (
        a_gateway(tmp_path, FakeSupplier("honest")) as gateway,
        with_batches(gateway),
        official(gateway, is_async) as client,
    ):
        data = an_input(3)
        file = await client.do(lambda c: c.files.create(file=("a.jsonl", data), purpose="batch"))
        assert [each.id for each in (await client.do(lambda c: c.files.list())).data] == [file.id]
        batch = await client.do(
            lambda c: c.batches.create(
                input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
            )
        )
        async with asyncio.timeout(60):
            while batch.status not in ("completed", "failed"):
                await asyncio.sleep(0.05)
                batch = await client.do(lambda c, name=batch.id: c.batches.retrieve(name))
        output = await client.do(lambda c: c.files.content(batch.output_file_id))
        lines = [orjson.loads(each) for each in output.text.splitlines()]
        assert [each["custom_id"] for each in lines] == ["line-0", "line-1", "line-2"]
        assert (await client.do(lambda c: c.files.delete(file.id))).deleted


EXCEPTIONS: list[tuple[dict[str, Any], str, type[openai.APIStatusError], str]] = [
    ({"temperature": 9}, "", openai.BadRequestError, "invalid_value"),
    ({"messages": [{"role": "user", "content": "hi " * 400}]}, "context", openai.BadRequestError,
     "context_length_exceeded"),
    ({"model": "none"}, "", openai.NotFoundError, "model_not_found"),
    ({"extra_headers": {"authorization": "Bearer no"}}, "", openai.AuthenticationError,
     "invalid_api_key"),
    ({"extra_headers": {"lode-price-max": "1"}}, "", openai.APIStatusError, "price_above_cap"),
    ({}, "500", openai.InternalServerError, "upstream_broken"),
    ({}, "429", openai.InternalServerError, "upstream_refused"),
    ({}, "hang", openai.InternalServerError, "upstream_timeout"),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "lie", "kind", "code"), EXCEPTIONS)
async def test_its_exceptions(
    tmp_path: Path, is_async: bool, asked: dict[str, Any], lie: str,
    kind: type[openai.APIStatusError], code: str,
) -> None:  # fmt: skip
    async with (
        a_gateway(tmp_path, FakeSupplier("one", lie)) as gateway,
        official(gateway, is_async) as client,
    ):
        with pytest.raises(openai.APIStatusError) as caught:
            await client.chat(**asked)
        assert type(caught.value) is kind
        assert caught.value.code == code
        assert (caught.value.request_id or "").startswith("req_")


async def test_a_key_without_the_model_and_one_that_is_spent(
    tmp_path: Path, is_async: bool
) -> None:
    terms = KeyTerms(models=["another"])
    async with (
        a_gateway(tmp_path / "scope", FakeSupplier("one"), terms=terms) as gateway,
        official(gateway, is_async) as client,
    ):
        with pytest.raises(openai.PermissionDeniedError):
            await client.chat()
    async with (
        a_gateway(tmp_path / "spent", FakeSupplier("one"), terms=KeyTerms(daily_budget=0)) as spent,
        official(spent, is_async, max_retries=SLEEPS_MAX) as client,
    ):
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat()
        assert caught.value.code == "insufficient_quota"
        assert caught.value.response.headers["x-should-retry"] == "false"


async def test_its_retries_wait_for_as_long_as_they_are_told(
    tmp_path: Path, is_async: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, waits = Clock(), list[float]()

    def pass_on(seconds: float) -> None:
        waits.append(seconds)
        clock.passed += seconds

    async def pass_async(seconds: float) -> None:
        pass_on(seconds)

    async with (
        a_gateway(
            tmp_path, FakeSupplier("one"), terms=KeyTerms(requests_per_minute=2), clock=clock
        ) as gateway,
        official(gateway, is_async, max_retries=1) as client,
    ):
        monkeypatch.setattr(anyio, "sleep", pass_async)
        monkeypatch.setattr(time, "sleep", pass_on)
        for _ in range(4):
            await client.chat()
    assert len(waits) == 2
    # two a minute: each further one waits for about half of it, in whole seconds
    assert all(25 <= each <= 31 for each in waits)
