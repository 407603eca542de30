"""Nodes that are started while the chain is away wait for it; a wrong chain ends them."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from localnet import LocalMarket, MarketPlan
from localnet.chain import free_port
from localnet.fault_proxy import FaultProxy, Mode
from localnet.nodes import OK, status_of
from localnet.processes import Node, module, wait_until
from supplier.config_file import set_value
from tests.clis import MarketOnChain, market_on_chain
from tests.contracts.anvil import start_anvil
from tests.contracts.world import GATEWAY, OTHER
from tests.supplier.operating import operating

pytestmark = [pytest.mark.anvil, pytest.mark.e2e]

UNREADY = 503
WAITING = "waiting for the chain"
END_S_MAX = 60.0


def test_nodes_started_without_a_chain_wait_for_it_and_serve() -> None:
    with FaultProxy() as proxy:
        plan = MarketPlan(suppliers=1, front=proxy.front)
        with LocalMarket.start(plan) as market:
            gateway, supplier = market.gateway, market.suppliers[0]
            nodes = (
                (supplier.node, f"{supplier.url}/lode/v1/health"),
                (gateway, f"{market.base_url.removesuffix('/v1')}/readyz"),
            )
            for node, _ in nodes:
                node.kill()
                node.log.write_bytes(b"")
            proxy.mode = Mode.REFUSE
            for node, page in nodes:
                node.start_again()
                node.wait_ready(lambda page=page: status_of(page) == UNREADY)
                node.wait_ready(lambda node=node: WAITING in node.tail())

            relay = httpx.post(f"{supplier.url}/v1/chat/completions", json={})
            assert relay.json()["error"]["code"] == "chain_unavailable"
            proxy.mode = Mode.PASS
            for node, page in nodes:
                node.wait_ready(lambda page=page: status_of(page) == OK)


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MarketOnChain]:
    with market_on_chain(tmp_path_factory.mktemp("market")) as running:
        yield running


@pytest.fixture
def configs(market: MarketOnChain, tmp_path: Path) -> Iterator[dict[str, Path]]:
    """A supplier's and a gateway's configuration."""
    gateway = tmp_path / "gateway.toml"
    gateway.write_text(
        f'data_dir = "gateway"\n[chain]\nrpc_urls = []\naddress_book = "{market.book}"\n'
        f'[keys]\nowner_key = "{GATEWAY.hex()}"\nsigning_key = "{OTHER.hex()}"\n'
        f"[server]\nport = {free_port()}\n[control]\nport = {free_port()}\n"
    )
    with operating(market, tmp_path) as supplier:
        yield {"supplier": supplier.config, "gateway": gateway}


@pytest.mark.parametrize("program", ["supplier", "gateway"])
@pytest.mark.parametrize(
    ("chain", "remedy"),
    [(("--chain-id", "5"), "serves chain 5 instead of 31337"), ((), "there is no code at 0x")],
)
def test_a_chain_that_is_not_the_markets_ends_a_node(
    configs: dict[str, Path], program: str, chain: tuple[str, ...], remedy: str, tmp_path: Path
) -> None:
    """More time would make nothing better; the sentence says what is wrong."""
    anvil = start_anvil(*chain)
    try:
        set_value(configs[program], "rpc_urls", [anvil.url])
        argv = module(program, "serve", "--config", str(configs[program]))
        node = Node.start("node", argv, tmp_path)
        try:
            wait_until(lambda: not node.is_alive(), "the node goes on", END_S_MAX)
        finally:
            node.stop()
        assert node.process.returncode == 1, node.tail()
        assert remedy in node.tail()
        assert "Traceback" not in node.tail()
    finally:
        anvil.stop()
