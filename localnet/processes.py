"""Child processes of the local network: run to the end, or start, watch, stop and kill."""

import atexit
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson

from localnet.errors import CommandFailedError, NotReadyError

ROOT = Path(__file__).parent.parent
LOG_TAIL_BYTES = 2000
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
END_S_MAX = 2.0
_started: list[subprocess.Popen[bytes]] = []


def module(name: str, *arguments: str) -> list[str]:
    """The argument vector that runs the Python module `name` with this interpreter."""
    return [sys.executable, "-m", name, *arguments]


def npm_tool(name: str) -> str:
    """The path of a tool that `npm ci` installed into the checkout."""
    tool = ROOT / "node_modules" / ".bin" / name
    if not tool.exists():
        raise NotReadyError(f"{name} is not installed: run `make setup`")
    return str(tool)


def run_json(argv: Sequence[str], timeout_s: float = 240.0) -> dict[str, Any]:
    """Run a command to its end and return the JSON object on its last line.

    Raises:
        CommandFailedError: it ended with a non-zero status.
    """
    done = subprocess.run(argv, capture_output=True, timeout=timeout_s, cwd=ROOT, check=False)
    if done.returncode != 0:
        shown = (done.stdout + done.stderr)[-LOG_TAIL_BYTES:].decode(errors="replace")
        raise CommandFailedError(f"{' '.join(argv[1:6])} … ended with {done.returncode}:\n{shown}")
    lines = done.stdout.strip().splitlines()
    answer: dict[str, Any] = orjson.loads(lines[-1]) if lines else {}
    return answer


def wait_until(
    ready: Callable[[], bool], what: str, timeout_s: float = 60.0, pause_s: float = 0.1
) -> None:
    """Return as soon as `ready()` is true.

    Raises:
        NotReadyError: it was not before `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while not ready():
        if time.monotonic() > deadline:
            raise NotReadyError(f"{what} within {timeout_s:.0f} s")
        time.sleep(pause_s)


def _start(
    argv: Sequence[str], log: Path, environment: Mapping[str, str] = MappingProxyType({}),
    user: str | None = None,
) -> subprocess.Popen[bytes]:  # fmt: skip
    with log.open("ab") as out, signals_held():
        process = subprocess.Popen(
            argv,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=ROOT if user is None else log.parent,  # which that user may read
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", **environment},
            user=user,
            start_new_session=True,
        )
        _started.append(process)
    return process


@contextmanager
def signals_held() -> Iterator[None]:
    """Let a signal that would end this process wait for the end of the block.

    A process that is forked and not yet known to anybody would outlive it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    held: list[int] = []
    before = {each: signal.signal(each, lambda number, _: held.append(number)) for each in ENDING}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler if handler is not None else signal.SIG_DFL)
    for number in held:
        signal.raise_signal(number)


@atexit.register
def _end_started() -> None:
    """Leave nothing running, wherever a signal has struck."""
    for process in _started:
        if process.poll() is None:
            deadline = time.monotonic() + END_S_MAX
            with suppress(ProcessLookupError):  # nobody of its group is left
                while time.monotonic() < deadline:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.poll()
                    time.sleep(0.01)


@dataclass(slots=True)
class Node:
    """One running process with its log file."""

    name: str
    log: Path
    argv: tuple[str, ...]
    process: subprocess.Popen[bytes]
    environment: dict[str, str] = field(default_factory=dict)
    """Variables set for its next start, above those of this process."""
    user: str | None = None
    """As whom it runs; None is as whom this process does."""

    @classmethod
    def start(cls, name: str, argv: Sequence[str], folder: Path, user: str | None = None) -> "Node":
        """Start `argv` in its own process group, its output going to `folder/name.log`."""
        log = folder / f"{name}.log"
        return cls(name, log, tuple(argv), _start(argv, log, user=user), user=user)

    def start_again(self) -> None:
        """Start the same command line anew, after the process ended."""
        self.process = _start(self.argv, self.log, self.environment, self.user)

    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None

    def wait_ready(self, ready: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Return as soon as `ready()` is true; a process that ends before is an error.

        Raises:
            NotReadyError: it ended, or was not ready before `timeout_s`.
        """

        def ready_or_dead() -> bool:
            if not self.is_alive():
                raise NotReadyError(f"{self.name} ended at its start:\n{self.tail()}")
            return ready()

        try:
            wait_until(ready_or_dead, f"{self.name} was not ready", timeout_s)
        except NotReadyError as error:
            raise NotReadyError(f"{error}\n{self.tail()}") from None

    def tail(self) -> str:
        """The end of the log."""
        return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")

    def stop(self, timeout_s: float = 15.0) -> None:
        """Ask the process group to end, and end it if it does not."""
        self._signal(signal.SIGTERM)
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
        self._signal(signal.SIGKILL)

    def kill(self) -> None:
        """End the process group at once, as a power cut would."""
        self._signal(signal.SIGKILL)
        self.process.wait()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return
