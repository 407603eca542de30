"""What a request for a response asks for, said as a chat completion."""

from typing import Any

from gateway.errors import (
    InvalidParameterError,
    MissingParameterError,
    UnknownParameterError,
    UnsupportedParameterError,
)

Members = dict[str, Any]
SAME = (
    "model", "temperature", "top_p", "user", "metadata", "parallel_tool_calls", "stream",
    "service_tier", "prompt_cache_key", "safety_identifier",
)  # fmt: skip
ACCEPTED = (
    *SAME, "input", "instructions", "max_output_tokens", "tools", "tool_choice", "text",
    "reasoning", "store", "truncation", "include", "stream_options",
)  # fmt: skip
UNSUPPORTED = {
    "previous_response_id": "nothing is stored: send the earlier items in input",
    "conversation": "nothing is stored: send the earlier items in input",
    "background": "send a batch instead",
    "prompt": "nothing is stored: send instructions and input",
}
TEXTS = ("input_text", "output_text", "text")


def read_chat(asked: Members) -> Members:
    """The members of the chat completion that a response is made of; raises RequestError."""
    for name, value in asked.items():
        if name in UNSUPPORTED and not _is_off(value):
            raise UnsupportedParameterError(f"{name}: {UNSUPPORTED[name]}", param=name)
        if name not in ACCEPTED and name not in UNSUPPORTED:
            raise UnknownParameterError(
                f"unrecognized request argument {name[:64]}; known are {', '.join(ACCEPTED)}",
                param=name,
            )
    if not _is_off(asked.get("store")):
        raise UnsupportedParameterError("store: nothing is stored; leave it out", param="store")
    if asked.get("input") in (None, "", []):
        raise MissingParameterError("you must provide input", param="input")
    chat = {name: asked[name] for name in SAME if asked.get(name) is not None}
    chat["messages"] = _read_messages(asked)
    if asked.get("max_output_tokens") is not None:
        chat["max_completion_tokens"] = asked["max_output_tokens"]
    if chat.get("stream"):
        chat["stream_options"] = {"include_usage": True}
    _read_tools(asked, chat)
    _read_text(asked, chat)
    effort = _object(asked, "reasoning").get("effort")
    if effort is not None:
        chat["reasoning_effort"] = effort
    return chat


def _is_off(value: Any) -> bool:
    return value is None or value is False


def _object(asked: Members, name: str) -> Members:
    value = asked.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidParameterError(f"{name} must be an object", param=name)
    return value


def _read_messages(asked: Members) -> list[Members]:
    messages: list[Members] = []
    if asked.get("instructions"):
        messages.append({"role": "system", "content": asked["instructions"]})
    items = asked["input"]
    if isinstance(items, str):
        return [*messages, {"role": "user", "content": items}]
    if not isinstance(items, list):
        raise InvalidParameterError("input must be a string or a list of items", param="input")
    for index, item in enumerate(items):
        _read_item(item, f"input[{index}]", messages)
    return messages


def _read_item(item: Any, where: str, messages: list[Members]) -> None:
    kind = item.get("type", "message") if isinstance(item, dict) else None
    if kind == "message":
        content = _read_content(item.get("content"), f"{where}.content")
        messages.append({"role": item.get("role"), "content": content})
    elif kind == "function_call":
        function = {"name": item.get("name"), "arguments": item.get("arguments")}
        call = {"id": item.get("call_id"), "type": "function", "function": function}
        if not messages or messages[-1]["role"] != "assistant":
            messages.append({"role": "assistant", "content": None})
        messages[-1].setdefault("tool_calls", []).append(call)
    elif kind == "function_call_output":
        output = _read_content(item.get("output"), f"{where}.output")
        messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": output})
    elif kind != "reasoning":
        raise UnsupportedParameterError(
            f"{where} is no message, function_call, function_call_output or reasoning", param=where
        )


def _read_content(content: Any, where: str) -> Any:
    if not isinstance(content, list):
        return content
    for index, part in enumerate(content):
        if not isinstance(part, dict) or part.get("type") not in TEXTS:
            raise UnsupportedParameterError(
                f"{where}[{index}] is no text: only text is served", param=f"{where}[{index}]"
            )
    return [{"type": "text", "text": part.get("text")} for part in content]


def _read_tools(asked: Members, chat: Members) -> None:
    tools = asked.get("tools")
    if tools is not None:
        if not isinstance(tools, list) or not all(isinstance(each, dict) for each in tools):
            raise InvalidParameterError("tools must be a list of functions", param="tools")
        for index, tool in enumerate(tools):
            if tool.get("type") != "function":
                raise UnsupportedParameterError(
                    f"tools[{index}] is no function: none is run here", param=f"tools[{index}]"
                )
        names = ("name", "description", "parameters", "strict")
        chat["tools"] = [
            {"type": "function", "function": {n: each[n] for n in names if each.get(n) is not None}}
            for each in tools
        ]
    choice = asked.get("tool_choice")
    if isinstance(choice, dict):
        choice = {"type": choice.get("type"), "function": {"name": choice.get("name")}}
    if choice is not None:
        chat["tool_choice"] = choice


def _read_text(asked: Members, chat: Members) -> None:
    text = _object(asked, "text")
    if text.get("verbosity") is not None:
        chat["verbosity"] = text["verbosity"]
    wanted = _object(text, "format")
    if wanted.get("type") == "json_schema":
        names = ("name", "description", "schema", "strict")
        schema = {name: wanted[name] for name in names if wanted.get(name) is not None}
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif wanted.get("type", "text") != "text":
        chat["response_format"] = {"type": wanted["type"]}
