"""What the gateway is measured against, each started on one core before the same upstream."""

import asyncio
import multiprocessing
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import httpx
from prometheus_client import CollectorRegistry

from benchmarks.instant_supplier import LINES
from benchmarks.measuring import pin
from gateway.dialling import DIAL_PATH, Door, Lobby
from gateway.metrics import Metrics
from gateway.routing.upstream import UpstreamTimeouts
from node.http import ClientPool, run
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, Gateway, a_gateway
from tests.gateway.porch import Sessions

PATH = "/v1/chat/completions"
FLUSH_S = 0.25
"""How long receipts wait for company, as the gateway's settings have it."""
START_S = 180.0
VENV = Path(".make/bench-venv")
"""Where `make bench-gateway` installs what is no dependency of ours."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A running proxy; no process where clients ask the upstream itself."""

    url: str
    key: str = "none"
    pid: int | None = None


Start = Callable[[int, int, set[int]], AbstractContextManager[Contestant]]
"""Starts a contestant before the upstream's port, on a core, with its helpers on others."""


@contextmanager
def start_direct(upstream: int, core: int, others: set[int]) -> Iterator[Contestant]:
    """No proxy at all."""
    yield Contestant(f"http://127.0.0.1:{upstream}{PATH}")


def serve_gateway(
    pipe: Connection, upstream: int, core: int, others: set[int], dials: bool
) -> None:
    """Serve through the upstream until told to stop; then report what was settled.

    Where the upstream `dials`, it is told to, and asked on its lines.
    """

    async def main() -> None:
        pin(others)  # the recount worker inherits where it may run
        metrics = Metrics(CollectorRegistry())
        fake, url = FakeSupplier("bench", dials_out=dials), f"http://127.0.0.1:{upstream}"
        with tempfile.TemporaryDirectory() as folder:
            async with a_gateway(
                Path(folder),
                fake,
                url="" if dials else url,
                flush_s=FLUSH_S,
                timeouts=UpstreamTimeouts(),
                observe_all=metrics.observe,
            ) as gateway:
                if dials:
                    await take_lines(gateway, fake, url)
                pin({core})
                ledger = asyncio.create_task(gateway.ledger.run())
                stop = asyncio.Event()
                asyncio.get_running_loop().add_reader(pipe.fileno(), stop.set)
                pipe.send((gateway.server.port, gateway.key))
                await stop.wait()
                asyncio.get_running_loop().remove_reader(pipe.fileno())
                await gateway.settled()
                ledger.cancel()
                pipe.send(gateway.ledger.summary()["total"])

    run(main())


async def take_lines(gateway: Gateway, fake: FakeSupplier, url: str) -> None:
    """Let the upstream dial in, and return when it has."""
    sessions = Sessions(operators={fake.supplier: fake.signer.address})
    lobby = Lobby(gateway.lines, LINES, START_S, lambda outcome: None)
    gateway.plane.mount_page(DIAL_PATH, Door(sessions, lobby).answer)
    async with ClientPool() as pool:
        await pool.request("POST", f"{url}/dial", (), f"{gateway.url}/v1".encode())
    while gateway.lines.total < LINES:  # noqa: ASYNC110  nobody says when
        await asyncio.sleep(0.01)


@contextmanager
def start_gateway(
    upstream: int, core: int, others: set[int], dials: bool = False
) -> Iterator[Contestant]:
    """Ours: signed, verified, recounted, receipted, accounted for, measured."""
    spawn = multiprocessing.get_context("spawn")
    pipe, there = spawn.Pipe()
    process = spawn.Process(target=serve_gateway, args=(there, upstream, core, others, dials))
    process.start()
    port, key = pipe.recv()
    yield Contestant(f"http://127.0.0.1:{port}{PATH}", key, process.pid)
    pipe.send("stop")
    total = pipe.recv()
    process.join()
    if total["receipts"] != total["requests"]:
        raise RuntimeError(f"{total['requests']} answers, {total['receipts']} receipts")
    print(f"gateway: {total['requests']} answers, each recounted and receipted", flush=True)


def start_dialled(upstream: int, core: int, others: set[int]) -> AbstractContextManager[Contestant]:
    """Ours again, its supplier behind lines that it has dialled."""
    return start_gateway(upstream, core, others, dials=True)


@contextmanager
def start_passthrough(upstream: int, core: int, others: set[int]) -> Iterator[Contestant]:
    """FastAPI and httpx."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.passthrough", str(port)]
    with _started([*command, f"http://127.0.0.1:{upstream}{PATH}"], core, port) as contestant:
        yield contestant


@contextmanager
def start_litellm(upstream: int, core: int, others: set[int]) -> Iterator[Contestant]:
    """LiteLLM's proxy, one worker, logging and callbacks off."""
    port, key = free_port(), "sk-" + secrets.token_hex(32)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(
            f"model_list:\n- model_name: {MODEL}\n  litellm_params:\n"
            f"    model: openai/{MODEL}\n    api_base: http://127.0.0.1:{upstream}/v1\n"
            "    api_key: none\nlitellm_settings: {telemetry: false}\n"
            f"general_settings: {{master_key: {key}}}\n"
        )
        command = [VENV / "bin/litellm", "--config", config, "--port", port, "--num_workers", 1]
        with _started([str(each) for each in command], core, port, key) as contestant:
            yield contestant


@contextmanager
def start_sglang_router(upstream: int, core: int, others: set[int]) -> Iterator[Contestant]:
    """sglang-router with one worker behind it."""
    port = free_port()
    command = [
        str(VENV / "bin/python"), "-m", "sglang_router.launch_router", "--port", str(port),
        "--worker-urls", f"http://127.0.0.1:{upstream}", "--log-level", "error",
        "--prometheus-port", str(free_port()),
    ]  # fmt: skip
    with _started(command, core, port) as contestant:
        yield contestant


OURS: dict[str, Start] = {
    "direct": start_direct,
    "gateway": start_gateway,
    "gateway, dialled": start_dialled,
    "FastAPI + httpx": start_passthrough,
}
RIVALS: dict[str, tuple[str, Start]] = {
    "LiteLLM": ("litellm", start_litellm),
    "sglang-router": ("sglang_router", start_sglang_router),
}
"""Module and start of what `.make/bench-venv` may hold."""


def installed_rivals() -> dict[str, Start]:
    """The rivals whose package is installed; says which are left out."""
    found: dict[str, Start] = {}
    for name, (module, start) in RIVALS.items():
        if any(VENV.glob(f"lib/python*/site-packages/{module}/__init__.py")):
            found[name] = start
        else:
            print(f"{name}: left out, not installed in {VENV}", flush=True)
    return found


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _started(command: list[str], core: int, port: int, key: str = "none") -> Iterator[Contestant]:
    url = f"http://127.0.0.1:{port}{PATH}"
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, preexec_fn=lambda: pin({core})
        )  # fmt: skip
        try:
            _wait_for_answer(url, key, process)
            yield Contestant(url, key, process.pid)
        except TimeoutError:
            log.seek(0)
            sys.stderr.write(log.read().decode(errors="replace")[-2000:])
            raise
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_for_answer(url: str, key: str, process: subprocess.Popen[bytes]) -> None:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
    headers = {"authorization": f"Bearer {key}"}
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.post(url, json=body, headers=headers, timeout=10).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.3)
    raise TimeoutError(f"{process.args!r} does not answer")
