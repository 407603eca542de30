"""An engine of somebody's own, asked as gateways ask: whether its answers can be counted and paid.

That an engine says it speaks OpenAI's dialect leaves open what its answers carry. Two answers of a
few tokens, a plain one and a stream, show it before a client does.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

from node.http import ClientPool, HttpClientError, Timeout
from relay_mining import UnitWeights
from supplier.engines.spec import ServiceSpec
from supplier.operation.doctor.engine_checks import name_finding
from supplier.operation.doctor.finding import Finding, failed, ok, skipped, warning
from supplier.server.usage import (
    CHAT_PATH,
    COMPLETIONS_PATH,
    EngineAnswerError,
    StreamMeter,
    read_answer,
    split_events,
)
from supplier.settings import EngineSettings

PATIENCE = Timeout(connect=3.0, first_byte=30.0, read=30.0, total=60.0)
"""The first answer of an engine may have to wait for its kernels."""
TOKENS = 4
SHOWN_BYTES = 200
ANY_WEIGHTS = UnitWeights(0, 1, 0, 1)
NO_TEMPLATE = sha256(b"").hexdigest()
REMEDY = "start it with what is missing, or use another engine: docs/supplier.md#any-other-engine"


@dataclass(frozen=True, slots=True)
class Reply:
    """What came for a question."""

    status: int
    body: bytes

    @property
    def refusal(self) -> str:
        """How it was refused; empty where it was not."""
        shown = self.body[:SHOWN_BYTES].decode(errors="replace")
        return "" if self.status == 200 else f"{self.status} {shown}"


async def check_answers(pool: ClientPool, settings: EngineSettings, spec: ServiceSpec) -> Finding:
    """Whether the answers of an engine at a URL carry what relays are counted by."""
    name = name_finding(settings, "answers")
    if spec.task != "generate":
        return skipped(name, f"only engines that generate are asked, this one is for {spec.task}")
    url = str(settings.url).rstrip("/").removesuffix("/v1")
    try:
        return judge_answers(
            name, await _ask(pool, url, spec), await _ask(pool, url, spec, is_stream=True)
        )
    except HttpClientError as error:
        return failed(name, f"it broke off an answer: {error}", REMEDY)


async def _ask(pool: ClientPool, url: str, spec: ServiceSpec, *, is_stream: bool = False) -> Reply:
    question: dict[str, Any] = {
        "model": spec.name, "max_tokens": TOKENS, "return_token_ids": True
    }  # fmt: skip
    if is_stream:
        question |= {"stream": True, "stream_options": {"include_usage": True}}
    if spec.chat_template_sha256 == NO_TEMPLATE:
        path = COMPLETIONS_PATH
        question["prompt"] = "hello"
    else:
        path = CHAT_PATH
        question["messages"] = [{"role": "user", "content": "hello"}]
    answer = await pool.request(
        b"POST", url + path, ((b"content-type", b"application/json"),),
        orjson.dumps(question), PATIENCE,
    )  # fmt: skip
    return Reply(answer.status, answer.body)


def judge_answers(name: str, plain: Reply, stream: Reply) -> Finding:
    """The finding on a plain answer and a stream to a question as gateways ask it."""
    faults = [*_find_faults(plain), *_find_stream_faults(stream)]
    if faults:
        return failed(name, "; ".join(faults), REMEDY)
    costs = list(_find_costs(plain, stream))
    if costs:
        return warning(name, "; ".join(costs), REMEDY)
    if any(each.get("token_ids") for each in _choices(plain.body)):
        return ok(name, "plain and streamed ones carry usage, token ids and how they ended")
    return ok(
        name, "plain and streamed ones carry usage and how they ended, but no token ids: paid is "
        "what their text encodes to, so not the token that ends an answer",
    )  # fmt: skip


def _find_faults(plain: Reply) -> Iterator[str]:
    """Why plain relays would not be paid."""
    if plain.refusal:
        yield f"it refuses a request as gateways send it: {plain.refusal}"
        return
    try:
        read_answer(plain.body)
    except EngineAnswerError as error:
        yield f"an answer cannot be counted, so each relay would end as a failure: {error}"


def _find_stream_faults(stream: Reply) -> Iterator[str]:
    """Why streamed relays would not be paid."""
    if stream.refusal:
        yield f"it refuses a stream as gateways ask for it: {stream.refusal}"
        return
    try:
        meter = _read_stream(stream.body)
    except EngineAnswerError as error:
        yield f"a stream cannot be read: {error}"
        return
    if not meter.is_done:
        yield "a stream does not end with `data: [DONE]`, so each would count as broken off"


def _find_costs(plain: Reply, stream: Reply) -> Iterator[str]:
    """What does not stop relays and costs something."""
    if _read_stream(stream.body).usage is None:
        yield "streams carry no usage: each of their events is paid as one token"
    answers = (plain.body, *_stream_data(stream.body))
    ended = [any(each.get("finish_reason") for each in _choices(body)) for body in answers]
    if not ended[0] or not any(ended[1:]):
        yield "not all answers say `finish_reason`: clients are not told which were cut"


def _read_stream(body: bytes) -> StreamMeter:
    meter = StreamMeter(ANY_WEIGHTS)
    for event in split_events(body)[0]:
        if not meter.read(event):
            break
    return meter


def _stream_data(body: bytes) -> list[bytes]:
    return [each[5:].strip() for each in body.split(b"\n\n") if each.startswith(b"data: {")]


def _choices(body: bytes) -> list[dict[str, Any]]:
    found = orjson.loads(body).get("choices")
    return found if isinstance(found, list) else []
