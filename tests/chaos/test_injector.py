"""Kills, stalls and chain faults do what they say; nodes come back by themselves."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from localnet.chain import LocalChain, free_port
from localnet.fault_proxy import FaultProxy, Mode
from localnet.faults import Injection, Kind
from localnet.injector import GWEI, Injector, Watched
from localnet.processes import Node, module, wait_until
from localnet.provision import DEPLOYER, SOURCE

pytestmark = [pytest.mark.anyio, pytest.mark.anvil]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalChain]:
    running = LocalChain.start(tmp_path_factory.mktemp("chain"))
    running.call("anvil_mine", hex(10))
    running.call("evm_setAutomine", False)
    yield running
    running.node.stop()


@pytest.fixture
def injector(chain: LocalChain, tmp_path: Path) -> Iterator[Injector]:
    nodes = [a_node(name, tmp_path) for name in ("supplier", "gateway")]

    async def answer() -> None:
        """Return at once."""

    with FaultProxy() as proxy:
        yield Injector(nodes[:1], nodes[1], chain, proxy, answer, lambda line: None, rest_s=0.0)
    for each in nodes:
        each.node.stop()


def a_node(name: str, folder: Path) -> Watched:
    """A process that answers pages."""
    port = free_port()
    argv = module("http.server", str(port), "--bind", "127.0.0.1", "--directory", str(folder))
    watched = Watched(Node.start(name, argv, folder), f"http://127.0.0.1:{port}/")
    wait_until(watched.is_ready, "the page is not there")
    return watched


def an_injection(kind: Kind, *, victim: int = 0) -> Injection:
    return Injection(
        after_s=0.0, kind=kind, victim=victim, seconds=0.3, depth=3, fee_gwei=50, skew_s=-99.0
    )


def send_transaction(chain: LocalChain) -> object:
    offer = {"maxFeePerGas": hex(GWEI), "maxPriorityFeePerGas": "0x1"}
    return chain.call(
        "eth_sendTransaction", {"from": DEPLOYER.address, "to": SOURCE.address, **offer}
    )


async def test_what_is_killed_is_started_again(injector: Injector) -> None:
    first = [each.node.process.pid for each in injector.nodes]
    kinds = (Kind.KILL_SUPPLIER, Kind.KILL_GATEWAY_AFTER_ANSWER, Kind.KILL_SUPPLIER)

    await injector.run([an_injection(kind) for kind in kinds])

    assert [each.kills for each in injector.nodes] == [2, 1]
    assert [each.own_ends for each in injector.nodes] == [0, 0]
    assert all(each.is_ready() for each in injector.nodes)
    assert not set(first) & {each.node.process.pid for each in injector.nodes}
    assert injector.done == {"kill a supplier": 2, "kill the gateway after an answer": 1}
    assert [each.orphans() for each in injector.nodes] == [0, 0]


async def test_what_is_stopped_goes_on(injector: Injector) -> None:
    await injector.run([an_injection(Kind.STALL, victim=1)])

    assert injector.gateway.is_ready()
    assert injector.gateway.starts == 0


async def test_a_node_goes_by_a_wrong_clock_for_a_while(
    injector: Injector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = injector.suppliers[0].node
    script = "import os, time; print(os.environ.get('SUPPLIER_CLOCK_OFFSET_S'), flush=True)"
    node.argv = (*node.argv[:1], "-c", f"{script}; time.sleep(99)")
    node.log.write_bytes(b"")
    monkeypatch.setattr(Watched, "is_ready", lambda watched: watched.node.is_alive())

    await injector.run([replace(an_injection(Kind.SKEW), seconds=3.0)])
    wait_until(lambda: len(node.log.read_bytes().split()) > 1, "it is not started again")

    assert node.log.read_bytes().split() == [b"-99.0", b"None"]


async def test_the_rpc_is_well_again_after_each_of_its_faults(injector: Injector) -> None:
    await injector.run([an_injection(Kind.RPC_REFUSE), an_injection(Kind.RPC_SLOW)])

    assert injector.proxy.mode is Mode.PASS


async def test_a_reorganisation_replaces_blocks(injector: Injector, chain: LocalChain) -> None:
    height = chain.height()
    blocks = [hex(height - back) for back in range(4)]
    before = [block_hash(chain, each) for each in blocks]

    await injector.run([an_injection(Kind.REORG)])

    after = [block_hash(chain, each) for each in blocks]
    assert chain.height() == height
    assert after[3] == before[3]
    assert not set(after[:3]) & set(before[:3])


async def test_transactions_are_dropped_from_the_pool(
    injector: Injector, chain: LocalChain
) -> None:
    send_transaction(chain)

    await injector.run([an_injection(Kind.DROP)])

    assert injector.dropped == 1
    assert chain.call("txpool_status") == {"pending": "0x0", "queued": "0x0"}


async def test_a_transaction_that_offers_less_than_the_base_fee_is_not_mined(
    injector: Injector, chain: LocalChain
) -> None:
    sent = send_transaction(chain)

    await injector.run([an_injection(Kind.UNDERPRICE)])
    chain.call("anvil_mine", "0x1")

    assert injector.underpriced == 1
    assert chain.call("eth_getTransactionReceipt", sent) is None


def block_hash(chain: LocalChain, number: str) -> object:
    block = chain.call("eth_getBlockByNumber", number, False)
    assert isinstance(block, dict)
    return block["hash"]
