"""LangChain's OpenAI integration against a gateway; prints one JSON object.

Usage: python langchain_smoke.py BASE_URL API_KEY MODEL; run by an interpreter that has it.
"""

import json
import sys

import openai
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI


def main() -> None:
    base_url, key, model = sys.argv[1:]
    chat = ChatOpenAI(
        base_url=base_url,
        api_key=key,
        model=model,
        max_tokens=100,
        max_retries=0,
        stream_usage=True,
    )
    plain = chat.invoke([HumanMessage("hi")])
    streamed = list(chat.stream("hi"))
    schema = {
        "title": "city", "description": "A city", "type": "object",
        "properties": {"name": {"type": "string"}}, "required": ["name"],
    }  # fmt: skip
    called = chat.bind_tools([schema], tool_choice="required").invoke("call")
    assert isinstance(called, AIMessage)
    (call,) = called.tool_calls
    answer = ToolMessage("sunny", tool_call_id=call["id"])
    after = chat.invoke([HumanMessage("hi"), called, answer])
    try:
        ChatOpenAI(base_url=base_url, api_key="no", model=model, max_retries=0).invoke("hi")
        refused = ""
    except openai.AuthenticationError as error:
        refused = error.code
    print(json.dumps({  # noqa: T201 - its caller reads it
        "plain": plain.content,
        "usage": plain.usage_metadata["output_tokens"],
        "streamed": "".join(str(each.content) for each in streamed),
        "tokens": max(each.usage_metadata["output_tokens"] for each in streamed
                      if each.usage_metadata),
        "called": [call["name"], call["args"]],
        "after": after.content,
        "refused": refused,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
