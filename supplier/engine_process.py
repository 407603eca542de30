"""The engine as a child process: started, waited for, watched, and started again when it dies."""

import asyncio
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from node.errors import OperatorError
from node.http import ClientPool, HttpClientError, Timeout
from supplier.settings import EngineSettings

log = logging.getLogger(__name__)

BACK_OFF_S_MIN = 0.5
BACK_OFF_S_MAX = 30.0
STEADY_S = 60.0
STOP_S = 10.0
HEALTH_PAUSE_S = 0.1
HEALTH_TIMEOUT = Timeout(connect=2.0, first_byte=5.0, read=5.0, total=5.0)


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start an engine: its argument vector, and the port where that is fixed."""

    argv: tuple[str, ...]
    port: int | None
    """None: the engine prints `{"port": ...}` when it is ready."""


def compute_launch(settings: EngineSettings, port: int) -> Launch:
    """The launch of the engine in the settings; `port` is for engines that are told theirs."""
    name = settings.served_model_name
    if settings.kind == "vllm":
        argv = (
            "vllm", "serve", settings.model, "--host", "127.0.0.1", "--port", str(port),
            "--served-model-name", name, "--enable-prompt-tokens-details", *settings.arguments,
        )  # fmt: skip
        return Launch(argv, port)
    argv = (
        sys.executable, "-m", "supplier.engines.embedded", settings.model, "--port", "0",
        "--served-model-name", name, *settings.arguments,
    )  # fmt: skip
    return Launch(argv, None)


class EngineProcess:
    """One engine; `url` is where it is now, and changes when it is started again."""

    def __init__(self, settings: EngineSettings, pool: ClientPool, port: int = 8001) -> None:
        self._settings = settings
        self._launch = compute_launch(settings, port)
        self._pool = pool
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self.url = ""

    async def start(self) -> None:
        """Start the engine and return when it is healthy; raises OperatorError."""
        argv = self._launch.argv
        try:
            self._process = await asyncio.create_subprocess_exec(
                *argv, stdout=asyncio.subprocess.PIPE if self._launch.port is None else None
            )
        except OSError as error:
            raise OperatorError(f"the engine does not start: {argv[0]}: {error}") from error
        try:
            async with asyncio.timeout(self._settings.start_timeout_s):
                port = self._launch.port or await self._read_port(self._process)
                self.url = f"http://127.0.0.1:{port}"
                await self._wait_healthy(self._process)
        except TimeoutError as error:
            await self.stop()
            raise OperatorError("the engine was not ready in time") from error

    async def watch(self, changed: Callable[[str], None]) -> None:
        """Start the engine again whenever it dies, waiting longer each time; until cancelled."""
        pause_s = BACK_OFF_S_MIN
        loop = asyncio.get_running_loop()
        while self._process is not None:
            began = loop.time()
            status = await self._process.wait()
            if self._stopping:
                return
            pause_s = BACK_OFF_S_MIN if loop.time() - began > STEADY_S else pause_s
            log.error("the engine ended with %s; starting it again in %.1f s", status, pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, BACK_OFF_S_MAX)
            try:
                await self.start()
            except OperatorError as error:
                log.error("%s", error)  # noqa: TRY400  the trace says nothing more
            else:
                changed(self.url)

    async def stop(self) -> None:
        """Ask the engine to end, then make it."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _read_port(self, process: asyncio.subprocess.Process) -> int:
        if process.stdout is None:
            raise OperatorError("the engine has no output")
        line = await process.stdout.readline()
        try:
            return int(orjson.loads(line)["port"])
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise OperatorError("the engine ended before it was ready; see its log") from error

    async def _wait_healthy(self, process: asyncio.subprocess.Process) -> None:
        while not await is_healthy(self._pool, self.url):
            if process.returncode is not None:
                raise OperatorError(f"the engine ended with {process.returncode}")
            await asyncio.sleep(HEALTH_PAUSE_S)


async def is_healthy(pool: ClientPool, url: str) -> bool:
    """Whether the engine at `url` answers for its health."""
    try:
        answer = await pool.request(b"GET", url + "/health", timeout=HEALTH_TIMEOUT)
    except HttpClientError:
        return False
    return answer.status == 200
