"""Real vLLM servers for the tests: small enough that two share a laptop, and still vLLM."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from localnet import EnginePlan
from localnet.chain import free_port
from localnet.processes import Node
from localnet.provision import MODEL, MODEL_DIR

START_S_MAX = 480.0
NEVER_END = {"0": -100, "1": -100, "2": -100}
"""Forbids the special tokens, so that an answer goes on to its limit."""
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    # nothing is compiled: on a processor the first request would wait 16 s for it
    "TORCHDYNAMO_DISABLE": "1",
}
ARGUMENTS = (
    "--max-num-seqs", "16", "--enforce-eager", "--disable-uvicorn-access-log",
    # without a size of its own it asks for a share of the memory, which two cannot both have
    "--kv-cache-memory-bytes", "32M", "--gpu-memory-utilization", "0.2",
)  # fmt: skip


def program() -> str:
    """The `vllm` command the tests are run with."""
    return os.environ["LODE_VLLM"]


def start_vllm(folder: Path, *arguments: str, model: Path = MODEL_DIR, name: str = MODEL) -> "Vllm":
    """Start a vLLM of our own, which suppliers reach by URL; does not wait."""
    port = free_port()
    argv = [
        program(), "serve", str(model), "--host", "127.0.0.1", "--port", str(port),
        "--served-model-name", name, "--enable-prompt-tokens-details", *ARGUMENTS, *arguments,
    ]  # fmt: skip
    return Vllm(Node.start("vllm", argv, folder), f"http://127.0.0.1:{port}")


def child_engine(port: int) -> EnginePlan:
    """The demo model behind a vLLM that its supplier starts on `port`."""
    return EnginePlan(kind="vllm", settings=child_lines(port), start_s_max=START_S_MAX)


def child_lines(port: int, *arguments: str) -> tuple[str, ...]:
    """Lines of a supplier's [engine] for such a vLLM; what `arguments` say goes last."""
    values = {"program": program(), "arguments": [*ARGUMENTS, *arguments], "port": port}
    return tuple(f"{name} = {json.dumps(value)}" for name, value in values.items())


class Vllm:
    """One running server."""

    def __init__(self, node: Node, url: str) -> None:
        self.node = node
        self.url = url

    def wait(self) -> "Vllm":
        """Return itself when it is healthy."""
        self.node.wait_ready(lambda: answers(self.url + "/health"), START_S_MAX)
        return self


def answers(url: str) -> bool:
    """Whether a GET succeeds."""
    try:
        return httpx.get(url, timeout=2.0).status_code == 200
    except httpx.HTTPError:
        return False


def until(predicate: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Wait for a predicate of something that cannot be awaited."""
    deadline = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def engine_metric(url: str, name: str) -> float:
    """A metric of vLLM's, summed over its labels."""
    lines = httpx.get(url + "/metrics", timeout=10.0).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name + "{"))


def processes_of(url: str) -> list[int]:
    """The processes of the vLLM that listens on the port of `url`, the server first."""
    port = url.rpartition(":")[2].encode()
    groups: dict[int, list[int]] = {}
    server = 0
    for path in Path("/proc").glob("[0-9]*"):
        try:
            argv = (path / "cmdline").read_bytes().split(b"\0")
            group = os.getpgid(int(path.name))
        except OSError:
            continue
        groups.setdefault(group, []).append(int(path.name))
        if b"serve" in argv and port in argv:
            server = group
    return [server, *(pid for pid in groups[server] if pid != server)]


def is_running(pid: int) -> bool:
    """Whether a process is there and not merely waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
