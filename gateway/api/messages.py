"""Reading chat messages: what each role may say, and an error that names the very part at fault."""

from typing import Any

import orjson

from gateway.errors import InvalidParameterError, UnsupportedParameterError

ROLES = ("system", "developer", "user", "assistant", "tool")
COMMON = frozenset(("role", "content", "name"))
SAID = ("reasoning", "reasoning_content", "refusal")
"""What an assistant's message may hold in the place of content."""
UNSERVED = {"audio": "only text is served", "function_call": "use tool_calls"}
"""Members that clients send back as engines write them, null; and why they are nothing else."""
ASSISTANT = COMMON | {"tool_calls", "annotations", "parsed", *SAID, *UNSERVED}
FUNCTION = frozenset(("name", "arguments", "parsed_arguments"))
"""`parsed` and `parsed_arguments` are the official Python client's own; no model sees them."""
TOOL = COMMON | {"tool_call_id"}
TEXTS = frozenset(("name", *SAID))
CALLS_MAX = 128
PICTURES = ("image_url", "input_image", "input_audio", "audio", "video_url", "file")


def check_messages(messages: Any, messages_max: int) -> None:
    """Refuse messages that no chat template is given (RequestError with the place of it)."""
    if type(messages) is not list or not messages:
        raise InvalidParameterError("messages must be a list, not empty", param="messages")
    if len(messages) > messages_max:
        raise InvalidParameterError(f"more than {messages_max} messages", param="messages")
    for index, message in enumerate(messages):
        _check_message(message, f"messages[{index}]")


def _check_message(message: Any, where: str) -> None:
    role = message.get("role") if type(message) is dict else None
    if role not in ROLES:
        raise _invalid(f"{where}.role", "one of " + ", ".join(ROLES))
    _check_members(message, role, where)
    if role == "tool" and type(message.get("tool_call_id")) is not str:
        raise _invalid(f"{where}.tool_call_id", "the id of the call it answers")
    calls = message.get("tool_calls")
    if calls is not None:
        _check_calls(calls, f"{where}.tool_calls")
    if message.get("content") is None and (calls or any(message.get(each) for each in SAID)):
        return
    _check_content(message.get("content"), f"{where}.content")


def _check_members(message: dict[str, Any], role: str, where: str) -> None:
    known = ASSISTANT if role == "assistant" else TOOL if role == "tool" else COMMON
    for name, value in message.items():
        if name not in known:
            raise InvalidParameterError(
                f"{where} has {name[:64]!r}; the {role}'s messages have {', '.join(sorted(known))}",
                param=f"{where}.{name[:64]}",
            )
        if name in TEXTS and not isinstance(value, str | None):
            raise _invalid(f"{where}.{name}", "a string")
        if name == "annotations" and not isinstance(value, list | None):
            raise _invalid(f"{where}.{name}", "a list")
        if name in UNSERVED and value is not None:
            why = f"{where}.{name} is not supported: {UNSERVED[name]}"
            raise UnsupportedParameterError(why, param=f"{where}.{name}")


def _check_calls(calls: Any, where: str) -> None:
    if type(calls) is not list or len(calls) > CALLS_MAX:
        raise _invalid(where, f"a list of at most {CALLS_MAX} calls")
    for index, call in enumerate(calls):
        function = call.get("function") if type(call) is dict else None
        if (
            type(function) is not dict
            or not call.keys() <= {"id", "type", "function", "index"}
            or call.get("type") != "function"
            or not {"name", "arguments"} <= function.keys() <= FUNCTION
            or not all(
                type(each) is str
                for each in (call.get("id"), function["name"], function["arguments"])
            )
        ):
            raise _invalid(
                f"{where}[{index}]", '{id, "type": "function", "function": {name, arguments}}'
            )
        if not _is_json(function["arguments"]):
            raise _invalid(f"{where}[{index}].function.arguments", "JSON as a string")


def _is_json(text: str) -> bool:
    """Whether templates and engines, which parse arguments, can; none at all is an empty object."""
    try:
        orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return False
    return True


def _check_content(content: Any, where: str) -> None:
    if type(content) is str:
        return
    if type(content) is not list or not content:
        raise _invalid(where, "a string or a list of text parts")
    for index, part in enumerate(content):
        kind = part.get("type") if type(part) is dict else None
        if kind in PICTURES:
            raise UnsupportedParameterError(
                f"{where}[{index}] is of type {kind}: only text is served, for the tokens of "
                "pictures and sounds cannot be counted again",
                param=f"{where}[{index}]",
            )
        if kind != "text" or type(part.get("text")) is not str or len(part) != 2:
            raise _invalid(f"{where}[{index}]", '{"type": "text", "text": a string}')


def _invalid(where: str, rule: str) -> InvalidParameterError:
    return InvalidParameterError(f"{where} must be {rule}", param=where)
