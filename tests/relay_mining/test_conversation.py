"""A request made plain for its template: every form either has one meaning or is refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_mining import RESERVED_VARIABLES, ConversationError, read_conversation

names = st.sampled_from(["role", "content", "tool_calls", "function", "arguments", "name",
                         "parameters", "type", "text", "reasoning"])  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


def messages(*given: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    return read_conversation({"messages": list(given)}).messages


@given(values, values, values)
def test_any_request_is_read_or_refused(talk: object, tools: object, variables: object) -> None:
    body = {"messages": talk, "tools": tools, "chat_template_kwargs": variables}
    try:
        conversation = read_conversation(body)
    except ConversationError:
        return
    assert all(isinstance(each["content"], str) for each in conversation.messages)
    assert all("name" in each["function"] for each in conversation.tools)
    assert RESERVED_VARIABLES.isdisjoint(conversation.variables)


def test_parts_are_joined_and_null_is_empty() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    (joined, empty) = messages({"role": "user", "content": parts}, {"role": "assistant"})
    assert (joined["content"], empty["content"]) == ("a\nb", "")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('{"b":1,"a":[2]}', {"b": 1, "a": [2]}),
        ("", {}),
        (None, {}),
        ({"x": 1}, {"x": 1}),
        ("[]", {}),
        ("[1]", {}),
        ("7", {}),
    ],
)
def test_the_arguments_of_a_call_are_an_object(written: object, read: object) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": written}}
    (message,) = messages({"role": "assistant", "content": "x", "tool_calls": [call]})
    assert message["tool_calls"][0]["function"] == {"name": "f", "arguments": read}


def test_an_empty_list_of_calls_is_left_out_and_reasoning_has_both_names() -> None:
    (message,) = messages({"role": "assistant", "tool_calls": [], "reasoning_content": "hm"})
    assert message == {
        "role": "assistant", "content": "", "reasoning": "hm", "reasoning_content": "hm",
    }  # fmt: skip


def test_what_clients_send_back_beside_it_no_template_sees() -> None:
    nothing = dict.fromkeys(("refusal", "audio", "function_call", "reasoning", "name"))
    more = {"annotations": [{}], "parsed": {"a": 1}}
    (message,) = messages({"role": "assistant", "content": "x", **more, **nothing})
    assert message == {"role": "assistant", "content": "x"}
    function = {"name": "f", "arguments": "{}", "parsed_arguments": {}}
    call = {"id": "1", "type": "function", "index": 0, "function": function}
    (message,) = messages({"role": "assistant", "tool_calls": [call]})
    read = {"id": "1", "type": "function", "function": {"name": "f", "arguments": {}}}
    assert message == {"role": "assistant", "content": "", "tool_calls": [read]}


def test_a_tool_has_what_a_template_asks_for_in_one_order() -> None:
    tool = {"function": {"strict": True, "parameters": {"z": 1}, "name": "f"}}
    (read,) = read_conversation({"messages": [], "tools": [tool]}).tools
    assert list(read) == ["type", "function"]
    assert list(read["function"].items()) == [
        ("name", "f"), ("description", None), ("parameters", {"z": 1}), ("strict", True),
    ]  # fmt: skip


def test_variables_of_the_template() -> None:
    for set_by_hand, variables in (
        ({"think": False}, {"think": False}),
        ({"reasoning_effort": "high", "think": 1}, {"think": 1, "enable_thinking": True}),
        ({"enable_thinking": False}, {"enable_thinking": False}),
    ):
        body = {"messages": [], "reasoning_effort": "low", "chat_template_kwargs": set_by_hand}
        expected = {"enable_thinking": True, **variables, "reasoning_effort": "low"}
        assert read_conversation(body).variables == expected
    body = {"messages": [], "reasoning_effort": "none"}
    assert read_conversation(body).variables == {
        "enable_thinking": False, "reasoning_effort": "none",
    }  # fmt: skip
    for name in RESERVED_VARIABLES:
        with pytest.raises(ConversationError, match="anyway"):
            read_conversation({"messages": [], "chat_template_kwargs": {name: 1}})


@pytest.mark.parametrize("depth", [1_000, 100_000, 5_000_000])
def test_deep_arguments_are_no_recursion(depth: int) -> None:
    call = {"function": {"name": "f", "arguments": "[" * depth + "]" * depth}}
    try:
        messages({"role": "assistant", "tool_calls": [call]})
    except ConversationError as error:
        assert "no JSON" in str(error)
