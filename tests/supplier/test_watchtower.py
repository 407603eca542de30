"""A node that dies after its claim is proved for by a watchtower, and paid."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from contracts import ClaimAccepted, ClaimPaid, ClaimVoided, Outcome, TxSender
from relay_mining import Clock, SessionKey
from supplier.mining.bundles import BrokenBundleError, BundleFolder, read_bundle
from supplier.mining.chain_view import ChainView
from supplier.mining.settlement import OpenSession, Prove, Settle, Stage, WriteSeed
from supplier.mining.watchtower import Watchtower, patience_ends, plan_watch
from tests.clis import MarketOnChain, stranger
from tests.contracts.conftest import restored
from tests.contracts.world import SERVED, World
from tests.factories import a_session
from tests.supplier.settling import POLICY, outcomes_of, serve_session, settling

PATIENCE = 50
GAS_KEY = bytes.fromhex(stranger(0).key[2:])
CLOCK = Clock(100, 12, 2, 2)
WINDOW = CLOCK.proof_window(2)
DUE = patience_ends(WINDOW, PATIENCE)


def a_claim(points: int | None, number: int = 2) -> OpenSession:
    key = a_session()
    key = SessionKey(key.application, key.gateway, key.service, number)
    return OpenSession(key, Stage.CLAIMED, 1, points)


@pytest.mark.parametrize(
    ("block", "points", "kinds"),
    [
        (WINDOW.opens, 1, []),
        (DUE - 1, 1, []),
        (DUE, 1, [Prove]),
        (WINDOW.closes - 1, 2, [Prove]),
        (WINDOW.closes, 1, []),
        (DUE - 1, 0, []),
        (DUE, 0, [Settle]),
        (WINDOW.closes, 0, [WriteSeed, Settle]),
        (DUE, None, []),
        (WINDOW.closes, None, []),
    ],
)
def test_what_a_watchtower_does_for_a_claim(
    block: int, points: int | None, kinds: list[type]
) -> None:
    actions = plan_watch([a_claim(points)], block, CLOCK, PATIENCE)

    assert [type(each) for each in actions] == kinds


@pytest.fixture
async def world(operator_market: MarketOnChain) -> AsyncIterator[World]:
    """A market whose session 2 is to be served, on a chain with no block but those a test makes."""
    with restored(operator_market.anvil) as anvil:
        world = await World.open(anvil, operator_market.book)
        anvil.rpc("evm_setAutomine", False)
        yield world
        await world.market.close()


async def claim_and_die(world: World, folder: Path, bundles: BundleFolder) -> None:
    """A node that serves and claims session 2, and is never seen again."""
    await serve_session(world, folder)
    async with settling(world, folder, bundles) as running:
        world.anvil.mine_to(running.claim_block)
        await running.mine_until(running.claimed)
        bundle = read_bundle(*bundles.files())
        outcomes = await running.outcomes()
        assert [e.claim for e in outcomes if isinstance(e, ClaimAccepted)] == [*bundle.claims]


def add_strangers(bundles: BundleFolder) -> None:
    """Another member's bundle of the same session, and one of the same claim without receipts."""
    (path,) = bundles.files()
    bundle = read_bundle(path)
    (claim,) = bundle.claims
    bundles.write(bundle.facts, bundle.salt, [], [replace(claim, supplier=bytes(19) + b"x")])
    beside = BundleFolder(bundles.path / "beside")
    beside.write(bundle.facts, bundle.salt, [], [claim])
    beside.files()[0].rename(bundles.path / "z.bundle")


@pytest.mark.anvil
@pytest.mark.anyio
async def test_a_watchtower_proves_for_a_node_that_died_after_its_claim(
    world: World, tmp_path: Path
) -> None:
    bundles = BundleFolder(tmp_path / "bundles")
    await claim_and_die(world, tmp_path, bundles)
    add_strangers(bundles)
    view = ChainView(world.market, bytes(20), 0, POLICY.poll_s)
    await view.start()
    sender = TxSender(world.market.chain, GAS_KEY, POLICY)
    tower = Watchtower(view, sender, bundles, PATIENCE)
    due = patience_ends(world.clock.proof_window(SERVED), PATIENCE)

    world.anvil.mine_to(due - 1)
    await tower.step(due - 1)
    assert tower.proved == 0

    world.anvil.mine()
    proving = asyncio.create_task(tower.step(due))
    while not proving.done():
        mine_what_waits(world)
        await asyncio.sleep(POLICY.poll_s)
    await proving
    assert tower.proved == 1

    async with settling(world, tmp_path, bundles) as back:
        await back.mine_until(back.closed)
        assert is_paid(await back.outcomes()) == [int(back.end_of().paid)]
    assert len(bundles.files()) == 2  # the strangers' own


@pytest.mark.anvil
@pytest.mark.anyio
async def test_a_watchtower_leaves_to_a_node_what_the_node_does(
    world: World, tmp_path: Path
) -> None:
    bundles = BundleFolder(tmp_path / "bundles")
    await serve_session(world, tmp_path)
    view = ChainView(world.market, bytes(20), 0, POLICY.poll_s)
    await view.start()
    tower = Watchtower(view, TxSender(world.market.chain, GAS_KEY, POLICY), bundles, 0)
    async with settling(world, tmp_path, bundles) as running:
        world.anvil.mine_to(running.claim_block)
        await running.mine_until(running.claimed)
        world.go_to_proofs()
        await running.mine_until(running.paid)
        await tower.step(world.anvil.height)

    assert tower.proved == 0


@pytest.mark.anvil
@pytest.mark.anyio
async def test_the_command_proves_and_says_so(
    world: World, operator_market: MarketOnChain, tmp_path: Path
) -> None:
    bundles = BundleFolder(tmp_path / "bundles")
    await claim_and_die(world, tmp_path, bundles)
    (bundles.path / "torn.bundle").write_bytes(bundles.files()[0].read_bytes()[:-1])
    config = tmp_path / "watch.toml"
    config.write_text(
        operator_market.chain_settings() + f'[keys]\noperator_key = "{stranger(0).key}"\n'
    )
    words = ["watch", "--config", str(config), "--bundles", str(bundles.path), "--json"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "supplier", *words, env=dict(os.environ),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        world.anvil.mine_to(patience_ends(world.clock.proof_window(SERVED), PATIENCE))
        async with asyncio.timeout(60):
            while not is_paid(await outcomes_of(world.market)):
                mine_what_waits(world)
                await asyncio.sleep(POLICY.poll_s)
            process.send_signal(signal.SIGTERM)
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert b'"proved":1' in said.replace(b" ", b"")


def mine_what_waits(world: World) -> None:
    """Make a block where there is a transaction for it."""
    if world.anvil.rpc("txpool_status")["pending"] != "0x0":
        world.anvil.mine()


def is_paid(found: Sequence[Outcome]) -> list[int]:
    """What suppliers were paid; no claim was voided."""
    assert not [each for each in found if isinstance(each, ClaimVoided)]
    return [each.supplier_share for each in found if isinstance(each, ClaimPaid)]


@pytest.mark.parametrize("left", [0, 20, -1])
def test_a_bundle_that_is_not_whole_is_refused(left: int, tmp_path: Path) -> None:
    path = tmp_path / "x.bundle"
    path.write_bytes(b"LODELOG1 and more that is no log"[:left])

    with pytest.raises(BrokenBundleError):
        read_bundle(path)
