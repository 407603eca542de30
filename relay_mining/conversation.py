"""What a chat template is given of a request: its messages, tools and variables, made plain.

Engines do not hand a client's JSON to the template as it is. The form given here is the one that
the rule for input tokens counts, and what vLLM and the embedded engine do:

* of a message the template sees `SEEN`, where it is not null, and nothing else that clients send
  back; of a call its id, type, name and arguments;
* parts of text are joined by line feeds, content that is null is empty;
* the arguments of an assistant's tool calls are the object their text stands for, or an empty one,
  and an empty list of calls is left out;
* reasoning that a client sends back has both of its names, `reasoning` and `reasoning_content`;
* a tool has its `type`, and its function `name`, `description` and `parameters`, null where the
  client left them out, before whatever else it carries;
* `chat_template_kwargs` are variables of the template; so is `reasoning_effort`, which comes first,
  and says `enable_thinking` (for all but "none") where the former do not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from relay_mining.errors import RelayMiningError

RESERVED_VARIABLES = frozenset((
    "add_generation_prompt", "chat_template", "continue_final_message", "documents", "messages",
    "raise_exception", "strftime_now", "tokenize", "tokenizer", "tools",
))  # fmt: skip
"""Names a request cannot give the template: they are the rule's own."""

SEEN = frozenset((
    "role", "content", "name", "tool_calls", "tool_call_id", "reasoning", "reasoning_content",
))  # fmt: skip
"""Members of a message that a template is given."""


class ConversationError(RelayMiningError):
    """The messages or tools of a request have a form that no template is given."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """The messages, tools and variables of one chat request, as its template sees them."""

    messages: tuple[dict[str, Any], ...]
    tools: tuple[dict[str, Any], ...] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)


def read_conversation(body: Mapping[str, Any]) -> Conversation:
    """Return what the template is given of a chat request's body.

    Raises:
        ConversationError: a message or tool has a form that no template is given.
    """
    return Conversation(
        messages=tuple(_message(each) for each in _list(body.get("messages"), "messages")),
        tools=tuple(_tool(each) for each in _list(body.get("tools") or (), "tools")),
        variables=_variables(body),
    )


def _list(value: Any, name: str) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)):
        raise ConversationError(f"{name} is no list")
    return value


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConversationError(f"{name} is no object")
    return dict(value)


def _message(value: Any) -> dict[str, Any]:
    members = _object(value, "a message").items()
    message = {name: each for name, each in members if name in SEEN and each is not None}
    message["content"] = _content(message.get("content"))
    calls = message.pop("tool_calls", None)
    if calls:
        message["tool_calls"] = [_call(each) for each in _list(calls, "tool_calls")]
    reasoning = message.get("reasoning", message.get("reasoning_content"))
    if isinstance(reasoning, str):
        message["reasoning"] = message["reasoning_content"] = reasoning
    return message


def _content(content: Any) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    parts = [_object(part, "a part of a message") for part in _list(content, "content")]
    texts = [part.get("text") for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise ConversationError("a part of a message that is no text")
    return "\n".join(map(str, texts))


def _call(value: Any) -> dict[str, Any]:
    call = _object(value, "a tool call")
    function = _object(call.get("function"), "the function of a tool call")
    arguments = function.get("arguments")
    if isinstance(arguments, str) and arguments:
        try:
            arguments = orjson.loads(arguments)
        except orjson.JSONDecodeError as error:
            raise ConversationError("arguments of a tool call that are no JSON") from error
    arguments = arguments if isinstance(arguments, dict) else {}
    named = {name: value for name, value in call.items() if name in ("id", "type")}
    return {**named, "function": {"name": function.get("name"), "arguments": arguments}}


def _tool(value: Any) -> dict[str, Any]:
    tool = _object(value, "a tool")
    function = _object(tool.get("function"), "the function of a tool")
    named = {name: function.get(name) for name in ("name", "description", "parameters")}
    kind = {"type": tool.get("type", "function")}
    return {**kind, **tool, "function": {**named, **function}}


def _variables(body: Mapping[str, Any]) -> dict[str, Any]:
    variables = _object(body.get("chat_template_kwargs") or {}, "chat_template_kwargs")
    if not RESERVED_VARIABLES.isdisjoint(variables):
        raise ConversationError("chat_template_kwargs names what the template is given anyway")
    effort = body.get("reasoning_effort")
    if effort is None:
        return variables
    return {"enable_thinking": effort != "none", **variables, "reasoning_effort": effort}
