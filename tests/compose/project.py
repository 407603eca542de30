"""The market of compose.yaml as a project of Docker's, with ports and a name of its own."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import yaml
from openai import OpenAI

from localnet.chain import free_port
from localnet.compose import TERMS
from localnet.processes import wait_until
from localnet.provision import MODEL
from tests.compose.standins import prepare

ROOT = Path(__file__).parents[2]
PROJECT = "lode-test"
SUPPLIERS = ("supplier-0", "supplier-1", "supplier-2")
PUBLISHED = ("GATEWAY", "CONTROL", "CHAIN", "PROMETHEUS", "GRAFANA")
LOGS = ROOT / ".make" / "compose.log"
"""What the containers of the last market said."""
KINDS = {"container": ["--all"], "volume": [], "network": []}
"""What a project can leave behind, with what lists all of it."""
SETTLED_S_MAX = 6.0 * TERMS.session_blocks
ARCHIVE = "/market/{}/archive"
"""Of a supplier by its name."""
KEEP = f"""
import pathlib, time
from localnet.audit import keep_segments
while True:
    for name in {SUPPLIERS}:
        log = pathlib.Path("/market", name, "supplier-data", "receipts")
        keep_segments(log, pathlib.Path("{ARCHIVE}".format(name)))
    time.sleep(2)
"""
ARCHIVIST = {
    "image": "lode-market",
    "pull_policy": "never",
    "command": ["python3", "-c", KEEP],
    "depends_on": {"provision": {"condition": "service_completed_successfully"}},
    "volumes": [f"{name}:/market/{name}" for name in SUPPLIERS],
    "stop_grace_period": "0s",
}
"""Keeps the receipts of suppliers, who delete them once they are settled, for the audit."""


@dataclass(frozen=True)
class Compose:
    """One project; `run` is `docker compose`."""

    files: tuple[str, ...]
    ports: dict[str, str]

    def run(self, *arguments: str, timeout_s: float = 900) -> str:
        """Run `docker compose` and return what it printed."""
        return docker("compose", "-p", PROJECT, *self.files, *arguments,
                      timeout_s=timeout_s, environment=self.ports)  # fmt: skip

    def kill(self, service: str) -> None:
        """Kill a service's container, as the kernel would; nobody starts it again."""
        docker("kill", "--signal", "KILL", self.run("ps", "--quiet", service).strip())

    @property
    def url(self) -> str:
        """Where clients reach the market."""
        return f"http://127.0.0.1:{self.ports['GATEWAY_PORT']}/v1"

    @property
    def prometheus(self) -> str:
        """Prometheus' own address."""
        return f"http://127.0.0.1:{self.ports['PROMETHEUS_PORT']}"

    @property
    def chain(self) -> str:
        """The chain's address."""
        return f"http://127.0.0.1:{self.ports['CHAIN_PORT']}"

    @property
    def key(self) -> str:
        """The API key of the first application."""
        return self.run("exec", "-T", "gateway-0", "cat", "/market/shared/api_key").strip()

    def ask(self, text: str = "What is the capital of Japan?", model: str = MODEL) -> str:
        """The answer of the stock client."""
        with OpenAI(base_url=self.url, api_key=self.key) as client:
            answer = client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": text}], max_tokens=32
            )
        return answer.choices[0].message.content or ""

    def query(self, expression: str) -> float:
        """The sum that Prometheus answers; 0 while it has none."""
        parameters = {"query": f"sum({expression})"}
        answer = httpx.get(f"{self.prometheus}/api/v1/query", params=parameters)
        found = answer.json()["data"]["result"]
        return float(found[0]["value"][1]) if found else 0.0

    def supplier(self, name: str) -> dict[str, Any]:
        """What `supplier status --json` says."""
        config = f"/market/{name}/supplier.toml"
        command = ("python3", "-m", "supplier", "status", "--config", config)
        said = self.run("exec", "-T", name, *command, "--limit", "1000", "--json")
        status: dict[str, Any] = json.loads(said.strip().splitlines()[-1])
        return status

    def down(self, *arguments: str) -> None:
        """Take the market down, once its logs are kept."""
        with LOGS.open("a") as file:
            file.write(self.run("--profile", "*", "logs", "--timestamps", "--no-color"))
        self.run("--profile", "*", "down", "--timeout", "30", *arguments)

    def copy(self, service: str, path: str, to: Path) -> Path:
        """Copy what a container has at `path`; returns where it is now."""
        self.run("cp", f"{service}:{path}", str(to))
        return to

    def wait_settled(self) -> None:
        """Return when nobody waits for a receipt, and every session that was served is closed."""
        for due in (
            "gateway_receipts_waiting + gateway_recounts_waiting",
            "supplier_open_sessions",
        ):
            wait_until(partial(self._is_zero, due), f"{due} is not 0", SETTLED_S_MAX, 2.0)

    def _is_zero(self, expression: str) -> bool:
        """Whether it is 0 at every node, all of which are scraped."""
        return self.query("up == bool 0") == 0 and self.query(expression) == 0


def docker(
    *arguments: str, timeout_s: float = 60, environment: dict[str, str] | None = None
) -> str:
    """Run `docker` and return what it printed."""
    done = subprocess.run(
        ["docker", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=timeout_s,
        check=False, env={**os.environ, **(environment or {})},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def left_behind() -> list[str]:
    """Containers, volumes and networks of the project that there are."""
    mine = ("--quiet", "--filter", f"label=com.docker.compose.project={PROJECT}")
    lists = (docker(kind, "ls", *every, *mine) for kind, every in KINDS.items())
    return [each for text in lists for each in text.split()]


@contextmanager
def market() -> Iterator[tuple[Compose, float]]:
    """The market, up, and how many seconds it took; nothing of it is left afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        LOGS.parent.mkdir(exist_ok=True)
        LOGS.write_text("")
        beside = _write_beside(prepare(), Path(folder))
        ports = {f"{name}_PORT": str(free_port()) for name in PUBLISHED}
        project = Compose(("-f", "compose.yaml", "-f", str(beside)), ports)
        began = time.monotonic()
        try:
            project.run("up", "--wait", "--quiet-pull")
            yield project, time.monotonic() - began
        finally:
            project.down("-v")


def _write_beside(absent: list[str], folder: Path) -> Path:
    """A file that leaves out services whose images cannot be had, and adds an archivist."""
    path = folder / "beside.yaml"
    services: dict[str, object] = {name: {"profiles": ["absent"]} for name in absent}
    path.write_text(yaml.safe_dump({"services": {**services, "archivist": ARCHIVIST}}))
    return path
