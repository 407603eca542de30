"""What clients ask beside a completion: forms, batches, responses, tails; and engines are asked."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import orjson

from edge import MalformedActivationError, load_network, make_request, verify_request
from gateway.api.batch_lines import read_lines
from gateway.api.body import RequestLimits, parse_object
from gateway.api.multipart import read_form
from gateway.api.openai import Endpoint, read_request
from gateway.api.responses.requests import read_chat
from gateway.edge.requests import as_parameter, read_infer_ask, read_plan_ask
from gateway.errors import InvalidParameterError, MalformedBodyError, RequestError
from relay_mining import ChatTemplate
from supplier.engines.embedded.config import GenerationDefaults
from supplier.engines.embedded.errors import RequestError as EngineRequestError
from supplier.engines.embedded.fields import parse_object as parse_engine_object
from supplier.engines.embedded.requests import RequestReader
from supplier.engines.embedded.tokenizer import TextTokenizer, load_tokenizer
from supplier.engines.sentence.config import SentenceConfig
from supplier.engines.sentence.requests import EmbeddingReader
from tests.fuzz.documents import CHAT, COMPLETION, EMBEDDING
from tests.fuzz.target import Target, reads

MODELS = Path(__file__).parents[2] / "models"
LIMITS = RequestLimits(body_bytes_max=4096)
MARK = b"2b1e"
CONTENT_TYPE = b"multipart/form-data; boundary=" + MARK
FORM = (
    b'--2b1e\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--2b1e\r\n'
    b'Content-Disposition: form-data; name="file"; filename="in.jsonl"\r\n'
    b"Content-Type: application/jsonl\r\n\r\n{}\n{}\r\n--2b1e--\r\n"
)
URL = "/v1/chat/completions"
LINES = b"\n".join(
    orjson.dumps(
        {
            "custom_id": name,
            "method": "POST",
            "url": URL,
            "body": {"model": "demo", "messages": [{"role": "user", "content": name}]},
        }
    )
    for name in ("one", "two")
)
RESPONSE = orjson.dumps(
    {
        "model": "demo",
        "instructions": "Be short.",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
            {"type": "reasoning", "summary": []},
            {"type": "function_call", "call_id": "a", "name": "now", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "noon"},
        ],
        "tools": [{"type": "function", "name": "now", "parameters": {}, "strict": True}],
        "tool_choice": {"type": "function", "name": "now"},
        "text": {"format": {"type": "json_schema", "name": "x", "schema": {}}},
        "reasoning": {"effort": "low"},
        "max_output_tokens": 8,
        "stream": True,
    }
)
PLAN = (
    b'{"model":"edge","accuracy_ppm":900000,"deadline_us":50000,"device_rate":100,'
    b'"uplink_bytes_s":1000000,"round_trip_us":2000,"bid":100,"user":"u"}'
)
NETWORK = load_network(MODELS / "edge" / "network.npz")
PROFILE = NETWORK.profile()
TAIL = json.dumps(make_request(NETWORK, "edge", "p", (2, 1), bytes(range(64)))).encode()
ENGINE_CHAT = (
    b'{"model":"demo","messages":[{"role":"system","content":"Be short."},{"role":"user",'
    b'"content":[{"type":"text","text":"Hello"}]}],"max_tokens":4,"temperature":0.5,"top_p":0.9,'
    b'"top_k":3,"min_p":0.1,"seed":7,"stop":["\\n"],"logprobs":true,"top_logprobs":2,"n":2,'
    b'"logit_bias":{"5":-1},"stop_token_ids":[2],"stream":true,"priority":1,'
    b'"stream_options":{"include_usage":true},"presence_penalty":0.1}'
)
SENTENCES = SentenceConfig(
    vocabulary=512, hidden=8, layers=1, heads=1, positions=32, context=32, norm_epsilon=1e-12
)
ENGINE_COMPLETION = b'{"model":"demo","prompt":["one",[5,6]],"max_tokens":4,"echo":true,"n":2}'


def read_edited_form(data: bytes) -> bool:
    """Whether a form is taken; what it holds is bytes of what was sent."""
    try:
        parts = read_form(CONTENT_TYPE, data)
    except MalformedBodyError:
        return False
    assert all(part.data in data for part in parts.values())
    return True


def read_batch(data: bytes) -> bool:
    """Whether a batch is taken; each of its lines is a request, or has what is wrong with it."""
    try:
        lines = read_lines(data, URL)
    except InvalidParameterError:
        return False
    assert [line.number for line in lines] == list(range(len(lines)))
    asked = [line for line in lines if line.error is None]
    return bool(asked) and all(reads(_read_chat_body, RequestError)(line.body) for line in asked)


def _read_chat_body(body: bytes) -> object:
    return read_request(Endpoint.CHAT, body, LIMITS)


def _read_response(data: bytes) -> object:
    return _read_chat_body(orjson.dumps(read_chat(parse_object(data, LIMITS))))


def _read_tail(data: bytes) -> None:
    asked = read_infer_ask(data, LIMITS)
    try:
        verify_request(PROFILE, asked.tail)
    except MalformedActivationError as error:
        raise as_parameter(error) from error


@cache
def _tokenizer() -> TextTokenizer:
    return load_tokenizer(MODELS / "demo")


@cache
def _engine() -> RequestReader:
    template = ChatTemplate((MODELS / "demo" / "chat_template.jinja").read_text(), {})
    return RequestReader(
        "demo", 512, 64, _tokenizer(), template, GenerationDefaults(frozenset({2})), 4
    )


def _embed(data: bytes) -> object:
    return EmbeddingReader("demo", _tokenizer(), SENTENCES).read(parse_engine_object(data))


def _engine_target(name: str, corpus: tuple[bytes, ...], read: Callable[[bytes], object]) -> Target:
    return Target(f"engine's request, {name}", corpus, reads(read, EngineRequestError))


TARGETS = (
    Target("uploaded form", (FORM,), read_edited_form),
    Target(
        "content type of a form",
        (CONTENT_TYPE, b'multipart/form-data; charset=x; boundary="2b1e"'),
        reads(lambda data: read_form(data, FORM), MalformedBodyError),
    ),
    Target("lines of a batch", (LINES,), read_batch),
    Target("client's body, responses", (RESPONSE,), reads(_read_response, RequestError)),
    Target(
        "client's body, plan",
        (PLAN,),
        reads(lambda data: read_plan_ask(data, LIMITS), RequestError),
    ),
    Target("client's body, tail", (TAIL,), reads(_read_tail, RequestError)),
    _engine_target(
        "chat",
        (ENGINE_CHAT, CHAT),
        lambda data: _engine().read_chat(parse_engine_object(data)),
    ),
    _engine_target(
        "completion",
        (ENGINE_COMPLETION, COMPLETION),
        lambda data: _engine().read_completion(parse_engine_object(data)),
    ),
    _engine_target("embeddings", (EMBEDDING,), _embed),
)
