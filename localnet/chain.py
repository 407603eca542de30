"""The local chain: anvil, its published accounts, and skipping idle blocks."""

import random
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from eth_account import Account

from localnet.processes import Node, npm_tool

CHAIN_ID = 31337
MNEMONIC = "test test test test test test test test test test test junk"
ACCOUNTS = 64
PORTS = (20_000, 32_000)

Account.enable_unaudited_hdwallet_features()


@dataclass(frozen=True, slots=True)
class TestAccount:
    """One of anvil's published accounts; worth nothing anywhere else."""

    __test__ = False

    key: str
    address: str

    @property
    def raw(self) -> bytes:
        """The address as 20 bytes."""
        return bytes.fromhex(self.address[2:])


def test_account(index: int) -> TestAccount:
    """The account at `m/44'/60'/0'/0/index` of anvil's published mnemonic."""
    account = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
    return TestAccount(account.key.to_0x_hex(), account.address)


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on.

    It is none of those that systems lend to outgoing connections: a node that is started again on
    its port would find it taken by somebody's connection once in a while.
    """
    while True:
        port = random.SystemRandom().randrange(*PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass(frozen=True, slots=True)
class DevChain:
    """Anvil's own calls on a chain at `url`."""

    url: str

    def call(self, method: str, *parameters: object) -> object:
        """The result of one JSON-RPC call."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        answer = httpx.post(self.url, json=body, timeout=30.0).json()
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        result: object = answer["result"]
        return result

    def height(self) -> int:
        """The number of the latest block."""
        return int(str(self.call("eth_blockNumber")), 16)

    def skip_to(self, height: int) -> None:
        """Mine empty blocks at once until `height` is the latest block."""
        missing = height - self.height()
        if missing > 0:
            self.call("anvil_mine", hex(missing))

    def mine_every(self, seconds: int) -> None:
        """From now on mine one block every `seconds`, and none in between."""
        self.call("evm_setAutomine", False)
        self.call("evm_setIntervalMining", seconds)

    def answers(self) -> bool:
        """Whether a local chain is there."""
        try:
            return self.call("eth_chainId") == hex(CHAIN_ID)
        except httpx.HTTPError:
            return False


@dataclass(frozen=True, slots=True)
class LocalChain(DevChain):
    """A running anvil, which mines a block for every transaction until `mine_every` is called."""

    node: Node

    @classmethod
    def start(cls, folder: Path) -> "LocalChain":
        """Start anvil on a free port and wait until it answers."""
        port = free_port()
        argv = [npm_tool("anvil"), "--port", str(port), "--accounts", str(ACCOUNTS), "--silent"]
        chain = cls(f"http://127.0.0.1:{port}", Node.start("anvil", argv, folder))
        try:
            chain.node.wait_ready(chain.answers)
        except BaseException:
            chain.node.stop()
            raise
        return chain
