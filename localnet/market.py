"""A market in one line: chain, contracts, a source's service, suppliers, a gateway, a delegation."""

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from contracts import Market, TxSender
from localnet.chain import LocalChain, TestAccount, free_port, test_account
from localnet.processes import ROOT, Node, module, run_json

MODEL = "lode-demo"
MODEL_DIR = ROOT / "models" / "demo"
TOKEN = 10**6
"""Base units of one whole test token."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class MarketPlan:
    """What to start. Amounts in token base units, lengths in blocks."""

    suppliers: int = 3
    inventors: int = 0
    """Suppliers that add leaves nobody asked for to every claim."""
    session_blocks: int = 12
    seed_offset: int = 2
    epoch_sessions: int = 2
    block_time_s: int = 1
    stake: int = 1_000 * TOKEN
    unit_price: int = 2 * TOKEN
    """Per million compute units."""
    deposit: int = 10_000 * TOKEN
    cap: int = 100 * TOKEN


@dataclass(frozen=True, slots=True)
class SupplierNode:
    """One supplier of the market."""

    name: str
    config: Path
    supplier: bytes
    owner: TestAccount
    url: str
    is_inventor: bool
    node: Node


@dataclass(slots=True)
class LocalMarket:
    """A running market; `with LocalMarket.start(plan) as market` stops it at the end."""

    plan: MarketPlan
    folder: Path
    chain: LocalChain
    book: Path
    service: bytes = b""
    suppliers: list[SupplierNode] = field(default_factory=list)
    gateway: Node | None = None
    gateway_config: Path = Path()
    base_url: str = ""
    control_url: str = ""
    api_key: str = ""

    @classmethod
    def start(cls, plan: MarketPlan, say: Say = lambda line: None) -> Self:
        """Start everything and return when the first session can be served."""
        folder = Path(tempfile.mkdtemp(prefix="lode-"))
        say("anvil: a real EVM chain on this machine")
        chain = LocalChain.start(folder)
        market = cls(plan, folder, chain, folder / "addressbook.json")
        try:
            market._build(say)
        except BaseException:
            market.stop()
            raise
        return market

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop every process and remove what the market wrote."""
        if self.gateway is not None:
            self.gateway.stop()
        for supplier in self.suppliers:
            supplier.node.stop()
        self.chain.node.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
