"""Bundles for watchtowers on a folder that hangs: a named pipe stands where the file would be."""

import asyncio
import os
from pathlib import Path

import pytest

from relay_mining import Claim, SessionKey, TrieRoot
from supplier.metrics import Metrics
from supplier.mining.books import Books
from supplier.mining.bundles import BundleFolder
from supplier.mining.handing_out import HandOut
from supplier.mining.session_book import SessionBook
from tests.clis import MarketOnChain
from tests.contracts.conftest import restored
from tests.contracts.world import SERVED, World
from tests.contracts.world import SUPPLIER as SUPPLIER_ON_CHAIN
from tests.factories import SUPPLIER, a_hash, a_session
from tests.supplier.market import CREDIT, facts_of
from tests.supplier.settling import serve_session, settling

DEADLINE_S = 0.05


def a_book(number: int) -> SessionBook:
    key = a_session(number=number)
    book = Books(SUPPLIER, CREDIT).open(facts_of(key), a_hash("salt"))
    book.claims.append(Claim(SUPPLIER, key, TrieRoot(a_hash("root"), 1, 1), 1, 1, 1, 0, 1))
    return book


def hang(folder: BundleFolder, supplier: bytes, session: SessionKey) -> Path:
    """Let whoever writes this bundle wait until somebody reads what it writes."""
    folder.path.mkdir()
    pipe = folder.path / f".{session.id.hex()}-{supplier.hex()}"
    os.mkfifo(pipe)
    return pipe


def release(pipe: Path) -> None:
    os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))


def outcomes(metrics: Metrics) -> tuple[float, float]:
    """Bundles written, and given up."""

    def count(outcome: str) -> float:
        labels = {"action": "WriteBundle", "outcome": outcome}
        return metrics.registry.get_sample_value("supplier_actions_total", labels) or 0

    return count("done"), count("failed")


@pytest.mark.anyio
async def test_a_folder_that_hangs_is_given_up_and_used_again_when_it_is_back(
    tmp_path: Path,
) -> None:
    folder, metrics = BundleFolder(tmp_path / "bundles"), Metrics()
    hand_out = HandOut(folder, metrics, DEADLINE_S)
    first, second = a_book(7), a_book(8)
    pipe = hang(folder, SUPPLIER, first.key)

    await hand_out.write([(first, ()), (second, ())])
    await hand_out.remove(SUPPLIER, second.session_id)
    assert outcomes(metrics) == (0, 2)

    release(pipe)
    async with asyncio.timeout(10):
        while not folder.files():
            await hand_out.write([(second, ())])
    assert outcomes(metrics)[0] == 1
    await hand_out.remove(SUPPLIER, second.session_id)
    assert folder.files() == []


@pytest.mark.anyio
async def test_bundles_of_claims_side_by_side_wait_for_each_other(tmp_path: Path) -> None:
    folder, metrics = BundleFolder(tmp_path / "bundles"), Metrics()
    hand_out = HandOut(folder, metrics)

    await asyncio.gather(*(hand_out.write([(a_book(number), ())]) for number in range(8)))

    assert outcomes(metrics) == (8, 0)
    assert len(folder.files()) == 8


@pytest.mark.anvil
@pytest.mark.anyio
async def test_a_claim_waits_for_no_folder_that_hangs(
    operator_market: MarketOnChain, tmp_path: Path
) -> None:
    bundles = BundleFolder(tmp_path / "bundles")
    with restored(operator_market.anvil) as anvil:
        world = await World.open(anvil, operator_market.book)
        anvil.rpc("evm_setAutomine", False)
        await serve_session(world, tmp_path)
        pipe = hang(bundles, SUPPLIER_ON_CHAIN, world.key(SERVED))
        async with settling(world, tmp_path, bundles, DEADLINE_S) as running:
            anvil.mine_to(running.claim_block)
            await running.mine_until(running.claimed)
            assert outcomes(running.metrics) == (0, 1)
        await world.market.close()
    release(pipe)
