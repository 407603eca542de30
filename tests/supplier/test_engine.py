"""The engine as a child and by URL: started, checked, watched, ended, and never taken on trust."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from node.errors import OperatorError
from node.http import ClientPool, Request, Response, serve
from supplier.engines.engine import Engine, build_engine
from supplier.engines.monitor import EngineMonitor
from supplier.engines.openai_http import EngineLoad, is_release, parse_load
from supplier.engines.process import compute_launch, free_port
from supplier.engines.spec import ServiceSpec
from supplier.metrics import Metrics
from supplier.settings import EngineSettings
from tests.supplier import fake_vllm

pytestmark = pytest.mark.anyio

SPEC = ServiceSpec(
    context_length=1024, chat_template_sha256="", tokenizer_sha256="", weights_sha256="",
    dtype="bfloat16", quantization="", engine="vllm", engine_version="", name="m",
    generation_config_sha256="", task="generate", special_tokens={}, add_special_tokens={},
)  # fmt: skip


@pytest.fixture
def program(tmp_path: Path) -> str:
    """The fake vLLM as a command."""
    path = tmp_path / "vllm"
    path.write_text(f"#!{sys.executable}\nfrom tests.supplier.fake_vllm import main\n\nmain()\n")
    path.chmod(0o755)
    return str(path)


def settings_of(program: str, **more: Any) -> EngineSettings:
    values = {"kind": "vllm", "program": program, "model": "M", "served_model_name": "m", "port": 0}
    return EngineSettings(**{**values, **more})


@asynccontextmanager
async def engine_of(
    settings: EngineSettings, spec: ServiceSpec = SPEC
) -> AsyncIterator[tuple[Engine, ClientPool]]:
    async with ClientPool() as pool:
        engine = build_engine(settings, pool, spec)
        try:
            yield engine, pool
        finally:
            await engine.stop()


async def about(pool: ClientPool, url: str) -> dict[str, Any]:
    answer = await pool.request(b"GET", url + "/about")
    page: dict[str, Any] = orjson.loads(answer.body)
    return page


async def until(predicate: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not predicate():
            await asyncio.sleep(0.01)


def runs(pid: int) -> bool:
    """Whether a process is there and not merely waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def last(argv: tuple[str, ...], flag: str) -> str:
    """The value of a flag's last mention, the one that counts."""
    return argv[len(argv) - argv[::-1].index(flag)]


@pytest.mark.parametrize("kind", ["vllm", "embedded"])
def test_what_the_supplier_decides_overrules_the_operator_s_arguments(kind: str) -> None:
    settings = settings_of(
        "vllm", kind=kind, context_length=512,
        arguments=["--host", "0.0.0.0", "--served-model-name", "x", "--max-model-len", "64"],
    )  # fmt: skip

    argv = compute_launch(settings, 8001).argv

    assert last(argv, "--host") == "127.0.0.1"
    assert last(argv, "--served-model-name") == "m"
    assert last(argv, "--max-model-len") == "512"


def test_vllm_is_told_the_arithmetic_the_service_lists() -> None:
    argv = compute_launch(settings_of("vllm", dtype="float32", quantization="fp8"), 8001).argv

    assert (last(argv, "--dtype"), last(argv, "--quantization")) == ("float32", "fp8")
    assert "--dtype" not in compute_launch(settings_of("vllm"), 8001).argv


async def test_a_child_inherits_no_secret_and_takes_its_workers_with_it(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPPLIER_OPERATOR_PASSWORD", "hunter2")
    monkeypatch.setenv("FAKE_VLLM", "")

    async with engine_of(settings_of(program)) as (engine, pool):
        page = await about(pool, await engine.start())
        assert runs(page["worker"])

    assert page["inherited"] == ["FAKE_VLLM"]
    await until(lambda: not runs(page["pid"]) and not runs(page["worker"]))


async def test_a_killed_engine_is_started_again_without_its_old_workers(program: str) -> None:
    seen: list[str | None] = []
    async with engine_of(settings_of(program)) as (engine, pool):
        before = await about(pool, await engine.start())
        watching = asyncio.create_task(engine.watch(seen.append))
        os.kill(before["pid"], signal.SIGKILL)
        await until(lambda: len(seen) == 2)
        after = await about(pool, str(engine.url))
        watching.cancel()

    assert seen == [None, seen[1]]
    assert seen[1] is not None
    assert engine.restarts == 1
    assert after["pid"] != before["pid"]
    assert not runs(before["worker"])


async def test_an_engine_that_keeps_dying_is_tried_again_ever_later(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supplier.engines.process.BACK_OFF_S_MIN", 0.01)
    async with engine_of(settings_of(program)) as (engine, pool):
        page = await about(pool, await engine.start())
        monkeypatch.setenv("FAKE_VLLM", "ends")
        watching = asyncio.create_task(engine.watch(lambda url: None))
        os.kill(page["pid"], signal.SIGKILL)
        await until(lambda: engine.restarts == 3)
        assert engine.url is None
        monkeypatch.setenv("FAKE_VLLM", "")
        await until(lambda: engine.url is not None)
        watching.cancel()


@pytest.mark.parametrize(
    ("fault", "message"), [("ends", "ended with 3"), ("late", "not ready in time")]
)
async def test_an_engine_that_does_not_start_is_an_error_for_the_operator(
    program: str, fault: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_VLLM", fault)

    async with engine_of(settings_of(program, start_timeout_s=2.0)) as (engine, _):
        with pytest.raises(OperatorError, match=message):
            await engine.start()
        assert engine.url is None


async def test_a_program_that_is_not_there_is_an_error_for_the_operator(tmp_path: Path) -> None:
    async with engine_of(settings_of(str(tmp_path / "nowhere"))) as (engine, _):
        with pytest.raises(OperatorError, match="127"):
            await engine.start()


async def test_an_engine_left_behind_on_the_port_is_not_taken_for_the_child(program: str) -> None:
    async def handle(request: Request) -> Response:
        return Response(200, b"{}")

    stranger = await serve(handle)
    try:
        async with engine_of(settings_of(program, port=stranger.port)) as (engine, _):
            with pytest.raises(OperatorError, match="is taken"):
                await engine.start()
    finally:
        await stranger.close(0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "other"}, "the engine serves m, the service other"),
        ({"context_length": 512}, "context of 1024 tokens"),
        ({"engine_version": "0.31"}, "release 0.32.1"),
        ({"engine_version": "0.3"}, "release 0.32.1"),
    ],
)
@pytest.mark.parametrize("by_url", [False, True])
async def test_an_engine_that_is_not_what_the_service_lists_is_refused(
    program: str, changes: dict[str, Any], message: str, by_url: bool
) -> None:
    async with engine_of(settings_of(program)) as (honest, _):
        url = await honest.start() if by_url else None
        async with engine_of(settings_of(program, url=url), replace(SPEC, **changes)) as (wrong, _):
            with pytest.raises(OperatorError, match=message):
                await wrong.start()


async def test_an_engine_by_url_may_be_given_as_a_client_would(program: str) -> None:
    async with engine_of(settings_of(program)) as (child, _):
        url = await child.start()
        async with engine_of(settings_of(program, url=url + "/v1/")) as (remote, _):
            assert await remote.start() == url


async def test_no_engine_at_a_url_is_an_error_for_the_operator() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with engine_of(settings_of("vllm", url=url, start_timeout_s=0.2)) as (engine, _):
        with pytest.raises(OperatorError, match="no engine answers"):
            await engine.start()


async def test_a_supplier_that_is_stopped_does_not_wait_for_its_engine(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_VLLM", "late")
    async with engine_of(settings_of(program)) as (engine, _):
        starting = asyncio.create_task(engine.start())
        await asyncio.sleep(0)
        starting.cancel()
        async with asyncio.timeout(20):
            await asyncio.wait({starting})
        assert starting.cancelled()


@pytest.mark.skipif(sys.platform != "linux", reason="the leash is Linux's")
def test_a_command_on_a_leash_ends_with_its_parent() -> None:
    script = (
        "import os, subprocess, sys\n"
        "argv = [sys.executable, '-m', 'supplier.engines.leash', str(os.getpid()), *sys.argv[1:]]\n"
        "child = subprocess.Popen(argv, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    ready = "import time; print('ready', flush=True); time.sleep(600)"
    parent = subprocess.Popen(
        [sys.executable, "-c", script, sys.executable, "-c", ready],
        stdout=subprocess.PIPE, stdin=subprocess.PIPE,
    )  # fmt: skip
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert runs(child)
    parent.kill()
    parent.communicate()
    asyncio.run(until(lambda: not runs(child)))


def test_the_load_is_summed_over_engines_and_of_the_fullest_cache() -> None:
    assert parse_load(fake_vllm.METRICS.decode()) == EngineLoad(4, 2, 0.5)


@pytest.mark.parametrize("count", ["1e999", "NaN"])
def test_a_load_that_is_no_number_says_nothing(count: str) -> None:
    page, replaced = re.subn(r"[0-9.]+$", count, fake_vllm.METRICS.decode(), flags=re.MULTILINE)
    assert replaced
    assert parse_load(page) is None


@pytest.mark.parametrize("page", ["", "# TYPE other gauge\nother 1\n", "no { page", "a b c d"])
def test_a_page_that_is_not_vllm_s_says_nothing_of_load(page: str) -> None:
    assert parse_load(page) is None


@pytest.mark.parametrize(
    ("version", "listed", "is_so"),
    [
        ("0.32.0", "0.32", True), ("0.32.0+cpu", "0.32.0", True), ("0.32.0", "0.32.0", True),
        ("0.320.0", "0.32", False), ("0.31.9", "0.32", False), ("", "0.32", False),
        ("1.0.0rc1", "1.0.0", False),
    ],
)  # fmt: skip
def test_a_release_covers_its_patches_and_no_other(version: str, listed: str, is_so: bool) -> None:
    assert is_release(version, listed) is is_so


async def test_the_monitor_shows_the_load_and_says_when_the_engine_falls_silent(
    program: str,
) -> None:
    metrics, seen = Metrics(), []
    async with engine_of(settings_of(program)) as (child, pool):
        url = await child.start()
        page = await about(pool, url)
        async with engine_of(settings_of(program, url=url)) as (remote, _):
            monitor = EngineMonitor("one", remote, pool, metrics)
            await monitor.look()
            assert monitor.summary() == {
                "name": "one", "up": True, "restarts": 0, "running": 4, "waiting": 2,
                "kv_cache_used": 0.5,
            }  # fmt: skip
            assert b'supplier_engine_requests{engine="one",state="waiting"} 2.0' in metrics.render()
            os.kill(page["pid"], signal.SIGKILL)
            running = asyncio.create_task(monitor.run(0.01, seen.append))
            await until(lambda: seen == [None])
            assert not monitor.is_up
            assert monitor.summary() == {"name": "one", "up": False, "restarts": 0}
            running.cancel()
