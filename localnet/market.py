"""A market in one line: chain, contracts, a service, suppliers, a gateway, a delegation."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from localnet.accounts import SOURCE, gateway_owner, supplier_owner
from localnet.chain import LocalChain
from localnet.nodes import (
    OK,
    GatewayNode,
    SupplierNode,
    has_lines,
    session_of,
    status_of,
)
from localnet.opening import open_first_session
from localnet.processes import Node, module, wait_until
from localnet.provision import (
    DEFAULT_TERMS,
    DEMO_ENGINE,
    EnginePlan,
    Place,
    Site,
    Terms,
    run_gateway,
    run_supplier,
)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class MarketPlan:
    """What to start."""

    suppliers: int = 3
    engines: tuple[EnginePlan, ...] = (DEMO_ENGINE,)
    """The suppliers take them in turn; all serve the one service that the source lists of the
    first."""
    gateways: int = 1
    """Each with an owner, an application and a key of its own; the first is the clients'."""
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


@dataclass(slots=True)
class LocalMarket:
    """A running market; `with LocalMarket.start(plan) as market` stops it at the end."""

    plan: MarketPlan
    folder: Path
    chain: LocalChain
    site: Site
    service: bytes = b""
    suppliers: list[SupplierNode] = field(default_factory=list)
    gateways: list[GatewayNode] = field(default_factory=list)

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
    def gateway(self) -> Node:
        """The first gateway's process."""
        return self.gateways[0].node

    @property
    def gateway_config(self) -> Path:
        """The first gateway's settings."""
        return self.gateways[0].config

    @property
    def base_url(self) -> str:
        """Where clients reach the first gateway."""
        return self.gateways[0].base_url

    @property
    def control_url(self) -> str:
        """Where operators reach the first gateway."""
        return self.gateways[0].control_url

    @property
    def api_key(self) -> str:
        """A key of the first gateway's."""
        return self.gateways[0].api_key

    @property
    def applications(self) -> list[bytes]:
        """Addresses with escrow."""
        return [each.owner.raw for each in self.gateways]

    @property
    def payees(self) -> list[bytes]:
        """Everybody whom claims may pay, the treasury aside."""
        return [SOURCE.raw, *self.applications, *(each.owner.raw for each in self.suppliers)]

    def is_alive(self) -> bool:
        """Whether chain, gateways and suppliers all still run."""
        return all(each.is_alive() for each in (self.chain.node, *self._nodes()))

    def supplier_status(self, supplier: SupplierNode) -> dict[str, Any]:
        """What `supplier status --json` says."""
        return run_supplier(supplier.config, "status", "--limit", "1000")

    def run_gateway(self, *arguments: str) -> dict[str, Any]:
        """Run a command of the first gateway's and return its JSON object."""
        return run_gateway(self.gateway_config, *arguments)

    def stop(self) -> None:
        """Stop every process and remove what the market wrote."""
        for node in self._nodes():
            node.stop()
        self.chain.node.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _nodes(self) -> list[Node]:
        """In the order in which they are stopped."""
        return [
            *(each.node for each in self.gateways), *(each.node for each in self.suppliers),
        ]  # fmt: skip

    def _build(self, say: Say) -> None:
        count = len(self.plan.roles)
        say("contracts: registry, escrow, sessions, claims, parameters, a test token")
        self.site.deploy(self.plan.members or count)
        self.site.mint(count, self.plan.gateways)
        say(f"source: lists the service {self.plan.engines[0].name}")
        self.service = self.site.list_service(self.folder, self.plan.engines[0])
        for number in range(count):
            self._add_supplier(number, say)
        say("gateway: registers, funds an application's escrow, delegates to itself")
        for number in range(self.plan.gateways):
            self._add_gateway(number)
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
            all(each.answers("readyz") for each in self.gateways)
            and all(session_of(each.url) >= session for each in self.suppliers)
            and all(each.session() >= session for each in self.gateways)
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

    def _add_gateway(self, number: int) -> None:
        place, control = Place.local(), Place.local()
        name = f"gateway-{number}" if number else "gateway"
        config = self.folder / f"{name}.toml"
        key = self.site.add_gateway(config, self.service, place, control, number=number)
        argv = module("gateway", "serve", "--config", str(config))
        node = Node.start(name, argv, self.folder)
        gateway = GatewayNode(config, gateway_owner(number), place, control.url, key, node)
        self.gateways.append(gateway)
        node.wait_ready(lambda: gateway.answers("healthz"))


def _make_folder(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="lode-"))
    folder.mkdir(parents=True, mode=0o700)
    return folder.resolve()
