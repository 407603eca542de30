"""Claims and proofs come through kills, lost transactions and reorganisations of a real chain."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from contracts import ClaimAccepted, ClaimPaid, RpcError
from supplier.mining.ends import NEVER_ACCEPTED, SETTLED, VOIDED
from supplier.mining.receipt_log import ReceiptLog
from supplier.mining.records import Served
from supplier.mining.settlement import CLAIM_MISSED
from tests.clis import MarketOnChain
from tests.contracts.conftest import restored
from tests.contracts.world import SERVED, World
from tests.supplier.settling import Settling, serve_session, settling

pytestmark = [pytest.mark.anvil, pytest.mark.anyio]


@pytest.fixture
async def world(operator_market: MarketOnChain) -> AsyncIterator[World]:
    """A market in which session 2 was just served, on a chain that mines on demand only."""
    with restored(operator_market.anvil) as anvil:
        world = await World.open(anvil, operator_market.book)
        yield world
        await world.market.close()


@pytest.fixture
def still(world: World) -> Iterator[World]:
    """The same, with no block but those a test makes."""
    world.anvil.rpc("evm_setAutomine", False)
    return world


def reorganise(world: World, to: int) -> None:
    """Replace all blocks above `to` by empty ones; what was mined there is in no pool."""
    world.anvil.rpc("anvil_reorg", world.anvil.height - to, [])


async def is_paid_in_the_end(running: Settling) -> None:
    """Go to the proofs; session 2 is proved, paid, and closed as settled."""
    if running.world.anvil.height < running.world.clock.proof_window(SERVED).opens:
        running.world.go_to_proofs()
    await running.mine_until(running.closed)
    paid = [each for each in await running.outcomes() if isinstance(each, ClaimPaid)]
    assert [each.supplier_share for each in paid] == [int(running.end_of().paid)]
    assert running.end_of().outcome == SETTLED


async def test_a_claim_that_a_reorganisation_took_is_made_again(
    still: World, tmp_path: Path
) -> None:
    await serve_session(still, tmp_path)
    async with settling(still, tmp_path) as running:
        still.anvil.mine_to(running.claim_block)
        await running.mine_until(running.claimed)
        reorganise(still, running.claim_block)
        assert not await running.claimed()

        await running.mine_until(running.claimed)
        await is_paid_in_the_end(running)


async def test_a_proof_that_a_reorganisation_took_is_made_again(
    still: World, tmp_path: Path
) -> None:
    await serve_session(still, tmp_path)
    async with settling(still, tmp_path) as running:
        still.anvil.mine_to(running.claim_block)
        await running.mine_until(running.claimed)
        still.go_to_proofs()
        before = still.anvil.height
        await running.mine_until(running.paid)
        reorganise(still, before)
        assert not await running.paid()

        await is_paid_in_the_end(running)


@pytest.mark.parametrize("is_lost", [False, True])
async def test_a_claim_survives_a_kill_before_it_was_mined(
    still: World, tmp_path: Path, is_lost: bool
) -> None:
    """Whether the pool still has it or has lost it: the chain takes one claim, which is paid."""
    await serve_session(still, tmp_path)
    async with settling(still, tmp_path) as running:
        still.anvil.mine_to(running.claim_block)
        await running.wait_until(lambda: bool(running.waiting()))
        assert not await running.claimed()
    if is_lost:
        still.anvil.rpc("anvil_dropAllTransactions")

    async with settling(still, tmp_path) as running:
        await running.mine_until(running.claimed)
        await is_paid_in_the_end(running)
        accepted = [each for each in await running.outcomes() if isinstance(each, ClaimAccepted)]
        assert len(accepted) == 1


async def test_a_claim_waits_for_a_receipt_until_half_its_window_has_passed(
    still: World, tmp_path: Path
) -> None:
    """It never comes here; what is receipted is claimed and paid all the same."""
    await serve_session(still, tmp_path)
    log = ReceiptLog(tmp_path / "receipts")
    await log.enter(SERVED)
    await log.append([Served(still.key(SERVED).id, bytes(32), bytes(32), 10, "")])
    await log.close()

    async with settling(still, tmp_path) as running:
        still.anvil.mine_to(running.claim_block)
        await running.mine_until(running.claimed)
        clock = still.clock
        waited = still.anvil.height - clock.claim_window(SERVED).opens
        assert clock.session_blocks // 2 < waited < clock.session_blocks
        await is_paid_in_the_end(running)


async def test_a_claim_waits_for_no_proof(
    still: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both windows close with session 4: a proof that hangs must not cost the claim as well."""
    await serve_session(still, tmp_path)
    async with settling(still, tmp_path) as running:
        still.anvil.mine_to(running.claim_block)
        await running.mine_until(running.claimed)
    await serve_session(still, tmp_path, SERVED + 1)

    async with settling(still, tmp_path) as running:
        proving = asyncio.Event()

        async def hang(*_: object) -> None:
            proving.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(running.claimer, "prove", hang)
        still.go_to_proofs()
        await asyncio.wait_for(proving.wait(), 20)
        await running.mine_until(lambda: running.claimed(SERVED + 1))
        assert not await running.paid()


async def test_a_read_that_fails_holds_up_nothing_else(
    still: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await serve_session(still, tmp_path)
    async with settling(still, tmp_path) as running:

        async def fail(*_: object, **__: object) -> None:
            raise RpcError("eth_call", -32603, "internal error", None)

        monkeypatch.setattr(running.market.sessions, "roster_head", fail)
        still.anvil.mine_to(running.claim_block)
        await running.mine_until(running.claimed)


async def test_a_window_that_passed_unseen_is_said_to_be_missed(
    still: World, tmp_path: Path
) -> None:
    await serve_session(still, tmp_path)
    still.go_to(SERVED + 2)
    async with settling(still, tmp_path) as running:
        await running.mine_until(running.closed)
        assert running.end_of().outcome == CLAIM_MISSED


async def test_a_claim_that_no_block_took_is_said_to_be_never_accepted(
    still: World, tmp_path: Path
) -> None:
    await serve_session(still, tmp_path)
    async with settling(still, tmp_path) as running:
        still.anvil.mine_to(running.claim_block)
        await running.wait_until(lambda: bool(running.waiting()))
    still.anvil.rpc("anvil_dropAllTransactions")
    still.go_to(SERVED + 2)
    async with settling(still, tmp_path) as running:
        await running.mine_until(running.closed)
        assert running.end_of().outcome == NEVER_ACCEPTED


async def test_a_claim_whose_proof_was_missed_is_said_to_be_voided(
    still: World, tmp_path: Path
) -> None:
    await serve_session(still, tmp_path)
    async with settling(still, tmp_path) as running:
        still.anvil.mine_to(running.claim_block)
        await running.mine_until(running.claimed)
    still.go_to(SERVED + 3)
    async with settling(still, tmp_path) as running:
        await running.mine_until(running.closed)
        assert running.end_of().outcome == VOIDED
