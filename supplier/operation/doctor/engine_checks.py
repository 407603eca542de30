"""The engine and the model behind it, beside what the service lists."""

import shutil
import socket
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

import orjson

from node.errors import OperatorError
from node.http import ClientPool, HttpClientError, Timeout
from node.nesting import is_deeper
from relay_mining import RelayMiningError
from supplier.engines.openai_http import (
    EngineMismatchError,
    is_healthy,
    read_facts,
    verify_engine,
)
from supplier.engines.process import LOOPBACK
from supplier.engines.spec import ServiceSpec, hash_service_spec
from supplier.errors import MalformedRelayError
from supplier.operation.doctor.finding import Finding, failed, ok, skipped, warning
from supplier.server.services import build_face
from supplier.server.usage import CHAT_PATH, EMBEDDINGS_PATH, parse_body
from supplier.settings import EngineSettings

ANSWER = Timeout(connect=3.0, first_byte=5.0, read=5.0, total=5.0)
KEY_VALUE_FULL = 0.95
SPEC_DEPTH_MAX = 32


async def check_engine(
    pool: ClientPool, settings: EngineSettings, spec: ServiceSpec, live: dict[str, Any] | None
) -> Finding:
    """Whether an engine is up and serves what the spec says; `live` is the node's health page."""
    name = name_finding(settings)
    if live is not None:
        return judge_live(name, _find_live(live, settings.name))
    if settings.url is not None:
        return await _check_remote(name, settings.url.rstrip("/").removesuffix("/v1"), pool, spec)
    if settings.kind != "vllm":
        return ok(name, "embedded: `supplier serve` starts it")
    if shutil.which(settings.program) is None:
        return failed(
            name, f"there is no command {settings.program!r} on the PATH",
            "install vLLM, or set engine.program to its command",
        )  # fmt: skip
    with socket.socket() as probe:
        if settings.port and probe.connect_ex((LOOPBACK, settings.port)) == 0:
            return failed(
                name, f"port {settings.port} is taken before vLLM is started on it",
                "stop what has it, or set engine.port",
            )  # fmt: skip
    return ok(name, f"`supplier serve` starts {settings.program}")


def name_finding(settings: EngineSettings, what: str = "engine") -> str:
    """A finding's name; an only engine needs none of its own."""
    return what if settings.name == "engine" else f"{what} {settings.name}"


def _find_live(page: dict[str, Any], name: str) -> dict[str, Any] | None:
    """An engine on the health page; None where the node does not run it."""
    return next((each for each in page["engines"] if each["name"] == name), None)


def judge_live(name: str, engine: dict[str, Any] | None) -> Finding:
    """The finding on an engine as the running node sees it."""
    if engine is None:
        return warning(name, "the node runs without it", "run `supplier engine change`")
    if not engine["up"]:
        return failed(name, "it does not answer", "look at its log; the node waits for it")
    full = engine.get("kv_cache_used", 0.0)
    if full >= KEY_VALUE_FULL and engine.get("waiting"):
        return warning(
            name, f"{full:.0%} of its KV cache is used and {engine['waiting']} requests wait",
            "lower admission.active_max, or give it more memory",
        )  # fmt: skip
    return ok(name, f"up, started again {engine['restarts']} times")


async def _check_remote(name: str, url: str, pool: ClientPool, spec: ServiceSpec) -> Finding:
    if not await is_healthy(pool, url):
        return failed(name, f"{url}/health does not answer", "start it, or mend its url")
    try:
        facts = await read_facts(pool, url)
        verify_engine(facts, spec)
    except EngineMismatchError as error:
        return failed(name, str(error), "serve the listed model, or list the one served")
    return ok(name, f"{url} serves {spec.name}, release {facts.version or 'not said'}")


def check_tokenizer(settings: EngineSettings) -> Finding:
    """Whether prompts are counted with the service's own tokenizer and template."""
    name = name_finding(settings, "tokenizer")
    try:
        face, spec = build_face(settings)
    except (OperatorError, RelayMiningError) as error:
        return failed(name, str(error), "mend engine.model")
    if spec.task == "edge":
        return skipped(name, "tails are counted by the network's profile")
    if not settings.count_prompts:
        return skipped(name, "count_prompts is off")
    path, body = CHAT_PATH, {"messages": [{"role": "user", "content": "hello"}]}
    if spec.task == "embed":
        path, body = EMBEDDINGS_PATH, {"input": "hello"}  # type: ignore[dict-item]
    try:
        demand = face.counter.demand(path, parse_body(path, orjson.dumps(body)))
    except MalformedRelayError as error:
        return failed(name, str(error), "mend tokenizer.json and the chat template")
    tokens = demand.input_tokens_max
    return ok(name, f"counts {tokens} tokens for one word, template included")


async def check_spec(
    pool: ClientPool, specs: Sequence[ServiceSpec], service: bytes, spec_hash: bytes,
    peers: list[str],
) -> Finding:  # fmt: skip
    """Whether a model here is the listed one; where not, which digest of the first one differs.

    The chain keeps the digest of the spec only; the spec itself is asked of `peers`, other
    suppliers of the service, and believed if it has that digest.
    """
    for spec in specs:
        if hash_service_spec(spec) == spec_hash:
            says = "weights, tokenizer, template and numerics are the listed ones"
            return ok(f"spec of {spec.name}", says)
    spec = specs[0]
    name = f"spec of {spec.name}"
    remedy = "serve the listed model with the listed settings, or list yours as another service"
    for peer in peers:
        listed = await _fetch_spec(pool, f"{peer}/lode/v1/spec/{service.hex()}/spec.json")
        if listed is not None and hash_service_spec(listed) == spec_hash:
            return failed(name, describe_difference(spec, listed), remedy)
    return failed(
        name, f"its digest is {hash_service_spec(spec).hex()}, listed is {spec_hash.hex()}; no "
        "other supplier could be asked which part differs", remedy,
    )  # fmt: skip


def describe_difference(here: ServiceSpec, listed: ServiceSpec) -> str:
    """Which members of two specs differ, with both values."""
    ours, theirs = asdict(here), asdict(listed)
    return "; ".join(
        f"{name} is {ours[name]!r} here, {theirs[name]!r} listed"
        for name in ours
        if ours[name] != theirs[name]
    )


async def _fetch_spec(pool: ClientPool, url: str) -> ServiceSpec | None:
    try:
        answer = await pool.request(b"GET", url, timeout=ANSWER)
        document = orjson.loads(answer.body)
    except (HttpClientError, orjson.JSONDecodeError):
        return None
    names = {each.name for each in fields(ServiceSpec)}
    is_spec = isinstance(document, dict) and document.keys() == names
    if not is_spec or is_deeper(document, SPEC_DEPTH_MAX):
        return None
    return ServiceSpec(**document)
