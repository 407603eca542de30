"""What a market needs before its nodes start, done through their own command lines.

Keys are anvil's published ones. Every function may be called again: a step that was done is left
as it is, so that a set-up that was cut off goes on where it stopped.
"""

import asyncio
import json
import secrets
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from contracts import Market, TxSender
from localnet.accounts import (
    DEPLOYER,
    SOURCE,
    gateway_owner,
    gateway_signer,
    supplier_operator,
    supplier_owner,
)
from localnet.chain import free_port
from localnet.processes import ROOT, module, run_json
from relay_mining import DIALS_OUT

MODEL = "lode-demo"
MODEL_DIR = ROOT / "models" / "demo"
TOKEN = 10**6
"""Base units of one whole test token."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What everybody puts in. Amounts in token base units, lengths in blocks."""

    session_blocks: int = 12
    seed_offset: int = 2
    epoch_sessions: int = 2
    stake: int = 1_000 * TOKEN
    unit_price: int = 2 * TOKEN
    """Per million compute units."""
    deposit: int = 10_000 * TOKEN
    cap: int = 8 * TOKEN
    """A session; small enough that the threshold is near the size of a relay."""
    confirmations: int = 0
    """Blocks on top of one that the nodes hold final; anvil reorganises only when told to."""
    claim_delay: int | None = None
    """Blocks that suppliers wait for the last receipts; None is a share of the session."""


DEFAULT_TERMS = Terms()


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


DEMO_ENGINE = EnginePlan()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node listens, and where others reach it."""

    host: str
    port: int
    url: str
    page_port: int = 0
    """Where a supplier shows its own page and its metrics; 0 is nowhere."""
    page_host: str = ""
    """If it is another than `host`."""

    @classmethod
    def local(cls) -> "Place":
        """Free ports of this machine."""
        port = free_port()
        return cls("127.0.0.1", port, f"http://127.0.0.1:{port}", free_port())

    @property
    def page_url(self) -> str:
        """Where that page is, for this machine."""
        return f"http://127.0.0.1:{self.page_port}"

    @property
    def page_settings(self) -> tuple[str, ...]:
        """Lines of a supplier's [server]."""
        return (
            f'metrics_host = "{self.page_host or self.host}"',
            f"metrics_port = {self.page_port}",
        )

    def dialling(self) -> "Place":
        """The same of a supplier that nobody reaches: it dials its gateways."""
        return replace(self, url=DIALS_OUT)


@dataclass(frozen=True, slots=True)
class Site:
    """The chain and the address book of one market, and what is put into it."""

    rpc: str
    book: Path
    terms: Terms = DEFAULT_TERMS

    def deploy(self, members: int) -> None:
        """Deploy the contracts, with sessions of `members`, and write the address book."""
        flags = {
            "session-blocks": self.terms.session_blocks,
            "seed-offset": self.terms.seed_offset,
            "epoch-sessions": self.terms.epoch_sessions,
            "members": members,
            "idle-epochs": 0,  # epochs of seconds: a market left alone for a minute is not idle
        }
        run_json(
            module(
                "contracts.deploy", "--rpc", self.rpc, "--key", DEPLOYER.key,
                "--out", str(self.book), "--json", *(f"--{name}={v}" for name, v in flags.items()),
            )
        )  # fmt: skip

    def mint(self, suppliers: int, gateways: int = 1) -> None:
        """Give everybody who stakes or pays some of the test token, which anyone can mint."""
        holders = [*map(gateway_owner, range(gateways)), *map(supplier_owner, range(suppliers))]
        asyncio.run(self._mint([each.raw for each in holders]))

    async def _mint(self, holders: list[bytes]) -> None:
        async with await Market.connect([self.rpc], self.book) as market:
            sender = TxSender(market.chain, bytes.fromhex(DEPLOYER.key[2:]))
            for holder in holders:
                if not await market.token.balance(holder):
                    await sender.send(market.token.mint(holder, self.terms.deposit * 2))

    def list_service(self, folder: Path, engine: EnginePlan = DEMO_ENGINE) -> bytes:
        """Have the source list an engine's model; returns the service's id."""
        config = folder / "source.toml"
        self._init_supplier(config, 0, Place.local(), engine)
        listed = run_supplier(config, "source", "list", engine.name, "--key", SOURCE.key)
        return bytes.fromhex(listed["service"][2:])

    def add_supplier(
        self, config: Path, number: int, service: bytes, place: Place,
        engine: EnginePlan = DEMO_ENGINE,
    ) -> bytes:  # fmt: skip
        """Configure, register, stake and list supplier `number`; returns its id."""
        self._init_supplier(config, number, place, engine)
        missing = self.terms.stake - asyncio.run(self._staked(_supplier_id(config)))
        if missing > 0:
            run_supplier(config, "stake", str(missing))
        price = str(self.terms.unit_price)
        run_supplier(config, "list", "0x" + service.hex(), "--price", price)
        return _supplier_id(config)

    async def _staked(self, supplier: bytes) -> int:
        if not supplier:
            return 0
        async with await Market.connect([self.rpc], self.book) as market:
            return (await market.registry.supplier(supplier)).stake

    def _init_supplier(self, config: Path, number: int, place: Place, engine: EnginePlan) -> None:
        if config.exists():
            return
        run_supplier(
            config, "init", "--rpc", self.rpc, "--address-book", str(self.book),
            "--engine", engine.kind, "--engine-url", engine.url, "--model", str(engine.model),
            "--served-model-name", engine.name,
            "--host", place.host, "--port", str(place.port), "--public-url", place.url,
            "--confirmations", str(self.terms.confirmations),
            "--owner-key", supplier_owner(number).key,
            "--operator-key", supplier_operator(number).key,
        )  # fmt: skip
        add_lines(config, "[engine]", engine.settings)
        add_lines(config, "[server]", place.page_settings)
        if self.terms.claim_delay is not None:
            delay = f"claim_delay_blocks = {self.terms.claim_delay}"
            add_lines(config, "[settlement]", (delay,))

    def add_gateway(
        self, config: Path, service: bytes, place: Place, control: Place,
        settings: tuple[str, ...] = (), number: int = 0,
    ) -> str:  # fmt: skip
        """Configure and register gateway `number`, fund it and delegate to it; returns an API key.

        `settings` are more lines of its file.
        """
        self._write_gateway(config, place, control, settings, number)
        run_gateway(config, "register", "--url", f"{place.url}/v1")
        missing = self.terms.deposit - asyncio.run(self._escrow(gateway_owner(number).raw))
        if missing > 0:
            run_gateway(config, "fund", str(missing))
        self.delegate(config, service)
        key: str = run_gateway(config, "keys", "create", "localnet")["key"]
        return key

    async def _escrow(self, application: bytes) -> int:
        async with await Market.connect([self.rpc], self.book) as market:
            return (await market.escrow.account(application)).balance

    def delegate(self, config: Path, service: bytes) -> None:
        """Let the gateway spend the cap of each session on a service."""
        cap = str(self.terms.cap)
        run_gateway(config, "delegate", "0x" + service.hex(), cap, "--fee-bps", "100")

    def _write_gateway(
        self, config: Path, place: Place, control: Place, settings: tuple[str, ...], number: int
    ) -> None:
        if config.exists():
            return
        config.parent.mkdir(parents=True, exist_ok=True)
        config.touch(mode=0o600)
        more = "\n".join(settings)
        config.write_text(
            f"""
{more}
data_dir = "{config.stem}"
public_url = "{place.url}/v1"
[chain]
rpc_urls = ["{self.rpc}"]
address_book = "{self.book}"
confirmations = {self.terms.confirmations}
poll_s = 0.2
[keys]
owner_key = "{gateway_owner(number).key}"
signing_key = "{gateway_signer(number).key}"
[server]
host = "{place.host}"
port = {place.port}
[control]
host = "{control.host}"
port = {control.port}
admin_token = "{secrets.token_hex(24)}"
"""
        )


def _supplier_id(config: Path) -> bytes:
    """The id in a supplier's settings; empty until it is registered."""
    return bytes.fromhex(tomllib.loads(config.read_text()).get("supplier_id", "")[2:])


def add_lines(config: Path, section: str, lines: tuple[str, ...]) -> None:
    """Put lines at the head of a section of a node's settings."""
    text = config.read_text()
    config.write_text(text.replace(f"\n{section}\n", "\n".join(["", section, *lines, ""]), 1))


@dataclass(frozen=True, slots=True)
class Done:
    """The results of steps that need not run twice, each in a file of a folder."""

    folder: Path

    def read(self, step: str) -> Any:
        """What a step returned; None where it did not run."""
        path = self.folder / step
        return json.loads(path.read_text()) if path.exists() else None

    def write(self, step: str, result: object) -> None:
        """Remember that a step ran, with the JSON value it returned."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / step).write_text(json.dumps(result))


def run_supplier(config: Path, *arguments: str) -> dict[str, Any]:
    """Run a command of a supplier's and return its JSON object."""
    return run_json(module("supplier", *arguments, "--config", str(config), "--json"))


def run_gateway(config: Path, *arguments: str) -> dict[str, Any]:
    """Run a command of the gateway's and return its JSON object."""
    return run_json(module("gateway", *arguments, "--config", str(config), "--json"))
