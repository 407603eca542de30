"""Two relay servers over one real PostgreSQL settle on a real chain: once, whoever stalls."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest

from contracts import ClaimAccepted, ClaimPaid, Market, TxSender
from supplier.metrics import Metrics
from supplier.mining.books import Books
from supplier.mining.chain_view import ChainView
from supplier.mining.claiming import Claimer
from supplier.mining.ends import SETTLED, Ends
from supplier.mining.miner import Miner
from supplier.mining.records import Claimed
from supplier.mining.settler import Settler
from supplier.settings import SettlementSettings
from supplier.shared import FencedError
from supplier.shared.gathering import Gathering
from tests.clis import MarketOnChain
from tests.contracts.conftest import restored
from tests.contracts.world import OPERATOR, SERVED, SERVICE_ID, SUPPLIER, World, serve
from tests.databases import Postgres, postgres
from tests.supplier.market import CREDIT
from tests.supplier.operating import records_of
from tests.supplier.settling import CONFIRMATIONS, POLICY, Settling
from tests.supplier.sharing import Server, a_server, let_lease_pass

__all__ = ["postgres"]
pytestmark = [pytest.mark.anvil, pytest.mark.anyio]


@pytest.fixture
async def world(operator_market: MarketOnChain) -> AsyncIterator[World]:
    """A market whose session 2 is to be served, on a chain with no block but those a test makes."""
    with restored(operator_market.anvil) as anvil:
        world = await World.open(anvil, operator_market.book)
        anvil.rpc("evm_setAutomine", False)
        yield world
        await world.market.close()


@dataclass
class Node:
    """One relay server as far as it settles."""

    server: Server
    settling: Settling
    view: ChainView

    @property
    def task(self) -> "asyncio.Task[None]":
        return self.settling.task

    async def stop(self) -> None:
        """Settle no more, and say nothing."""
        self.task.cancel()
        await asyncio.wait({self.task})


@asynccontextmanager
async def settling_together(world: World, url: str, name: str) -> AsyncIterator[Node]:
    """Settle with the others of a database, where it is this server's turn."""
    async with AsyncExitStack() as stack:
        market = await stack.enter_async_context(
            await Market.connect([world.anvil.url], world.market.book)
        )
        server = await stack.enter_async_context(a_server(url, name, SUPPLIER, market.domain))
        view = ChainView(market, SUPPLIER, CONFIRMATIONS, POLICY.poll_s)
        await view.start()
        metrics, books = Metrics(), Books(SUPPLIER, CREDIT)
        settings, sender = SettlementSettings(), TxSender(market.chain, OPERATOR, POLICY)
        office = Gathering(
            server.databases[2], server.membership, server.log, server.shards, books, view,
            market.domain, metrics, settings,
        )  # fmt: skip
        miner = Miner(SUPPLIER, market.domain, server.log)
        claimer = Claimer(view, sender, books, server.log, miner, metrics, 100)
        ends = Ends(books, server.log, server.store, metrics)
        settler = Settler(view, sender, miner, claimer, ends, settings, [SERVICE_ID], office)
        task = asyncio.create_task(settler.run())
        node = Node(
            server, Settling(world, market, claimer, sender, server.store, metrics, task), view
        )
        try:
            yield node
        finally:
            await node.stop()


async def serve_session(world: World, server: Server) -> None:
    """Have the receipts of session 2 in the shared log, written by one of its servers."""
    world.go_to(SERVED, 1)
    opened, *receipts = await records_of(world, serve(world.domain, world.key(), relays=12))
    await server.log.append([opened])
    await server.log.append(receipts)


async def is_paid_once(node: Node) -> None:
    """Go to the proofs; session 2 has one claim, which is paid, and is closed as settled."""
    running = node.settling
    if running.world.anvil.height < running.world.clock.proof_window(SERVED).opens:
        running.world.go_to_proofs()
    await running.mine_until(running.closed)
    outcomes = await running.outcomes()
    assert len([each for each in outcomes if isinstance(each, ClaimAccepted)]) == 1
    paid = [each.supplier_share for each in outcomes if isinstance(each, ClaimPaid)]
    assert paid == [int(running.end_of().paid)]
    assert running.end_of().outcome == SETTLED


async def test_the_oldest_settles_what_another_served(world: World, postgres: Postgres) -> None:
    url = postgres.create()
    async with (
        settling_together(world, url, "a") as leader,
        settling_together(world, url, "b") as other,
    ):
        await serve_session(world, other.server)
        world.anvil.mine_to(leader.settling.claim_block)
        await leader.settling.mine_until(leader.settling.claimed)
        await is_paid_once(leader)
        assert not other.task.done()


async def test_a_claim_that_a_dead_leader_had_sent_is_proved_by_the_next(
    world: World, postgres: Postgres
) -> None:
    """Its transaction is still in the pool: the next leader knows the claim from the log."""
    url = postgres.create()
    async with (
        settling_together(world, url, "a") as dead,
        settling_together(world, url, "b") as heir,
    ):
        await serve_session(world, heir.server)
        world.anvil.mine_to(dead.settling.claim_block)
        await dead.settling.wait_until(lambda: bool(dead.settling.waiting()))
        await dead.stop()
        let_lease_pass(url, dead.server)
        await heir.server.membership.beat()

        await heir.settling.mine_until(heir.settling.claimed)
        await is_paid_once(heir)


async def test_a_leader_that_wakes_up_and_believes_in_itself_claims_nothing(
    world: World, postgres: Postgres
) -> None:
    """Split brain: its own clock stood still with it, so that its lease looks good to it."""
    url = postgres.create()
    async with settling_together(world, url, "a") as stalled:
        await serve_session(world, stalled.server)
        await stalled.stop()
        let_lease_pass(url, stalled.server)
        stalled.server.clock.ahead = 0.0
        async with settling_together(world, url, "b") as heir:
            await heir.server.membership.beat()
            assert stalled.server.membership.is_leader
            assert heir.server.membership.is_leader

            world.anvil.mine_to(heir.settling.claim_block)
            await stalled.view.refresh()
            session_id = world.key().id
            with pytest.raises(FencedError):
                await stalled.server.log.seal(session_id)
            with pytest.raises(FencedError):
                await stalled.settling.claimer.submit(await sealed_books(world, stalled))

            await heir.settling.mine_until(heir.settling.claimed)
            claims = [e for e in heir.server.log.read([session_id]) if isinstance(e, Claimed)]
            assert len(claims) == 1
            await is_paid_once(heir)


async def sealed_books(world: World, node: Node) -> list[object]:
    """The session as a leader that has sealed it would claim it."""
    (opened, *_) = node.server.log.read([world.key().id])
    book = Books(SUPPLIER, CREDIT).open(opened.facts, opened.salt)  # type: ignore[union-attr]
    book.is_sealed = True
    return [book]
