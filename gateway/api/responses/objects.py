"""A response as its clients see it, built from what a chat completion says.

That is a supplier's word: what has another form than it should is not there.
"""

from dataclasses import dataclass, field
from typing import Any

Members = dict[str, Any]
ECHOED: Members = {
    "instructions": None, "max_output_tokens": None, "temperature": 1.0, "top_p": 1.0,
    "tools": [], "tool_choice": "auto", "parallel_tool_calls": True, "metadata": {},
    "text": {"format": {"type": "text"}}, "reasoning": None, "truncation": "disabled",
    "user": None,
}  # fmt: skip
"""What a response repeats of its request, and what is said where the request does not."""

COUNT_MAX = 1 << 53
"""Beyond it a number of JSON is no longer exact everywhere."""


@dataclass(slots=True)
class ResponseObject:
    """One response in the making; ids are made of its request's."""

    asked: Members
    name: str
    created: int
    status: str = "in_progress"
    output: list[Members] = field(default_factory=list)
    usage: Members | None = None
    error: Members | None = None

    def shown(self) -> Members:
        """The object as it is now."""
        said = {
            name: default if self.asked.get(name) is None else self.asked[name]
            for name, default in ECHOED.items()
        }
        is_cut = self.status == "incomplete"
        return {
            "id": f"resp_{self.name}", "object": "response", "created_at": self.created,
            "model": self.asked.get("model"), "status": self.status, "error": self.error,
            "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
            "output": self.output, "previous_response_id": None, "store": False,
            "usage": self.usage, **said,
        }  # fmt: skip

    def add_message(self) -> Members:
        """A message without a text yet, last in the output."""
        item = {
            "type": "message", "id": f"msg_{self.name}_{len(self.output)}", "role": "assistant",
            "status": "in_progress", "content": [],
        }  # fmt: skip
        self.output.append(item)
        return item

    def add_reasoning(self) -> Members:
        """What was thought before the answer, last in the output."""
        item = {
            "type": "reasoning", "id": f"rs_{self.name}_{len(self.output)}", "summary": [],
            "content": [], "status": "in_progress",
        }  # fmt: skip
        self.output.append(item)
        return item

    def add_call(self, call_id: str, function: str) -> Members:
        """A call of a function without arguments yet, last in the output."""
        item = {
            "type": "function_call", "id": f"fc_{self.name}_{len(self.output)}",
            "call_id": call_id, "name": function, "arguments": "", "status": "in_progress",
        }  # fmt: skip
        self.output.append(item)
        return item

    def finish(self, reason: str) -> None:
        """End every item, and the response as its only choice did."""
        self.status = "incomplete" if reason == "length" else "completed"
        for item in self.output:
            item["status"] = self.status


def text_part(text: str) -> Members:
    """The part of a message that holds its text."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def thought_part(text: str) -> Members:
    """The part of a reasoning that holds its text."""
    return {"type": "reasoning_text", "text": text}


def read_object(value: Any) -> Members:
    """An object as it is; an empty one in the place of anything else."""
    return value if isinstance(value, dict) else {}


def read_objects(value: Any) -> list[Members]:
    """The objects of a list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def read_text(value: Any) -> str:
    """A text as it is; an empty one in the place of anything else."""
    return value if isinstance(value, str) else ""


def read_thought(part: Members) -> str:
    """What was thought, under either of its names."""
    return read_text(part.get("reasoning")) or read_text(part.get("reasoning_content"))


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value <= COUNT_MAX else 0


def translate_usage(value: Any) -> Members | None:
    """Chat's counts by the names that responses have for them."""
    usage = read_object(value)
    if not usage:
        return None
    given, written = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    inner = read_object(usage.get("prompt_tokens_details"))
    outer = read_object(usage.get("completion_tokens_details"))
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": _count(inner.get("cached_tokens"))},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": _count(outer.get("reasoning_tokens"))},
        "total_tokens": given + written,
        "cost": _count(usage.get("cost")),
    }


def translate_answer(asked: Members, name: str, value: Any) -> Members:
    """The response of a whole chat completion."""
    answer = read_object(value)
    made = ResponseObject(asked, name, _count(answer.get("created")))
    choice = next(iter(read_objects(answer.get("choices"))), {})
    message = read_object(choice.get("message"))
    thought, content = read_thought(message), read_text(message.get("content"))
    if thought:
        made.add_reasoning()["content"].append(thought_part(thought))
    if content:
        made.add_message()["content"].append(text_part(content))
    for call in read_objects(message.get("tool_calls")):
        function = read_object(call.get("function"))
        item = made.add_call(read_text(call.get("id")), read_text(function.get("name")))
        item["arguments"] = read_text(function.get("arguments"))
    made.usage = translate_usage(answer.get("usage"))
    made.finish(read_text(choice.get("finish_reason")))
    return made.shown()
