"""Reads chat messages into what a template takes: a role and one string of text each."""

from typing import Any

from supplier.engines.embedded.errors import RequestError

__all__ = ["MESSAGES_MAX", "read_messages"]

MESSAGES_MAX = 4096
ROLES = ("system", "developer", "user", "assistant", "tool")
KNOWN = {"role", "content", "name"}
IGNORED = {"annotations", "parsed", "refusal"}  # no template is given them


def read_messages(value: Any) -> list[dict[str, Any]]:
    """Return messages as {"role", "content", "name"?}; RequestError where one is amiss.

    Text parts are joined by line feeds, as vLLM joins them.
    """
    if not isinstance(value, list) or not 1 <= len(value) <= MESSAGES_MAX:
        raise RequestError(f"messages must be a list of 1 to {MESSAGES_MAX}", "messages")
    return [_read_message(message, f"messages[{index}]") for index, message in enumerate(value)]


def _read_message(message: Any, where: str) -> dict[str, Any]:
    if not isinstance(message, dict):
        raise RequestError(f"{where} must be an object", where)
    for name, field in message.items():
        if name not in KNOWN | IGNORED and field is not None:
            raise RequestError(f"{where} has {name!r}, which this engine cannot use", where)
    if message.get("role") not in ROLES:
        raise RequestError(f"{where}.role must be one of {', '.join(ROLES)}", f"{where}.role")
    read = {"role": message["role"], "content": _read_content(message.get("content"), where)}
    name = message.get("name")
    if name is not None:
        if not isinstance(name, str):
            raise RequestError(f"{where}.name must be a string", f"{where}.name")
        read["name"] = name
    return read


def _read_content(content: Any, where: str) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not content:
        raise RequestError(f"{where}.content must be text", f"{where}.content")
    return "\n".join(_read_part(part, where) for part in content)


def _read_part(part: Any, where: str) -> str:
    if not isinstance(part, dict) or set(part) != {"type", "text"} or part["type"] != "text":
        raise RequestError(f"{where}.content may hold only text parts", f"{where}.content")
    text = part["text"]
    if not isinstance(text, str):
        raise RequestError(f"{where}.content holds a part that is not text", f"{where}.content")
    return text
