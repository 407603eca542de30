"""A local chain as a process, and what tests do to it that no client can."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
KEYS = tuple(
    bytes.fromhex(each)
    for each in (
        "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
        "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
        "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
        "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
        "47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
        "8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
    )
)
"""Private keys of anvil's first accounts, which are funded."""


class RpcFailedError(Exception):
    """The chain answered a test's request with an error."""


@dataclass
class Anvil:
    """A running anvil."""

    url: str
    process: subprocess.Popen[bytes]
    http: httpx.Client

    def rpc(self, method: str, *params: Any) -> Any:
        """The result of a JSON-RPC request."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        answer = self.http.post(self.url, json=body).json()
        if "error" in answer:
            raise RpcFailedError(answer["error"])
        return answer["result"]

    def rpc_all(self, method: str, calls: Iterable[Sequence[Any]]) -> list[Any]:
        """The results of many requests of one kind, in their order."""
        bodies = [
            {"jsonrpc": "2.0", "id": index, "method": method, "params": list(params)}
            for index, params in enumerate(calls)
        ]
        answers = self.http.post(self.url, json=bodies).json()
        failed = [each["error"] for each in answers if "error" in each]
        if failed:
            raise RpcFailedError(failed[0])
        return [each["result"] for each in sorted(answers, key=lambda each: int(each["id"]))]

    @property
    def height(self) -> int:
        """Number of the newest block."""
        return int(self.rpc("eth_blockNumber"), 16)

    def mine(self, blocks: int = 1) -> None:
        """Make blocks."""
        self.rpc("anvil_mine", hex(blocks))

    def mine_to(self, number: int) -> None:
        """Make blocks until `number` is the newest (AssertionError if it is past)."""
        height = self.height
        assert height <= number, f"block {number} is past: the chain is at {height}"
        if height < number:
            self.mine(number - height)

    def stop(self) -> None:
        """End the process."""
        self.http.close()
        self.process.terminate()
        self.process.wait(timeout=10)


def start_anvil(*arguments: str) -> Anvil:
    """Start a chain on a free port and wait until it answers."""
    binary = shutil.which("anvil", path=str(ROOT / "node_modules" / ".bin")) or "anvil"
    port = _free_port()
    command = [binary, "--silent", "--port", str(port), "--hardfork", "prague", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    anvil = Anvil(f"http://127.0.0.1:{port}", process, httpx.Client(timeout=60, trust_env=False))
    deadline = time.monotonic() + 30
    while True:
        try:
            anvil.rpc("eth_chainId")
        except httpx.TransportError:
            assert process.poll() is None, "anvil ended"
            assert time.monotonic() < deadline, "anvil does not answer"
            time.sleep(0.02)
        else:
            return anvil


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
