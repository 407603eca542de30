"""JSON and text of clients, engines, suppliers and nodes: read, or refused by name."""

import hashlib
import json
from collections.abc import Callable

import orjson

from contracts.reverts import decode_revert
from gateway.api.body import RequestLimits
from gateway.api.openai import Endpoint, read_request
from gateway.errors import RequestError, UpstreamInvalidError
from gateway.routing.specs import find_spec
from gateway.routing.upstream import read_error
from gateway.settlement.answers import read_choices, read_vector_indices
from gateway.settlement.delivery import ReceiptsRefusedError, read_refusal
from node.http import BadUrl
from node.http.client import parse_url
from relay_mining import (
    Conversation,
    ConversationError,
    TemplateError,
    read_conversation,
)
from relay_mining.template import ChatTemplate, TemplateLimits
from supplier.engines.openai_http import parse_load
from supplier.errors import MalformedRelayError
from supplier.server.usage import CHAT_PATH, EngineAnswerError, parse_body, read_answer
from tests.fuzz.target import Target, reads
from tests.gateway.endpoints import OPENAI

LIMITS = RequestLimits(body_bytes_max=4096)
CHAT = orjson.dumps(
    {
        "model": "demo",
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
            {
                "role": "assistant",
                "content": None,
                "refusal": None,
                "annotations": [],
                "audio": None,
                "function_call": None,
                "reasoning": None,
                "tool_calls": [
                    {
                        "id": "a",
                        "type": "function",
                        "function": {"name": "now", "arguments": '{"zone":"UTC"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "a", "content": "noon"},
        ],
        "tools": [{"type": "function", "function": {"name": "now", "parameters": {}}}],
        "tool_choice": "auto",
        "max_tokens": 16,
        "temperature": 0.5,
        "stop": ["\n", "END"],
        "n": 2,
        "stream": True,
        "stream_options": {"include_usage": True},
        "logit_bias": {"5": -1},
        "response_format": {"type": "json_object"},
        "reasoning_effort": "minimal",
        "verbosity": "low",
        "modalities": ["text"],
        "prompt_cache_key": "a",
        "safety_identifier": "b",
    }
)
COMPLETION = b'{"model":"demo","prompt":["one",""],"max_tokens":4,"echo":true,"seed":7,"best_of":1}'
EMBEDDING = b'{"model":"demo","input":[[1,2],[3]],"encoding_format":"float","dimensions":8}'
BODIES = (CHAT, COMPLETION, EMBEDDING)
ANSWER = orjson.dumps(
    {
        "choices": [
            {
                "index": 0,
                "message": {
                    "content": "hi",
                    "reasoning": "why",
                    "tool_calls": [{"function": {"name": "now", "arguments": "{}"}}],
                },
                "token_ids": [1, 2],
                "finish_reason": "length",
            },
            {"index": 1, "text": "there", "token_ids": None},
        ],
        "usage": {
            "prompt_tokens": 9,
            "completion_tokens": 4,
            "prompt_tokens_details": {"cached_tokens": 2},
        },
    }
)
VECTORS = b'{"data":[{"index":0,"embedding":[0.5]},{"index":1,"embedding":"AAAA"}]}'
SPEC = {
    "name": "demo",
    "context_length": 128,
    "tokenizer_sha256": "aa",
    "chat_template_sha256": "bb",
    "task": "generate",
    "add_special_tokens": {"chat": False, "prompt": True},
    "special_tokens": {"bos_token": "<s>"},
}
TEMPLATE = (
    b"{% for message in messages %}{{ '<' + message['role'] + '>' }}"
    b"{% if message.content is string %}{{ message.content | trim }}{% endif %}"
    b"{% set last = loop.last %}{% if last and add_generation_prompt %}{{ 'A:' }}{% endif %}"
    b"{% endfor %}{{ raise_exception('x') if not messages else '' }}{{ [1, 2] | tojson }}"
)
CONVERSATION = Conversation(({"role": "user", "content": "hi"},))
METRICS = b"""# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{model_name="m"} 2.0
vllm:num_requests_waiting{model_name="m"} 1.0
vllm:kv_cache_usage_perc{model_name="m"} 0.25
"""
REFUSAL = (
    b'{"error":{"message":"no","code":"receipt_refused"},'
    b'"refused":[{"receipt":"%b","reason":"x"}],"acknowledged":""}'
)


def _read_as_chat(data: bytes) -> object:
    members = orjson.loads(data)
    return read_conversation(members) if isinstance(members, dict) else None


def _render(data: bytes) -> object:
    limits = TemplateLimits(steps_max=1 << 14)
    template = ChatTemplate(data.decode("utf-8", "replace"), {"bos_token": "<s>"}, limits)
    return template.render(CONVERSATION)


def _read_endpoint(endpoint: Endpoint) -> Callable[[bytes], object]:
    return lambda data: read_request(endpoint, data, LIMITS).forwarded_body(16)


def _find_spec(data: bytes) -> object:
    """Search a document for a spec, and for the hash of the document itself."""
    document = orjson.loads(data)
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    return find_spec(document, hashlib.sha256(canonical).digest())


TARGETS = (
    *(
        Target(
            f"client's body, {endpoint.name.lower()}",
            BODIES,
            reads(_read_endpoint(endpoint), RequestError),
        )
        for endpoint in OPENAI
    ),
    Target(
        "relay's body at the supplier",
        BODIES,
        reads(lambda data: parse_body(CHAT_PATH, data).demand(9, 64), MalformedRelayError),
    ),
    Target(
        "conversation of a recount",
        (CHAT,),
        reads(_read_as_chat, orjson.JSONDecodeError, ConversationError),
    ),
    Target("chat template", (TEMPLATE,), reads(_render, TemplateError)),
    Target("engine's answer", (ANSWER, VECTORS), reads(read_answer, EngineAnswerError)),
    Target(
        "answer at the gateway", (ANSWER, VECTORS), reads(lambda data: read_choices(data, False))
    ),
    Target("vectors at the gateway", (VECTORS, ANSWER), reads(read_vector_indices)),
    Target(
        "service's spec",
        (orjson.dumps(SPEC), orjson.dumps([{"services": [SPEC]}])),
        reads(_find_spec, orjson.JSONDecodeError, UpstreamInvalidError),
    ),
    Target("supplier's error", (b'{"error":{"message":"x","code":null}}',), reads(read_error)),
    Target(
        "refusal of receipts",
        (REFUSAL % (b"ab" * 32),),
        reads(read_refusal, ReceiptsRefusedError),
    ),
    Target(
        "engine's metrics",
        (METRICS,),
        reads(lambda data: parse_load(data.decode("utf-8", "replace"))),
    ),
    Target(
        "URL",
        (b"https://supplier.example:8443/path?q=1", b"http://[::1]:80/"),
        reads(lambda data: parse_url.__wrapped__(data.decode("latin-1")), BadUrl),
    ),
    Target("revert of a contract", (bytes.fromhex("08c379a0") + bytes(96),), reads(decode_revert)),
)
