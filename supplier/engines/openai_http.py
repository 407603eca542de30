"""What an engine says of itself over HTTP, and whether that is what the service lists.

Read are `/health`, `/v1/models`, vLLM's `/version` and its Prometheus page `/metrics`; an engine
without the latter two (the embedded one) is asked for less.
"""

from dataclasses import dataclass
from math import isfinite
from typing import Any

import orjson
from prometheus_client.parser import text_string_to_metric_families

from node.http import ClientPool, ClientResponse, HttpClientError, Timeout
from supplier.engines.spec import ServiceSpec

PROBE_TIMEOUT = Timeout(connect=2.0, first_byte=5.0, read=5.0, total=5.0)
RUNNING = "vllm:num_requests_running"
WAITING = "vllm:num_requests_waiting"
KV_CACHE = "vllm:kv_cache_usage_perc"


class EngineMismatchError(Exception):
    """The engine is not the one that the service lists."""


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What an engine serves: its release ("" where it does not say), and its models."""

    version: str
    context_lengths: dict[str, int | None]
    """By served name, in tokens; None where the engine does not say."""


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """How busy an engine is."""

    running: int
    """Requests being worked on."""
    waiting: int
    """Requests in its queue."""
    kv_cache_used: float
    """Share of the key-value cache in use, 0 to 1; of the fullest where there are several."""


async def is_healthy(pool: ClientPool, url: str) -> bool:
    """Whether the engine at `url` answers for its health."""
    answer = await _get(pool, url + "/health")
    return answer is not None and answer.status == 200


async def read_facts(pool: ClientPool, url: str) -> EngineFacts:
    """What the engine at `url` serves; raises EngineMismatchError where it lists no models."""
    version = _object(await _get(pool, url + "/version")).get("version", "")
    listed = _object(await _get(pool, url + "/v1/models")).get("data")
    if not isinstance(listed, list):
        raise EngineMismatchError(f"{url}/v1/models lists no models")
    models = {str(each.get("id")): each.get("max_model_len") for each in listed}
    return EngineFacts(str(version), models)


async def read_load(pool: ClientPool, url: str) -> EngineLoad | None:
    """How busy the engine at `url` is; None where it does not say."""
    answer = await _get(pool, url + "/metrics")
    if answer is None or answer.status != 200:
        return None
    return parse_load(answer.body.decode("utf-8", "replace"))


def parse_load(page: str) -> EngineLoad | None:
    """The load on a Prometheus page, summed over its engines; None where it is not vLLM's."""
    values: dict[str, list[float]] = {RUNNING: [], WAITING: [], KV_CACHE: []}
    try:
        for family in text_string_to_metric_families(page):
            if family.name in values:
                values[family.name] += [each.value for each in family.samples]
    except ValueError:
        return None
    if not all(each and all(map(isfinite, each)) for each in values.values()):
        return None
    return EngineLoad(int(sum(values[RUNNING])), int(sum(values[WAITING])), max(values[KV_CACHE]))


def verify_engine(facts: EngineFacts, spec: ServiceSpec) -> None:
    """Raise EngineMismatchError unless the engine serves what the spec says.

    Weights and tokenizer cannot be asked for: their digests are of the files in the settings.
    """
    if spec.name not in facts.context_lengths:
        served = ", ".join(sorted(facts.context_lengths)) or "nothing"
        raise EngineMismatchError(f"the engine serves {served}, the service {spec.name}")
    length = facts.context_lengths[spec.name]
    if length is not None and length != spec.context_length:
        raise EngineMismatchError(
            f"the engine runs with a context of {length} tokens, the service lists "
            f"{spec.context_length}: set engine.context_length to what the engine runs with"
        )
    if spec.engine_version and not is_release(facts.version, spec.engine_version):
        raise EngineMismatchError(
            f"the engine is release {facts.version or 'unknown'}, the service lists "
            f"{spec.engine_version}"
        )


def is_release(version: str, listed: str) -> bool:
    """Whether `version` is the release `listed` or one of its patches ("0.32.1" of "0.32")."""
    return f"{version.partition('+')[0]}.".startswith(f"{listed}.")


async def _get(pool: ClientPool, url: str) -> ClientResponse | None:
    try:
        return await pool.request(b"GET", url, timeout=PROBE_TIMEOUT)
    except HttpClientError:
        return None


def _object(answer: ClientResponse | None) -> dict[str, Any]:
    if answer is None or answer.status != 200:
        return {}
    try:
        parsed = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
