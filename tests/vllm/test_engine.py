"""What a supplier asks of its engine, asked of real vLLM; and vLLM as its child."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from localnet.provision import MODEL, MODEL_DIR
from node.errors import OperatorError
from node.http import ClientLimits, ClientPool
from supplier.engines.engine import Engine, build_engine
from supplier.engines.openai_http import EngineLoad, read_facts, read_load
from supplier.engines.spec import EngineSpec, ServiceSpec, compute_service_spec
from supplier.server.services import compute_spec
from supplier.settings import EngineSettings
from tests.vllm.parts import (
    ARGUMENTS,
    START_S_MAX,
    Vllm,
    answers,
    is_running,
    processes_of,
    program,
)

pytestmark = pytest.mark.anyio
RELEASE = "0.32"


def settings_of(**more: object) -> EngineSettings:
    return EngineSettings.model_validate(
        {
            "kind": "vllm", "program": program(), "model": str(MODEL_DIR), "port": 0,
            "served_model_name": MODEL, "arguments": list(ARGUMENTS), **more,
        }
    )  # fmt: skip


@asynccontextmanager
async def engine_of(
    settings: EngineSettings, spec: ServiceSpec | None = None
) -> AsyncIterator[Engine]:
    async with ClientPool() as pool:
        engine = build_engine(settings, pool, spec or compute_spec(settings))
        try:
            yield engine
        finally:
            await engine.stop()


async def test_vllm_says_what_it_serves_and_how_busy_it_is(vllm: Vllm) -> None:
    vllm.wait()
    async with ClientPool() as pool:
        facts = await read_facts(pool, vllm.url)
        load = await read_load(pool, vllm.url)

    assert facts.context_lengths == {MODEL: 1024}
    assert facts.version.startswith("0.")
    assert load == EngineLoad(0, 0, 0.0)


@pytest.mark.parametrize(
    "changes", [{"name": "other"}, {"context_length": 512}, {"engine_version": "0.1"}], ids=str
)
async def test_a_vllm_that_is_not_what_the_service_lists_is_refused(
    vllm: Vllm, changes: dict[str, object]
) -> None:
    vllm.wait()
    spec = compute_service_spec(MODEL_DIR, EngineSpec(MODEL, "vllm"))
    async with engine_of(settings_of(url=vllm.url)) as engine:
        assert await engine.start() == vllm.url
    wrong = replace(spec, **changes)  # type: ignore[arg-type]
    async with engine_of(settings_of(url=vllm.url), wrong) as engine:
        with pytest.raises(OperatorError):
            await engine.start()


async def test_the_pool_lets_go_of_a_connection_before_vllm_does(vllm: Vllm) -> None:
    """vLLM closes one that was idle for 5 s: a relay must never be sent into that."""
    vllm.wait()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(vllm.url.rpartition(":")[2]))
    writer.write(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    began = time.monotonic()
    await reader.read()
    writer.close()

    assert ClientLimits().idle_s < time.monotonic() - began < 7.0


async def test_a_child_is_restarted_whole_after_it_is_killed_and_ends_when_asked() -> None:
    settings = settings_of(context_length=512, dtype="float32", version=RELEASE)
    seen: list[str | None] = []
    async with engine_of(settings) as engine:
        url = await engine.start()
        async with ClientPool() as pool:
            assert (await read_facts(pool, url)).context_lengths == {MODEL: 512}
        before = processes_of(url)
        assert len(before) > 1, "vLLM works in processes of its own"
        watching = asyncio.create_task(engine.watch(seen.append))
        os.kill(before[0], signal.SIGKILL)
        async with asyncio.timeout(START_S_MAX):
            while len(seen) < 2:
                await asyncio.sleep(0.05)
        watching.cancel()
        again = seen[1]
        assert again is not None
        assert answers(again + "/health")
        assert not any(is_running(pid) for pid in before)
        after = processes_of(again)

    assert seen[0] is None
    assert not any(is_running(pid) for pid in after)
