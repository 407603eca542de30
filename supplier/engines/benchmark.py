"""How many compute units an engine makes in a second, from a few seconds of requests."""

import asyncio
import time
from dataclasses import dataclass

import orjson

from node.errors import OperatorError
from node.http import ClientPool, HttpClientError, Timeout
from relay_mining import UnitWeights
from supplier.engines.spec import ServiceSpec
from supplier.server.usage import (
    CHAT_PATH,
    EMBEDDINGS_PATH,
    EngineAnswerError,
    Usage,
    read_answer,
)

OUTPUT_TOKENS = 64
PROMPT = "Describe, in a few plain sentences, a city that you would like to visit. " * 4
ANSWER_S = 120.0


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What was measured."""

    requests: int
    seconds: float
    input_tokens: int
    output_tokens: int
    units: int

    @property
    def units_s(self) -> float:
        """Compute units a second, at the concurrency measured."""
        return self.units / self.seconds if self.seconds else 0.0

    @property
    def output_tokens_s(self) -> float:
        """Generated tokens a second."""
        return self.output_tokens / self.seconds if self.seconds else 0.0


async def measure_engine(
    pool: ClientPool, url: str, spec: ServiceSpec, weights: UnitWeights, seconds: float,
    concurrency: int,
) -> Benchmark:  # fmt: skip
    """Keep `concurrency` requests open for about `seconds`; raises OperatorError.

    No prompt is the same as another, so that nothing of it is cached.
    """
    answers: list[Usage] = []
    began = time.perf_counter()

    async def ask(worker: int) -> None:
        while time.perf_counter() - began < seconds:
            answers.append(await _ask(pool, url, spec, f"{worker}-{len(answers)}"))

    try:
        async with asyncio.TaskGroup() as tasks:
            for worker in range(concurrency):
                tasks.create_task(ask(worker))
    except ExceptionGroup as group:  # one failure ends the others
        raise group.exceptions[0] from None
    return Benchmark(
        requests=len(answers),
        seconds=time.perf_counter() - began,
        input_tokens=sum(each.input for each in answers),
        output_tokens=sum(each.output for each in answers),
        units=sum(each.units(weights) for each in answers),
    )


async def _ask(pool: ClientPool, url: str, spec: ServiceSpec, label: str) -> Usage:
    text = f"{label}. {PROMPT}"
    body: dict[str, object]
    if spec.task == "embed":
        path, body = EMBEDDINGS_PATH, {"model": spec.name, "input": text}
    else:
        messages = [{"role": "user", "content": text}]
        path, body = CHAT_PATH, {
            "model": spec.name, "messages": messages, "max_tokens": OUTPUT_TOKENS
        }  # fmt: skip
    timeout = Timeout(connect=5.0, first_byte=ANSWER_S, read=ANSWER_S, total=ANSWER_S)
    json = ((b"content-type", b"application/json"),)
    try:
        answer = await pool.request(b"POST", url + path, json, orjson.dumps(body), timeout)
        if answer.status != 200:
            raise OperatorError(f"the engine answers a test request with {answer.status}")
        return read_answer(answer.body)[0]
    except (HttpClientError, EngineAnswerError) as error:
        raise OperatorError(f"the engine fails a test request: {error}") from error
