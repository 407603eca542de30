"""A market in one line: chain, contracts, a service, suppliers, a gateway, a delegation."""

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
from localnet.processes import ROOT, Node, module, run_json, wait_until
from relay_mining import Clock

MODEL = "lode-demo"
MODEL_DIR = ROOT / "models" / "demo"
TOKEN = 10**6
"""Base units of one whole test token."""

OK = 200
DEPLOYER, SOURCE, GATEWAY_OWNER, GATEWAY_SIGNER = (test_account(index) for index in range(4))
FIRST_SUPPLIER_ACCOUNT = 10

Say = Callable[[str], None]


def supplier_owner(number: int) -> TestAccount:
    """The account that owns supplier `number`; the next one is its operator's."""
    return test_account(FIRST_SUPPLIER_ACCOUNT + 2 * number)


def supplier_operator(number: int) -> TestAccount:
    """The account that operates supplier `number`."""
    return test_account(FIRST_SUPPLIER_ACCOUNT + 2 * number + 1)


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """The engine of one supplier; by default the embedded one with the demo model."""

    model: Path = MODEL_DIR
    name: str = MODEL
    kind: str = "embedded"
    url: str = ""
    """Where it runs already; else it is the supplier's child."""
    settings: tuple[str, ...] = ()
    """More lines of the config's [engine]."""
    start_s_max: float = 60.0


@dataclass(frozen=True, slots=True)
class MarketPlan:
    """What to start. Amounts in token base units, lengths in blocks."""

    suppliers: int = 3
    engines: tuple[EnginePlan, ...] = (EnginePlan(),)
    """The suppliers take them in turn; all serve the one service that the source lists of the
    first."""
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
    cap: int = 8 * TOKEN
    """A session; small enough that the threshold is near the size of a relay."""


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
        try:
            chain = LocalChain.start(folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
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

    @property
    def applications(self) -> list[bytes]:
        """Addresses with escrow."""
        return [GATEWAY_OWNER.raw]

    @property
    def payees(self) -> list[bytes]:
        """Everybody whom claims may pay, the treasury aside."""
        return [SOURCE.raw, GATEWAY_OWNER.raw, *(each.owner.raw for each in self.suppliers)]

    def is_alive(self) -> bool:
        """Whether chain, gateway and all suppliers still run."""
        nodes = [self.chain.node, *(each.node for each in self.suppliers)]
        return all(each.is_alive() for each in nodes) and bool(
            self.gateway and self.gateway.is_alive()
        )

    def supplier_status(self, supplier: SupplierNode) -> dict[str, Any]:
        """What `supplier status --json` says."""
        return run_supplier(supplier.config, "status", "--limit", "1000")

    def stop(self) -> None:
        """Stop every process and remove what the market wrote."""
        if self.gateway is not None:
            self.gateway.stop()
        for supplier in self.suppliers:
            supplier.node.stop()
        self.chain.node.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _build(self, say: Say) -> None:
        say("contracts: registry, escrow, sessions, claims, parameters, a test token")
        self._deploy()
        asyncio.run(self._mint())
        say(f"source: lists the service {self.plan.engines[0].name}")
        self.service = self._list_service()
        for number in range(self.plan.suppliers + self.plan.inventors):
            self._add_supplier(number, say)
        say("gateway: registers, funds an application's escrow, delegates to itself")
        self._add_gateway()
        self._open_first_session(say)

    def _deploy(self) -> None:
        plan = self.plan
        options = {
            "session-blocks": plan.session_blocks,
            "seed-offset": plan.seed_offset,
            "epoch-sessions": plan.epoch_sessions,
            "members": plan.suppliers + plan.inventors,
            "idle-epochs": 0,  # epochs of seconds: a market left alone for a minute is not idle
        }
        flags = [f"--{name}={value}" for name, value in options.items()]
        run_json(
            module(
                "contracts.deploy", "--rpc", self.chain.url, "--key", DEPLOYER.key,
                "--out", str(self.book), "--json", *flags,
            )
        )  # fmt: skip

    def _list_service(self) -> bytes:
        """The source lists the model, with the configuration of a supplier of its own."""
        config = self.folder / "source.toml"
        self._init_supplier(config, 0, free_port())
        listed = run_supplier(
            config, "source", "list", self.plan.engines[0].name, "--key", SOURCE.key
        )
        return bytes.fromhex(listed["service"][2:])

    def _add_supplier(self, number: int, say: Say) -> None:
        is_inventor = number >= self.plan.suppliers
        name = f"inventor-{number - self.plan.suppliers}" if is_inventor else f"supplier-{number}"
        say(f"{name}: stakes, lists the service, loads the model, serves")
        owner, port = supplier_owner(number), free_port()
        config = self.folder / name / "supplier.toml"
        self._init_supplier(config, number, port)
        staked = run_supplier(config, "stake", str(self.plan.stake))
        price = str(self.plan.unit_price)
        run_supplier(config, "list", "0x" + self.service.hex(), "--price", price)
        program = "adversaries.inventor" if is_inventor else "supplier"
        command = [] if is_inventor else ["serve"]
        node = Node.start(name, module(program, *command, "--config", str(config)), self.folder)
        self.suppliers.append(
            SupplierNode(
                name=name,
                config=config,
                supplier=bytes.fromhex(staked["supplier"][2:]),
                owner=owner,
                url=f"http://127.0.0.1:{port}",
                is_inventor=is_inventor,
                node=node,
            )
        )
        health = f"http://127.0.0.1:{port}/lode/v1/health"
        node.wait_ready(lambda: _status_of(health) == OK, self._engine(number).start_s_max)

    def _engine(self, number: int) -> EnginePlan:
        return self.plan.engines[number % len(self.plan.engines)]

    def _init_supplier(self, config: Path, number: int, port: int) -> None:
        engine = self._engine(number)
        run_supplier(
            config, "init", "--rpc", self.chain.url, "--address-book", str(self.book),
            "--engine", engine.kind, "--engine-url", engine.url, "--model", str(engine.model),
            "--served-model-name", engine.name, "--port", str(port),
            "--confirmations", "0", "--owner-key", supplier_owner(number).key,
            "--operator-key", supplier_operator(number).key,
        )  # fmt: skip
        if engine.settings:
            lines = "\n".join(["[engine]", *engine.settings])
            config.write_text(config.read_text().replace("[engine]", lines, 1))

    async def _mint(self) -> None:
        """Give everybody who stakes or pays some of the test token, which anyone can mint."""
        holders = [GATEWAY_OWNER.raw]
        count = self.plan.suppliers + self.plan.inventors
        holders += [supplier_owner(number).raw for number in range(count)]
        async with await Market.connect([self.chain.url], self.book) as market:
            sender = TxSender(market.chain, bytes.fromhex(DEPLOYER.key[2:]))
            for holder in holders:
                await sender.send(market.token.mint(holder, self.plan.deposit * 2))

    def _add_gateway(self) -> None:
        port, control_port = free_port(), free_port()
        self.base_url = f"http://127.0.0.1:{port}/v1"
        self.control_url = f"http://127.0.0.1:{control_port}"
        self.gateway_config = self.folder / "gateway.toml"
        self.gateway_config.write_text(
            f"""
data_dir = "gateway"
public_url = "{self.base_url}"
[chain]
rpc_urls = ["{self.chain.url}"]
address_book = "{self.book}"
confirmations = 0
poll_s = 0.2
[keys]
owner_key = "{GATEWAY_OWNER.key}"
signing_key = "{GATEWAY_SIGNER.key}"
[server]
port = {port}
[control]
port = {control_port}
admin_token = "{secrets.token_hex(24)}"
"""
        )
        self.gateway_config.chmod(0o600)
        service = "0x" + self.service.hex()
        self.run_gateway("register", "--url", self.base_url)
        self.run_gateway("fund", str(self.plan.deposit))
        self.run_gateway("delegate", service, str(self.plan.cap), "--fee-bps", "100")
        self.api_key = self.run_gateway("keys", "create", "localnet")["key"]
        argv = module("gateway.cli", "serve", "--config", str(self.gateway_config))
        self.gateway = Node.start("gateway", argv, self.folder)
        self.gateway.wait_ready(lambda: self._health("healthz"))

    def _health(self, page: str) -> bool:
        return _status_of(f"{self.base_url.removesuffix('/v1')}/{page}") == OK

    def run_gateway(self, *arguments: str) -> dict[str, Any]:
        """Run a command of the gateway's and return its JSON object."""
        config = ["--config", str(self.gateway_config), "--json"]
        return run_json(module("gateway.cli", *arguments, *config))

    def _open_first_session(self, say: Say) -> None:
        """Skip idle blocks to the first epoch with a roster, then mine at a steady pace."""
        say("idle blocks are skipped until the first session with a roster")
        clock = asyncio.run(self._read_clock())
        following = clock.epoch_of(clock.session_at(self.chain.height())) + 1
        self.chain.skip_to(clock.start(following * clock.epoch_sessions))
        self.chain.mine_every(self.plan.block_time_s)
        members = self.plan.suppliers + self.plan.inventors
        wait_until(
            lambda: asyncio.run(self._roster_count(following + 1)) == members,
            "no roster of all suppliers was built",
            clock.session_blocks * 2.0,
        )
        self.chain.skip_to(clock.start((following + 1) * clock.epoch_sessions))
        wait_until(lambda: self._health("readyz"), "the gateway was not ready", 60.0)

    async def _read_clock(self) -> Clock:
        async with await Market.connect([self.chain.url], self.book) as market:
            return await market.sessions.clock()

    async def _roster_count(self, epoch: int) -> int:
        async with await Market.connect([self.chain.url], self.book) as market:
            head = await market.sessions.roster_head(self.service, epoch)
            return head.count if head.built_epoch == epoch else 0


def run_supplier(config: Path, *arguments: str) -> dict[str, Any]:
    """Run a command of a supplier's and return its JSON object."""
    return run_json(module("supplier", *arguments, "--config", str(config), "--json"))


def _status_of(url: str) -> int:
    """The status of a GET; 0 while nobody answers."""
    try:
        return httpx.get(url, timeout=5.0).status_code
    except httpx.HTTPError:
        return 0
