"""Tools, reasoning, echo and embeddings: through the official client, from liars too."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import orjson
import pytest

from tests.factories import WEIGHTS
from tests.gateway.fakes import FakeSupplier, encode
from tests.gateway.harness import MODEL, Gateway, a_gateway

pytestmark = pytest.mark.anyio
CALL = {"name": "get_weather", "arguments": '{"city": "Zürich"}'}
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        "strict": True,
    },
}
HI = [{"role": "user", "content": "Zürich?"}]
TALK = [
    *HI,
    {"role": "assistant", "content": None, "tool_calls": [
        {"id": "c0", "type": "function", "function": CALL}]},
    {"role": "tool", "tool_call_id": "c0", "content": "grey"},
]  # fmt: skip
SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "answer", "strict": True, "schema": {"type": "object"}},
}


def serve_embeddings(gateway: Gateway) -> None:
    """Make the gateway's one service an embedding model."""
    (session,) = gateway.table.sessions.values()
    service = replace(session.service, spec=replace(session.service.spec, task="embed"))
    gateway.table.replace(7, [replace(session, service=service)], {MODEL: service})


async def paid(gateway: Gateway) -> tuple[int, int, bool]:
    """Units claimed and receipted of the one answer given, and whether it was an over-claim."""
    await gateway.settled()
    (recount,) = gateway.recounts
    return recount.units_claimed, recount.units_receipted, recount.is_overclaim


@pytest.mark.parametrize("stream", [False, True])
async def test_tools_pass_through_and_are_counted(tmp_path: Path, stream: bool) -> None:
    fake = FakeSupplier("honest", words=[], calls=[CALL], reasoning="Look it up.")
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        asked: dict[str, Any] = {"tools": [TOOL], "tool_choice": "required",
                                 "parallel_tool_calls": False, "response_format": SCHEMA,
                                 "seed": 7, "logprobs": True, "top_logprobs": 2}  # fmt: skip
        if stream:
            parts = await client.chat.completions.create(
                model=MODEL, messages=TALK, stream=True, **asked
            )
            calls = [c.choices[0].delta.tool_calls async for c in parts if c.choices]
            (call,) = [each[0] for each in calls if each]
        else:
            answer = await client.chat.completions.create(model=MODEL, messages=TALK, **asked)
            (call,) = answer.choices[0].message.tool_calls
            assert answer.choices[0].message.reasoning == "Look it up."
        assert (call.function.name, call.function.arguments) == tuple(CALL.values())
        sent = orjson.loads(fake.bodies[0])
        assert {name: sent[name] for name in asked} == asked
        assert sent["messages"] == TALK
        claimed, receipted, is_overclaim = await paid(gateway)
        assert claimed == receipted
        assert not is_overclaim


@pytest.mark.parametrize("lie", ["padded", "prompt"])
async def test_a_call_with_inflated_counts_drops_its_supplier(tmp_path: Path, lie: str) -> None:
    fake = FakeSupplier("liar", lie, words=["I look. "], calls=[CALL], reasoning="Hm.")
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        await client.chat.completions.create(model=MODEL, messages=HI, tools=[TOOL], max_tokens=500)
        claimed, receipted, is_overclaim = await paid(gateway)
        assert is_overclaim
        assert receipted < claimed - 90
        assert gateway.standing.of(fake.supplier).is_dropped


async def test_reasoning_that_is_hidden_is_not_paid(tmp_path: Path) -> None:
    class Hiding(FakeSupplier):
        def said(self) -> dict[str, Any]:
            return {}

    fake = Hiding("hiding", reasoning="A long thought that nobody sees. " * 9)
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        await client.chat.completions.create(model=MODEL, messages=HI)
        claimed, receipted, is_overclaim = await paid(gateway)
        assert not is_overclaim  # the ids hold what is said
        assert claimed - receipted == WEIGHTS.output * len(encode(fake.written("")))


async def test_an_echoed_prompt_is_input_and_not_output(tmp_path: Path) -> None:
    fake = FakeSupplier("honest")
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        answer = await client.completions.create(
            model=MODEL, prompt="say", echo=True, best_of=1, logprobs=2
        )
        assert answer.choices[0].text == "sayHello, world"
        claimed, receipted, is_overclaim = await paid(gateway)
        assert claimed == receipted == WEIGHTS.units(3, 0, 12)
        assert not is_overclaim


@pytest.mark.parametrize(
    ("asked", "tokens"),
    [("Zürich", 7), (["ab", "c", "d"], 4), ([5, 6, 7], 3), ([[1, 2], [3]], 3)],
)
async def test_embeddings(tmp_path: Path, asked: Any, tokens: int) -> None:
    fake = FakeSupplier("honest")
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        serve_embeddings(gateway)
        answer = await client.embeddings.create(model=MODEL, input=asked, user="me")
        assert answer.data[0].embedding == [0.5, -0.5]
        assert answer.usage.prompt_tokens == tokens
        assert orjson.loads(fake.bodies[0]) == {
            "model": MODEL, "input": asked, "user": "me", "encoding_format": "base64",
        }  # fmt: skip
        assert (await client.models.retrieve(MODEL)).capabilities == ["embeddings"]
        assert await paid(gateway) == (WEIGHTS.units(tokens, 0, 0),) * 2 + (False,)


@pytest.mark.parametrize("lie", ["prompt", "vectors"])
async def test_a_lie_about_embeddings_is_not_paid(tmp_path: Path, lie: str) -> None:
    fake = FakeSupplier("liar", lie)
    texts = ["x" * 40, "y" * 40, "z" * 40]
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        serve_embeddings(gateway)
        await client.embeddings.create(
            model=MODEL, input=texts, dimensions=2, encoding_format="float"
        )
        _, receipted, is_overclaim = await paid(gateway)
        assert receipted == WEIGHTS.units(40 if lie == "vectors" else 120, 0, 0)
        assert is_overclaim


async def test_output_of_an_embedding_is_refused_before_it_is_paid(tmp_path: Path) -> None:
    fake = FakeSupplier("liar", "inflate")
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        serve_embeddings(gateway)
        with pytest.raises(openai.InternalServerError, match="reserved"):
            await client.embeddings.create(model=MODEL, input="x")
        await gateway.settled()
        assert not fake.receipts


async def test_a_service_does_one_thing(tmp_path: Path) -> None:
    async with a_gateway(tmp_path, FakeSupplier("one")) as gateway, gateway.client() as client:
        with pytest.raises(openai.BadRequestError, match=r"chat\.completions"):
            await client.embeddings.create(model=MODEL, input="x")
        serve_embeddings(gateway)
        with pytest.raises(openai.BadRequestError, match="embeddings") as caught:
            await client.chat.completions.create(model=MODEL, messages=HI)
        assert caught.value.param == "model"


async def test_a_picture_is_refused_in_words(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": "x"}}]
    async with a_gateway(tmp_path, FakeSupplier("one")) as gateway, gateway.client() as client:
        with pytest.raises(openai.BadRequestError, match="only text is served") as caught:
            await client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": parts}]
            )
        assert caught.value.param == "messages[0].content[1]"
        assert caught.value.code == "unsupported_parameter"
