"""Kills, stalls and chain faults do what they say; nodes come back by themselves."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from localnet.accounts import DEPLOYER, SOURCE
from localnet.chain import LocalChain, free_port
from localnet.fault_proxy import FaultProxy, Mode
from localnet.faults import Injection, Kind
from localnet.injector import GWEI, Injector, engines_of
from localnet.processes import Node, module, wait_until
from localnet.stage import Stage
from localnet.watched import Watched, members_of, page_answers

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
    names = ("supplier", "relay-a", "gateway", "database")
    supplier, server, gateway, database = [a_node(name, tmp_path) for name in names]

    async def answer() -> None:
        """Return at once."""

    with ExitStack() as stack:
        rpc, *ways = [stack.enter_context(FaultProxy()) for _ in range(4)]
        stage = Stage([supplier], gateway, rpc, [server], database, ways[:2], ways[2:])
        yield Injector(stage, chain, answer, lambda line: None, rest_s=0.0)
    for each in stage.watched:
        each.node.stop()


def a_node(name: str, folder: Path) -> Watched:
    """A process that answers pages."""
    port = free_port()
    argv = module("http.server", str(port), "--bind", "127.0.0.1", "--directory", str(folder))
    page = page_answers(f"http://127.0.0.1:{port}/")
    watched = Watched(Node.start(name, argv, folder), page, folder / "kept", [b"start me again"])
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
    watched = injector.stage.watched
    first = [each.node.process.pid for each in watched]
    kinds = (
        Kind.KILL_SUPPLIER, Kind.KILL_GATEWAY_AFTER_ANSWER, Kind.KILL_SUPPLIER,
        Kind.KILL_SERVER, Kind.KILL_DATABASE,
    )  # fmt: skip

    await injector.run([an_injection(kind) for kind in kinds])

    assert [each.kills for each in watched] == [2, 1, 1, 1]
    assert not any(each.own_ends for each in watched)
    assert all(each.is_ready() for each in watched)
    assert not set(first) & {each.node.process.pid for each in watched}
    assert injector.done == {
        "kill a supplier": 2, "kill the gateway after an answer": 1, "kill a relay server": 1,
        "kill the database": 1,
    }  # fmt: skip
    assert [each.orphans() for each in watched] == [0, 0, 0, 0]


@pytest.mark.parametrize("said", ["nothing much", "start me again"])
async def test_an_end_of_a_nodes_own_is_kept_with_what_it_said_since_its_start(
    injector: Injector, said: str, tmp_path: Path
) -> None:
    watched = injector.stage.suppliers[0]
    argv = watched.node.argv
    watched.node.argv = (*argv[:1], "-c", f"print({said!r}); raise SystemExit(3)")
    watched.kill()
    keeping = asyncio.create_task(watched.keep_up())
    async with asyncio.timeout(30):
        while not watched.own_ends:
            await asyncio.sleep(0.05)
    keeping.cancel()
    watched.node.argv = argv

    first = watched.own_ends[0]
    assert (first.node, first.status) == ("supplier", 3)
    assert first.is_meant == (said == "start me again")
    assert [each.read_text() for each in (tmp_path / "kept").iterdir()] == [f"{said}\n"]
    assert first.log == str(tmp_path / "kept" / "supplier-ended-1.log")


def test_what_outlives_a_killed_node_is_ended_and_whoever_has_its_number_later_is_not(
    tmp_path: Path,
) -> None:
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(99)\n"
    )
    node = Node.start("node", [sys.executable, "-c", script], tmp_path)
    wait_until(lambda: bool(node.log.read_text()), "no child")
    (child,) = members_of(node.process.pid)
    assert child.number == int(node.log.read_text())
    watched = Watched(node, node.is_alive, tmp_path)

    assert watched.kill()

    assert not replace(child, started=child.started - 1).end()
    assert watched.orphans() == 1
    wait_until(lambda: watched.orphans() == 0, "the child goes on")


async def test_an_engine_is_killed_and_its_node_is_not(injector: Injector, tmp_path: Path) -> None:
    engine = "[sys.executable, '-c', 'import time; time.sleep(99)', 'supplier.engines.embedded']"
    script = (
        "import subprocess, sys, time\n"
        f"print(subprocess.Popen({engine}).wait(), flush=True)\n"
        "time.sleep(99)\n"
    )
    node = Node.start("node", [*injector.stage.gateway.node.argv[:1], "-c", script], tmp_path)
    wait_until(lambda: bool(engines_of(node.process.pid)), "no engine")
    watched = Watched(node, node.is_alive, tmp_path)
    stage = replace(injector.stage, suppliers=[watched])

    await replace(injector, stage=stage).run([an_injection(Kind.KILL_ENGINE)])

    wait_until(lambda: node.log.read_text() == "-9\n", "the engine goes on")
    assert watched.kills == 0
    node.stop()


async def test_a_way_is_cut_and_whole_again(injector: Injector) -> None:
    run = asyncio.create_task(
        injector.run([an_injection(Kind.HOLD_DATABASE), an_injection(Kind.CUT_SERVER)])
    )
    seen = set()
    while not run.done():
        seen |= {each.mode for each in (*injector.stage.database_ways, *injector.stage.server_ways)}
        await asyncio.sleep(0.01)
    await run

    assert seen == {Mode.PASS, Mode.STALL, Mode.REFUSE}
    assert all(each.mode is Mode.PASS for each in injector.stage.proxies)


async def test_what_is_stopped_goes_on(injector: Injector) -> None:
    gateway = injector.stage.gateway
    process = gateway.node.process

    await injector.run([an_injection(Kind.STALL, victim=2)])

    assert gateway.is_ready()
    assert gateway.node.process is process


async def test_a_node_goes_by_a_wrong_clock_for_a_while(
    injector: Injector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = injector.stage.suppliers[0].node
    script = "import os, time; print(os.environ.get('SUPPLIER_CLOCK_OFFSET_S'), flush=True)"
    node.argv = (*node.argv[:1], "-c", f"{script}; time.sleep(99)")
    node.log.write_bytes(b"")
    monkeypatch.setattr(Watched, "is_ready", lambda watched: watched.node.is_alive())

    await injector.run([replace(an_injection(Kind.SKEW), seconds=3.0)])
    wait_until(lambda: len(node.log.read_bytes().split()) > 1, "it is not started again")

    assert node.log.read_bytes().split() == [b"-99.0", b"None"]


async def test_the_rpc_is_well_again_after_each_of_its_faults(injector: Injector) -> None:
    await injector.run([an_injection(Kind.RPC_REFUSE), an_injection(Kind.RPC_SLOW)])

    assert injector.stage.rpc.mode is Mode.PASS


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
