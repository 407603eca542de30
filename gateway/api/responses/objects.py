"""A response as its clients see it, built from what a chat completion says."""

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

    def finish(self, reason: str | None) -> None:
        """End every item, and the response as its only choice did."""
        self.status = "incomplete" if reason == "length" else "completed"
        for item in self.output:
            item["status"] = self.status


def text_part(text: str) -> Members:
    """The part of a message that holds its text."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def translate_usage(usage: Members | None) -> Members | None:
    """Chat's counts by the names that responses have for them."""
    if not usage:
        return None
    given, written = usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)
    inner = usage.get("prompt_tokens_details") or {}
    outer = usage.get("completion_tokens_details") or {}
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": inner.get("cached_tokens") or 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": outer.get("reasoning_tokens") or 0},
        "total_tokens": given + written,
        "cost": usage.get("cost", 0),
    }


def translate_answer(asked: Members, name: str, answer: Members) -> Members:
    """The response of a whole chat completion."""
    made = ResponseObject(asked, name, answer.get("created") or 0)
    choice = (answer.get("choices") or [{}])[0]
    message = choice.get("message") or {}
    thought = message.get("reasoning") or message.get("reasoning_content")
    if thought:
        made.add_reasoning()["content"].append({"type": "reasoning_text", "text": thought})
    if message.get("content"):
        made.add_message()["content"].append(text_part(message["content"]))
    for call in message.get("tool_calls") or []:
        function = call.get("function") or {}
        item = made.add_call(call.get("id") or "", function.get("name") or "")
        item["arguments"] = function.get("arguments") or ""
    made.usage = translate_usage(answer.get("usage"))
    made.finish(choice.get("finish_reason"))
    return made.shown()
