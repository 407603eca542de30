"""The engine as a child process: started, waited for, watched, and started again when it dies."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import orjson

from node.errors import OperatorError
from node.http import ClientPool
from supplier.engines.openai_http import is_healthy
from supplier.settings import ENVIRONMENT_PREFIX, EngineSettings

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
BACK_OFF_S_MIN = 0.5
BACK_OFF_S_MAX = 30.0
STEADY_S = 60.0
STOP_S = 10.0
GROUP_S_MAX = 5.0
GROUP_PAUSE_S = 0.01
HEALTH_PAUSE_S = 0.1
PROGRESS_S = 5.0

Check = Callable[[str], Awaitable[None]]
"""Raises OperatorError where the engine at a URL is not the one to be served."""


class EngineKilledError(OperatorError):
    """Somebody, the kernel for want of memory perhaps, killed an engine while it started."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start an engine: its argument vector, and the port where that is fixed."""

    argv: tuple[str, ...]
    port: int | None
    """None: the engine prints `{"port": ...}` when it is ready."""


def compute_launch(settings: EngineSettings, port: int) -> Launch:
    """The launch of the engine in the settings; `port` is for engines that are told theirs.

    What the supplier decides comes last, where it overrules the operator's own arguments: the
    engine listens on the loopback interface, and serves what the service lists.
    """
    decided = ["--host", LOOPBACK, "--served-model-name", settings.served_model_name]
    if settings.context_length is not None:
        decided += ["--max-model-len", str(settings.context_length)]
    if settings.kind == "vllm":
        argv = (
            settings.program, "serve", settings.model, *settings.arguments, *decided,
            *_vllm_numerics(settings), "--port", str(port), "--enable-prompt-tokens-details",
        )  # fmt: skip
        return Launch(argv, port)
    argv = (
        sys.executable, "-m", "supplier.engines.embedded", settings.model, *settings.arguments,
        *decided, "--port", "0",
    )  # fmt: skip
    return Launch(argv, None)


def _vllm_numerics(settings: EngineSettings) -> list[str]:
    """Flags for what the spec states: left to itself vLLM runs a float32 model in half of it."""
    named = {"--dtype": settings.dtype, "--quantization": settings.quantization}
    return [word for flag, value in named.items() if value for word in (flag, value)]


class EngineProcess:
    """One engine; `url` is where it is now, None while it is down."""

    def __init__(self, settings: EngineSettings, pool: ClientPool, check: Check) -> None:
        self._settings = settings
        self._pool = pool
        self._check = check
        self._process: asyncio.subprocess.Process | None = None
        self.url: str | None = None
        self.restarts = 0

    async def start(self) -> str:
        """Start the engine and return its URL when it is healthy; raises OperatorError.

        An engine that does not become healthy in time, or is the wrong one, is ended again.
        """
        launch = compute_launch(self._settings, self._settings.port or free_port())
        if launch.port is not None:
            require_free(launch.port)
        self._process = await _spawn(launch)
        try:
            async with asyncio.timeout(self._settings.start_timeout_s):
                port = launch.port or await _read_port(self._process)
                url = f"http://{LOOPBACK}:{port}"
                await wait_healthy(self._pool, url, self._settings.start_timeout_s, self._process)
            await self._check(url)
        except TimeoutError as error:
            await self.stop()
            raise OperatorError("the engine was not ready in time") from error
        except BaseException:
            await self.stop()
            raise
        self.url = url
        return url

    async def watch(self, changed: Callable[[str | None], None]) -> None:
        """Start the engine again whenever it dies, waiting longer each time; until cancelled.

        `changed` is told None when it dies, and its URL when it is back.
        """
        pause_s = BACK_OFF_S_MIN
        loop = asyncio.get_running_loop()
        began = loop.time()
        while self._process is not None:
            status = await self._process.wait()
            self.url = None
            changed(None)
            await _end_group(self._process)
            pause_s = BACK_OFF_S_MIN if loop.time() - began > STEADY_S else pause_s
            log.error("the engine ended with %s; starting it again in %.1f s", status, pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, BACK_OFF_S_MAX)
            self.restarts += 1
            try:
                changed(await self.start())
            except OperatorError as error:
                log.error("%s", error)  # noqa: TRY400  the trace says nothing more
            began = loop.time()

    async def stop(self) -> None:
        """Ask the engine to end, then make it, and all it has started."""
        self.url = None
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            process.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_S):
                    await process.wait()
        await _end_group(process)
        await process.wait()


async def wait_healthy(
    pool: ClientPool,
    url: str,
    timeout_s: float,
    process: asyncio.subprocess.Process | None = None,
) -> None:
    """Return when the engine at `url` is healthy, saying now and then that it is waited for.

    Raises OperatorError where it is not before `timeout_s`, or its `process` ends.
    """
    loop = asyncio.get_running_loop()
    began = said = loop.time()
    while not await is_healthy(pool, url):
        if process is not None and process.returncode is not None:
            raise _early_end(process.returncode)
        now = loop.time()
        if now - began > timeout_s:
            raise OperatorError(f"no engine answers at {url}")
        if now - said >= PROGRESS_S:
            said = now
            log.info("waiting for the engine: %.0f s of at most %.0f", now - began, timeout_s)
        await asyncio.sleep(HEALTH_PAUSE_S)


def require_free(port: int) -> None:
    """Refuse a port somebody listens on, who would be taken for the engine (OperatorError)."""
    with socket.socket() as probe:
        if probe.connect_ex((LOOPBACK, port)) == 0:
            raise OperatorError(
                f"port {port} is taken, by an engine left behind? "
                "Stop it, set engine.port, or use it as it is with engine.url"
            )


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


async def _spawn(launch: Launch) -> asyncio.subprocess.Process:
    """Start it on a leash, in a process group of its own, without the supplier's secrets."""
    passed_on = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(ENVIRONMENT_PREFIX)
    }
    argv = (sys.executable, "-m", "supplier.engines.leash", str(os.getpid()), *launch.argv)
    return await asyncio.create_subprocess_exec(
        *argv,
        stdout=asyncio.subprocess.PIPE if launch.port is None else None,
        env=passed_on,
        start_new_session=True,
    )


async def _end_group(process: asyncio.subprocess.Process) -> None:
    """End what an engine has started and left: vLLM's workers outlive a server that is killed.

    The kernel takes its time to end them, and until then they hold memory that the next engine
    needs. One that nobody reaps holds none, and is not waited for longer than `GROUP_S_MAX`.
    """
    with suppress(ProcessLookupError, TimeoutError):
        async with asyncio.timeout(GROUP_S_MAX):
            while True:
                os.killpg(process.pid, signal.SIGKILL)
                await asyncio.sleep(GROUP_PAUSE_S)


async def _read_port(process: asyncio.subprocess.Process) -> int:
    if process.stdout is None:
        raise OperatorError("the engine has no output")
    line = await process.stdout.readline()
    if not line:
        raise _early_end(await process.wait())
    try:
        return int(orjson.loads(line)["port"])
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise OperatorError("the engine did not say its port; see its log") from error


def _early_end(status: int) -> OperatorError:
    """What it means that an engine ended, with this status, before it was ready."""
    if status < 0:
        return EngineKilledError(f"the engine was killed by signal {-status} while it started")
    return OperatorError(f"the engine ended with {status} before it was ready; see its log")
