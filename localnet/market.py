"""A market in one line: chain, contracts, a service, suppliers, a gateway, a delegation."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from localnet.chain import LocalChain, TestAccount
from localnet.opening import open_first_session
from localnet.processes import Node, module, wait_until
from localnet.provision import (
    DEFAULT_TERMS,
    DEMO_ENGINE,
    GATEWAY_OWNER,
    SOURCE,
    EnginePlan,
    Place,
    Site,
    Terms,
    run_gateway,
    run_supplier,
    supplier_owner,
)

OK = 200

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class MarketPlan:
    """What to start."""

    suppliers: int = 3
    engines: tuple[EnginePlan, ...] = (DEMO_ENGINE,)
    """The suppliers take them in turn; all serve the one service that the source lists of the
    first."""
    cheats: tuple[str, ...] = ()
    """Modules of `adversaries` to run as further suppliers, as `inventor`."""
    members: int = 0
    """Of each session; 0 is all suppliers."""
    dialling: int = 0
    """How many of the honest suppliers, the first ones, take no connections and dial gateways."""
    block_time_s: int = 1
    terms: Terms = DEFAULT_TERMS
    front: Callable[[str], str] = lambda url: url
    """Given the chain's URL, the one that all nodes use."""

    @property
    def roles(self) -> tuple[str, ...]:
        """The adversary each supplier runs; empty for the honest ones, who come first."""
        return ("",) * self.suppliers + self.cheats


@dataclass(frozen=True, slots=True)
class SupplierNode:
    """One supplier of the market."""

    name: str
    config: Path
    supplier: bytes
    owner: TestAccount
    url: str
    """Where this machine reaches it; gateways perhaps do not."""
    page_url: str
    """Its own page, and its metrics under `/metrics`."""
    cheat: str
    """The adversary it runs; empty for an honest one."""
    node: Node


@dataclass(slots=True)
class LocalMarket:
    """A running market; `with LocalMarket.start(plan) as market` stops it at the end."""

    plan: MarketPlan
    folder: Path
    chain: LocalChain
    site: Site
    service: bytes = b""
    suppliers: list[SupplierNode] = field(default_factory=list)
    gateway: Node | None = None
    base_url: str = ""
    control_url: str = ""
    api_key: str = ""

    @classmethod
    def start(
        cls, plan: MarketPlan, say: Say = lambda line: None, folder: Path | None = None
    ) -> Self:
        """Start everything and return when the first session can be served.

        `folder`, a new one by default, must not exist; it is removed at the end.
        """
        folder = _make_folder(folder)
        say("anvil: a real EVM chain on this machine")
        try:
            chain = LocalChain.start(folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        site = Site(plan.front(chain.url), folder / "addressbook.json", plan.terms)
        market = cls(plan, folder, chain, site)
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
    def book(self) -> Path:
        """The address book."""
        return self.site.book

    @property
    def gateway_config(self) -> Path:
        """The gateway's settings."""
        return self.folder / "gateway.toml"

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

    def run_gateway(self, *arguments: str) -> dict[str, Any]:
        """Run a command of the gateway's and return its JSON object."""
        return run_gateway(self.gateway_config, *arguments)

    def stop(self) -> None:
        """Stop every process and remove what the market wrote."""
        if self.gateway is not None:
            self.gateway.stop()
        for supplier in self.suppliers:
            supplier.node.stop()
        self.chain.node.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _build(self, say: Say) -> None:
        count = len(self.plan.roles)
        say("contracts: registry, escrow, sessions, claims, parameters, a test token")
        self.site.deploy(self.plan.members or count)
        self.site.mint(count)
        say(f"source: lists the service {self.plan.engines[0].name}")
        self.service = self.site.list_service(self.folder, self.plan.engines[0])
        for number in range(count):
            self._add_supplier(number, say)
        say("gateway: registers, funds an application's escrow, delegates to itself")
        self._add_gateway()
        say("idle blocks are skipped until the first session with a roster")
        first = open_first_session(
            self.chain, self.book, self.service, count, self.plan.block_time_s
        )
        wait_until(lambda: self._is_at(first), "the first session was not open everywhere", 60.0)

    def _is_at(self, session: int) -> bool:
        """Whether every node sees this session or a later one, and the gateway reaches suppliers.

        A relay in a session before the skipped blocks would be receipted when it is long over.
        """
        return (
            self._health("readyz")
            and all(session_of(each.url) >= session for each in self.suppliers)
            and self.run_gateway("status")["session"] >= session
            and all(has_lines(each.url) for each in self.suppliers[: self.plan.dialling])
        )

    def _add_supplier(self, number: int, say: Say) -> None:
        cheat = self.plan.roles[number]
        is_repeated = cheat in self.plan.roles[:number]
        name = f"{cheat or 'supplier'}-{number}" if is_repeated or not cheat else cheat
        say(f"{name}: stakes, lists the service, loads the model, serves")
        place = Place.local()
        config = self.folder / name / "supplier.toml"
        engine = self.plan.engines[number % len(self.plan.engines)]
        registered = place.dialling() if number < self.plan.dialling else place
        supplier = self.site.add_supplier(config, number, self.service, registered, engine)
        program = (f"adversaries.{cheat}",) if cheat else ("supplier", "serve")
        node = Node.start(name, module(*program, "--config", str(config)), self.folder)
        self.suppliers.append(
            SupplierNode(
                name=name,
                config=config,
                supplier=supplier,
                owner=supplier_owner(number),
                url=place.url,
                page_url=place.page_url,
                cheat=cheat,
                node=node,
            )
        )
        health = f"{place.url}/lode/v1/health"
        node.wait_ready(lambda: status_of(health) == OK, engine.start_s_max)

    def _add_gateway(self) -> None:
        place, control = Place.local(), Place.local()
        self.base_url, self.control_url = f"{place.url}/v1", control.url
        self.api_key = self.site.add_gateway(self.gateway_config, self.service, place, control)
        argv = module("gateway", "serve", "--config", str(self.gateway_config))
        self.gateway = Node.start("gateway", argv, self.folder)
        self.gateway.wait_ready(lambda: self._health("healthz"))

    def _health(self, page: str) -> bool:
        return status_of(f"{self.base_url.removesuffix('/v1')}/{page}") == OK


def _make_folder(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="lode-"))
    folder.mkdir(parents=True, mode=0o700)
    return folder.resolve()


def session_of(url: str) -> int:
    """The session that the supplier at `url` sees."""
    return int(_health_of(url)["session"])


def has_lines(url: str) -> bool:
    """Whether the supplier at `url`, which dials, has a line to a gateway."""
    return any(each["lines"] for each in _health_of(url)["gateways"])


def _health_of(url: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{url}/lode/v1/health", timeout=5.0).json()
    return found


def status_of(url: str) -> int:
    """The status of a GET; 0 while nobody answers."""
    try:
        return httpx.get(url, timeout=5.0).status_code
    except httpx.HTTPError:
        return 0
