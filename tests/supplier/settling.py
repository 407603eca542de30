"""A supplier's settlement on a real chain, in this process: started, killed, started again."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from contracts import (
    ClaimAccepted,
    ClaimPaid,
    Market,
    Outcome,
    SendPolicy,
    TxSender,
    decode_outcome,
)
from supplier.metrics import Metrics
from supplier.mining.books import Books
from supplier.mining.bundles import BundleFolder
from supplier.mining.chain_view import ChainView
from supplier.mining.claiming import Claimer
from supplier.mining.ends import Ends
from supplier.mining.handing_out import DEADLINE_S, HandOut
from supplier.mining.miner import Miner
from supplier.mining.receipt_log import ReceiptLog
from supplier.mining.recovery import restore_books
from supplier.mining.settler import Settler
from supplier.mining.store import SessionRecord, Store
from supplier.settings import SettlementSettings
from tests.contracts.world import OPERATOR, SERVED, SERVICE_ID, SUPPLIER, World, serve
from tests.supplier.market import CREDIT
from tests.supplier.operating import records_of

CONFIRMATIONS = 3
POLICY = SendPolicy(bump_blocks=1, poll_s=0.01)
LOOK_S = 0.02
BLOCKS_MAX = 40
"""Within which everything that is waited for has happened."""


@dataclass
class Settling:
    """A running settlement; its folder is all that outlives it."""

    world: World
    market: Market
    claimer: Claimer
    sender: TxSender
    store: Store
    metrics: Metrics
    task: asyncio.Task[None]

    @property
    def claim_block(self) -> int:
        """The first block after which session 2 is claimed."""
        clock = self.world.clock
        return clock.claim_window(SERVED).opens + clock.session_blocks // 4

    async def mine_until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Make blocks, one at a time, until a condition holds."""
        for _ in range(BLOCKS_MAX):
            if await condition():
                return
            assert not self.task.done(), self.task.result()
            self.world.anvil.mine()
            await asyncio.sleep(LOOK_S)
        raise AssertionError(f"not within {BLOCKS_MAX} blocks")

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds, with no block being made."""
        async with asyncio.timeout(20):
            while not condition():
                assert not self.task.done(), self.task.result()
                await asyncio.sleep(LOOK_S)

    async def outcomes(self) -> list[Outcome]:
        """What the chain as it is now did to claims."""
        return await outcomes_of(self.market)

    async def claimed(self, number: int = SERVED) -> bool:
        """Whether a session of ours is claimed."""
        return any(
            isinstance(each, ClaimAccepted) and each.claim.session.number == number
            for each in await self.outcomes()
        )

    async def paid(self) -> bool:
        """Whether a claim was paid."""
        return any(isinstance(each, ClaimPaid) for each in await self.outcomes())

    async def closed(self) -> bool:
        """Whether this supplier is done with a session."""
        return bool(self.store.sessions(10))

    def waiting(self) -> list[str]:
        """Hashes of the transactions in the pool."""
        content = self.world.anvil.rpc("txpool_content")
        return [
            transaction["hash"]
            for part in content.values()
            for transactions in part.values()
            for transaction in transactions.values()
        ]

    def end_of(self, number: int = SERVED) -> SessionRecord:
        """How a session was closed."""
        (found,) = [each for each in self.store.sessions(10) if each.number == number]
        return found


async def outcomes_of(market: Market) -> list[Outcome]:
    """What a chain as it is now did to claims."""
    events = market.events(confirmations=0)
    found: list[Outcome | None] = []
    while await events.is_behind():
        found += map(decode_outcome, (await events.read()).events)
    return [each for each in found if each is not None]


@asynccontextmanager
async def settling(
    world: World, folder: Path, bundles: BundleFolder | None = None, hand_out_s: float = DEADLINE_S
) -> AsyncIterator[Settling]:
    """Settle what the receipt log in a folder holds; the end is sudden, as a kill is."""
    market = await Market.connect([world.anvil.url], world.market.book)
    view = ChainView(market, SUPPLIER, CONFIRMATIONS, POLICY.poll_s)
    await view.start()
    log, store, metrics = ReceiptLog(folder / "receipts"), Store(folder / "s.db"), Metrics()
    books = Books(SUPPLIER, CREDIT, store.history())
    restore_books(books, log, market.domain, time.monotonic())
    miner = Miner(SUPPLIER, market.domain, log)
    sender = TxSender(market.chain, OPERATOR, POLICY)
    hand_out = HandOut(bundles, metrics, hand_out_s) if bundles else None
    claimer = Claimer(view, sender, books, log, miner, metrics, 100, hand_out)
    ends = Ends(books, log, store, metrics, hand_out)
    settler = Settler(view, sender, miner, claimer, ends, SettlementSettings(), [SERVICE_ID])
    task = asyncio.create_task(settler.run())
    try:
        yield Settling(world, market, claimer, sender, store, metrics, task)
    finally:
        task.cancel()
        await asyncio.wait({task})
        await log.close()
        store.close()
        await market.close()


async def serve_session(world: World, folder: Path, number: int = SERVED) -> None:
    """Have the receipts of a session, which runs or just did, on the disk."""
    if world.anvil.height <= world.clock.start(number):
        world.go_to(number, 1)
    served = serve(world.domain, world.key(number), relays=12)
    log = ReceiptLog(folder / "receipts")
    await log.enter(number)
    await log.append(await records_of(world, served, number))
    await log.close()
