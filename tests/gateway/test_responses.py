"""`client.responses.create` of the official client, over chat completions."""

from pathlib import Path
from typing import Any

import anyio
import openai
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.messages import check_messages
from gateway.api.responses.events import EventTranslator
from gateway.api.responses.objects import ResponseObject
from gateway.api.responses.requests import read_chat
from gateway.errors import RequestError
from gateway.routing.costs import cost_of
from tests.factories import WEIGHTS
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, a_gateway

SCRIPT = Path(__file__).with_name("finish_response.mjs")
TOOL = {"type": "function", "name": "add", "parameters": {"type": "object"}, "strict": True}
CALLS = [{"name": "add", "arguments": '{"a":1}'}, {"name": "add", "arguments": '{"a":2}'}]


@pytest.mark.anyio
async def test_a_text(tmp_path: Path) -> None:
    fake = FakeSupplier("one", reasoning="Hm.")
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        answer = await client.responses.create(
            model=MODEL, input="hi", instructions="Be brief.", max_output_tokens=50,
            metadata={"a": "b"},
        )  # fmt: skip
        assert (answer.output_text, answer.status) == ("Hello, world", "completed")
        assert [each.type for each in answer.output] == ["reasoning", "message"]
        assert (answer.instructions, answer.metadata) == ("Be brief.", {"a": "b"})
        sent = orjson.loads(fake.bodies[0])
        assert sent["messages"] == [
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"},
        ]  # fmt: skip
        assert sent["max_completion_tokens"] == 50
        assert answer.usage is not None
        units = next(iter(fake.responses.values())).units
        assert answer.usage.model_dump()["cost"] == cost_of(units, 1000)
        await gateway.settled()
        assert [each.units for each in fake.receipts.values()] == [units]


@pytest.mark.anyio
async def test_tools_and_their_results(tmp_path: Path) -> None:
    fake = FakeSupplier("one", words=[], calls=CALLS)
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        first = await client.responses.create(
            model=MODEL, input=[{"role": "user", "content": "add"}], tools=[TOOL],  # type: ignore[list-item]
            tool_choice={"type": "function", "name": "add"},
        )  # fmt: skip
        calls = [each for each in first.output if each.type == "function_call"]
        assert [each.arguments for each in calls] == ['{"a":1}', '{"a":2}']
        fake.calls, fake.words = [], ["3"]
        results: Any = [
            {"type": "function_call_output", "call_id": each.call_id, "output": "3"}
            for each in calls
        ]
        items: Any = [{"role": "user", "content": [{"type": "input_text", "text": "add"}]},
                      *[each.model_dump() for each in first.output], *results]  # fmt: skip
        second = await client.responses.create(model=MODEL, input=items, tools=[TOOL])  # type: ignore[list-item]
        assert second.output_text == "3"
        roles = [each["role"] for each in orjson.loads(fake.bodies[1])["messages"]]
        assert roles == ["user", "assistant", "tool", "tool"]


@pytest.mark.anyio
@pytest.mark.parametrize("calls", [[], CALLS])
async def test_a_stream_tells_every_step(tmp_path: Path, calls: list[dict[str, str]]) -> None:
    fake = FakeSupplier("one", reasoning="" if calls else "Hm.", calls=calls)
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        text, events = "", []
        async with client.responses.stream(model=MODEL, input="hi", tools=[TOOL]) as stream:  # type: ignore[list-item]
            async for event in stream:
                events.append(event)
                text += event.delta if event.type == "response.output_text.delta" else ""
            final = await stream.get_final_response()
        assert text == final.output_text == "Hello, world"
        assert [each.sequence_number for each in events] == list(range(len(events)))
        assert events[0].type == "response.created"
        assert events[-1].type == "response.completed"
        assert final.usage is not None
        assert final.usage.model_dump()["cost"] > 0
        found = [each.arguments for each in final.output if each.type == "function_call"]
        assert found == [each["arguments"] for each in calls]
        added = [each for each in events if each.type == "response.output_item.added"]
        assert len(added) == len(final.output)
        await gateway.settled()
        assert WEIGHTS.request < sum(each.units for each in fake.receipts.values())


@pytest.mark.anyio
async def test_every_part_of_a_stream_is_added_told_and_done(tmp_path: Path) -> None:
    fake = FakeSupplier("one", reasoning="Hm.")
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        stream = await client.responses.create(model=MODEL, input="hi", stream=True)
        events = [event async for event in stream]
    for kind, text in (("reasoning_text", "Hm."), ("output_text", "Hello, world")):
        (added,) = [each for each in events if each.type == "response.content_part.added"
                    and each.part.type == kind]  # fmt: skip
        own = [each for each in events if getattr(each, "item_id", "") == added.item_id]
        kinds = [each.type.removeprefix("response.") for each in own]
        told = [each.delta for each in own if each.type == f"response.{kind}.delta"]
        ends = [f"{kind}.done", "content_part.done"]
        assert kinds == ["content_part.added", *[f"{kind}.delta"] * len(told), *ends]
        assert (added.part.text, "".join(told), own[-1].part.text) == ("", text, text)


@pytest.mark.anyio
async def test_the_node_client_finishes_a_response_that_was_thought_about(tmp_path: Path) -> None:
    async with a_gateway(tmp_path, FakeSupplier("one", reasoning="Hm.")) as gateway:
        argv = ["node", str(SCRIPT), gateway.url + "/v1", gateway.key, MODEL]
        with anyio.fail_after(60):
            done = await anyio.run_process(argv, check=False)
        assert done.returncode == 0, done.stderr.decode()
        made = orjson.loads(done.stdout)
    texts = {each["type"]: each["content"][0]["text"] for each in made["output"]}
    assert texts == {"reasoning": "Hm.", "message": "Hello, world"}
    assert (made["output_text"], made["status"]) == ("Hello, world", "completed")


@pytest.mark.anyio
async def test_an_answer_that_is_no_json_is_the_suppliers_fault(tmp_path: Path) -> None:
    async with a_gateway(tmp_path, FakeSupplier("one", "torn")) as gateway:
        async with gateway.client() as client:
            with pytest.raises(openai.InternalServerError) as caught:
                await client.responses.create(model=MODEL, input="hi")
        assert (caught.value.status_code, caught.value.code) == (502, "upstream_invalid")
        await gateway.settled()
        assert [each.units_receipted for each in gateway.recounts] == [WEIGHTS.units(8, 0, 0)]


@pytest.mark.anyio
async def test_a_stream_that_breaks_is_a_failed_response(tmp_path: Path) -> None:
    async with a_gateway(tmp_path, FakeSupplier("one", "stall")) as gateway:
        async with gateway.client() as client:
            stream = await client.responses.create(model=MODEL, input="hi", stream=True)
            events = [event async for event in stream]
        assert events[-1].type == "response.failed"
        assert events[-1].response.error is not None
        assert events[-1].response.error.code == "upstream_timeout"


@pytest.mark.anyio
async def test_refusals_name_the_parameter_and_are_counted(tmp_path: Path) -> None:
    async with a_gateway(tmp_path, FakeSupplier("one")) as gateway, gateway.client() as client:
        cases: list[tuple[dict[str, Any], str]] = [
            ({"previous_response_id": "resp_1"}, "previous_response_id"),
            ({"store": True}, "store"),
            ({"background": True}, "background"),
            ({"tools": [{"type": "web_search"}]}, "tools[0]"),
            ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0]"),
            ({"input": []}, "input"),
            ({"text": {"format": {"type": "grammar"}}}, "response_format"),
            ({"extra_body": {"zz": 1}}, "zz"),
        ]
        for members, param in cases:
            with pytest.raises(openai.BadRequestError) as caught:
                await client.responses.create(**{"model": MODEL, "input": "hi", **members})
            assert caught.value.param == param
        with pytest.raises(openai.NotFoundError):
            await client.responses.create(model="none", input="hi")
        found = gateway.ledger.requests.summary()
        assert found["requests"] == found["refused"] == len(cases) + 1


@pytest.mark.anyio
async def test_structured_outputs_and_idempotency(tmp_path: Path) -> None:
    fake = FakeSupplier("one", words=['{"a":', "1}"])
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    async with a_gateway(tmp_path, fake) as gateway, gateway.client() as client:
        ids = set()
        for _ in range(2):
            answer = await client.responses.create(
                model=MODEL, input="hi", extra_headers={"idempotency-key": "k"},
                text={"format": {"type": "json_schema", "name": "a", "schema": schema}},
            )  # fmt: skip
            assert orjson.loads(answer.output_text) == {"a": 1}
            ids.add(answer.id)
        assert (len(ids), fake.served) == (1, 1)
        sent = orjson.loads(fake.bodies[0])["response_format"]
        assert sent == {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["type", "role", "content", "text", "name", "format", "effort", "x"]),
        inner | st.sampled_from(["message", "function_call", "function", "json_schema", "user"]),
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


def test_a_call_is_of_the_message_before_it_and_results_may_be_parts() -> None:
    call = {"type": "function_call", "call_id": "c0", "name": "add", "arguments": "{}"}
    parts = [{"type": "input_text", "text": "3"}, {"type": "input_text", "text": "!"}]
    items = [
        {"role": "user", "content": "add"},
        {"type": "reasoning", "summary": []},
        {"type": "message", "role": "assistant",
         "content": [{"type": "output_text", "text": "I add."}]},
        call,
        {**call, "call_id": "c1"},
        {"type": "function_call_output", "call_id": "c0", "output": parts},
        {"type": "function_call_output", "call_id": "c1", "output": "4"},
        call,
    ]  # fmt: skip
    read = read_chat({"model": "m", "input": items})["messages"]
    roles = ["user", "assistant", "tool", "tool", "assistant"]
    assert [each["role"] for each in read] == roles
    assert read[1]["content"] == [{"type": "text", "text": "I add."}]
    assert [each["id"] for each in read[1]["tool_calls"]] == ["c0", "c1"]
    assert [each["id"] for each in read[4]["tool_calls"]] == ["c0"]
    assert read[2]["content"] == [{"type": "text", "text": "3"}, {"type": "text", "text": "!"}]
    check_messages(read, 10)
    with pytest.raises(RequestError) as caught:
        picture = [{"type": "input_image", "image_url": "x"}]
        read_chat({"model": "m", "input": [{**items[5], "output": picture}]})
    assert caught.value.param == "input[0].output[0]"


def test_what_a_chat_takes_too_is_handed_on() -> None:
    said = {"prompt_cache_key": "a", "safety_identifier": "b"}
    asked = {"text": {"verbosity": "low"}, "reasoning": {"effort": "minimal"}}
    read = read_chat({"model": "m", "input": "hi", **said, **asked})
    expected = {**said, "model": "m", "verbosity": "low", "reasoning_effort": "minimal"}
    assert {name: value for name, value in read.items() if name != "messages"} == expected
    with pytest.raises(RequestError, match="known are model, temperature"):
        read_chat({"model": "m", "input": "hi", "zz": 1})


NAMES = ["input", "instructions", "tools", "tool_choice", "text", "reasoning", "metadata", "store"]


@given(st.dictionaries(st.sampled_from(NAMES), values, max_size=4))
def test_any_request_is_translated_or_refused(members: dict[str, Any]) -> None:
    try:
        read_chat({"model": "m", "input": "hi", **members})
    except RequestError as error:
        assert error.status == 400


@pytest.mark.parametrize(
    "said", [b'"error":{"code":%b,"message":%b}', b'"usage":{"prompt_tokens":1,"cost":%b,"x":%b}']
)
def test_what_a_supplier_nests_deep_is_not_in_a_response(said: bytes) -> None:
    deep = b"[" * 900 + b"]" * 900
    translator = EventTranslator(ResponseObject({}, "x", 0))
    made = translator.translate(b"data: {%b}\n\n" % (said % (deep, deep)))
    made += b"".join(translator.end())
    assert b"event: response." in made
    assert b"[[" not in made
