"""What suppliers answer with beside a completion, what a service's source wrote, and raw HTTP."""

import asyncio
import json
from functools import cache
from pathlib import Path
from typing import cast

import orjson

from contracts import AddressBook, UnreadableAnswerError
from contracts.abi import encode_values, load_abi
from contracts.addressbook import CONTRACT_FIELDS
from contracts.answers import Log
from contracts.events import decode_log
from edge import encode_profile, parse_network, read_answer
from gateway.api.responses.events import EventTranslator
from gateway.api.responses.objects import ResponseObject, translate_answer
from gateway.edge.terms import read_terms
from gateway.routing.auditing import read_said
from node.http.client_connection import ClientConnection
from node.http.errors import HttpClientError
from node.http.limits import ClientLimits, Timeout
from node.http.upgrading import Upgraded
from relay_mining.tokens import RecountError, TokenCounter
from supplier.engines.spec import read_special_tokens
from tests.fuzz.documents import ANSWER
from tests.fuzz.questions import PROFILE
from tests.fuzz.streams import EVENTS, FRAME
from tests.fuzz.target import Target, reads

MODELS = Path(__file__).parents[2] / "models"
TERMS = orjson.dumps(
    {"edge_rate": 500, "weights_sha256": "ab" * 32, "network": encode_profile(PROFILE)}
)
TAIL_ANSWER = b'{"object":"edge.inference","label":1,"logits":[-1.5,2,0.25],"usage":{}}'
TOKENIZER = json.dumps(
    {
        "version": "1.0",
        "added_tokens": [
            {"id": 4, "content": "<s>", "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True}
        ],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "u", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 20,
                  "vocab": {"the": 0, "##s": 1, "u": 2, ".": 3}},
    }
).encode()  # fmt: skip
ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: a/b\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx: y\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
)
SWITCHES = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: lode-dial\r\n"
    b"lode-dial: AAAA\r\n\r\nbehind it",
    b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno",
)
LIMITS = ClientLimits(header_bytes_max=1000)
BODY_BYTES_MAX = 500
BOOK = json.dumps(
    {"chainId": 31337, "deploymentBlock": 3} | dict.fromkeys(CONTRACT_FIELDS, "0x" + "ab" * 20)
).encode()
REGISTRY = load_abi("Registry")
LISTED = REGISTRY.event("ListService")
EVENT = encode_values(
    LISTED.inputs[2:], [(b"\1" * 20, b"\2" * 32, 1, 2, 1, 4, 500, b"\3" * 20, "demo")]
)
CALLS = (
    b'data: {"choices":[{"index":0,"delta":{"reasoning":"why","tool_calls":[{"index":0,"id":"a",'
    b'"function":{"name":"now","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}\n\n'
    b'data: {"error":{"message":"no","code":"x"}}\n\n'
)
NETWORK_FILE = (MODELS / "edge" / "network.npz").read_bytes()
SPECIAL = b'{"eos_token":"<|im_end|>","bos_token":{"content":"<s>"},"model_max_length":1024}'


class Nowhere:
    """A socket that takes everything and sends nothing."""

    def write(self, data: bytes) -> None:
        """Take it."""

    def pause_reading(self) -> None:
        """Nothing is read."""

    def abort(self) -> None:
        """Nothing is held."""

    def get_extra_info(self, name: str) -> None:
        """There is no socket."""


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """A loop that never runs: a connection asks it for the time."""
    return asyncio.new_event_loop()


def read_http(data: bytes) -> bool:
    """Whether bytes are a whole answer; what is handed on of it keeps its limits."""
    connection = ClientConnection(LIMITS, _loop())
    connection.connection_made(cast(asyncio.Transport, Nowhere()))
    connection.send(b"", b"", False, BODY_BYTES_MAX, Timeout(None, None, None, None), None)
    for half in (data[: len(data) // 2], data[len(data) // 2 :]):
        connection.data_received(half)
    taken = b"".join(connection._chunks)
    assert len(taken) <= BODY_BYTES_MAX
    assert connection.error is None or isinstance(connection.error, HttpClientError)
    return connection.complete and connection.error is None


def read_switch(data: bytes) -> bool:
    """Whether bytes are the answer to an upgrade; what follows it comes through as it is."""
    upgraded = Upgraded()
    upgraded.connection_made(cast(asyncio.Transport, Nowhere()))
    for half in (data[: len(data) // 2], data[len(data) // 2 :]):
        upgraded.data_received(half)
    rest = upgraded.take_rest()
    assert data.endswith(rest)
    return upgraded._parser is None


def read_tokenizer(data: bytes) -> bool:
    """Whether a tokenizer loads, and counts and decodes within its limits."""
    try:
        counter = TokenCounter(data, 1 << 16, 100)
        assert counter.count("the thes.") >= 0
        counter.decode([0, 1, 2])
    except RecountError:
        return False
    return True


def read_event(data: bytes) -> bool:
    """Whether the data of an event decodes; its text may be any bytes of a stranger."""
    topics = (LISTED.signature_hash, bytes(32), bytes(32))
    log = Log(bytes(20), topics, data, 1, bytes(32), bytes(32), 0)
    try:
        decode_log("registry", REGISTRY, log)
    except UnreadableAnswerError:
        return False
    return True


def _object(data: bytes) -> dict[str, object]:
    document = orjson.loads(data)
    return document if isinstance(document, dict) else {}


def _response() -> ResponseObject:
    return ResponseObject({"model": "demo"}, "00", 1)


def _translate_stream(data: bytes) -> bytes:
    translator = EventTranslator(_response())
    begun = b"".join(translator.begin())
    return begun + translator.translate(data) + b"".join(translator.end())


TARGETS = (
    Target(
        "answer as a response",
        (ANSWER,),
        reads(
            lambda data: orjson.dumps(translate_answer({}, "00", orjson.loads(data))),
            orjson.JSONDecodeError,
        ),
    ),
    Target("stream as a response", (EVENTS + FRAME, CALLS), reads(_translate_stream)),
    Target("answer in an audit", (ANSWER,), reads(read_said)),
    Target(
        "answer of a tail",
        (TAIL_ANSWER,),
        reads(lambda data: read_answer(orjson.loads(data)), ValueError),
    ),
    Target(
        "terms of an edge service",
        (TERMS,),
        reads(lambda data: read_terms(orjson.loads(data)), KeyError, ValueError),
    ),
    Target("network of an edge service", (NETWORK_FILE,), reads(parse_network, ValueError)),
    Target("tokenizer of a service", (TOKENIZER,), read_tokenizer),
    Target("special tokens of a model", (SPECIAL,), reads(read_special_tokens, ValueError)),
    Target("answer over HTTP", ANSWERS, read_http),
    Target("answer to an upgrade", SWITCHES, read_switch),
    Target("event of a contract", (EVENT,), read_event),
    Target(
        "address book", (BOOK,), reads(lambda data: AddressBook.parse(json.loads(data)), ValueError)
    ),
)
