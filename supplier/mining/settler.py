"""The settlement daemon: at every head, plan from log and chain, and perform the plan."""

import asyncio
import logging
import time
from collections.abc import Collection, Coroutine, Iterable
from typing import TypeVar

from contracts import NOBODY, Call, ChainError, Sender
from relay_mining import Hash32, SessionKey
from supplier.errors import RelayRefusedError
from supplier.mining.alone import ALONE, Office
from supplier.mining.chain_view import ChainView
from supplier.mining.claiming import Claimer
from supplier.mining.ends import Ends
from supplier.mining.miner import Miner
from supplier.mining.receipt_log import LogAwayError
from supplier.mining.session_book import SessionBook
from supplier.mining.settlement import (
    Abandon,
    Action,
    BuildRoster,
    Collect,
    OpenSession,
    PlanParams,
    Prove,
    RosterState,
    Settle,
    Stage,
    Subject,
    SubmitClaims,
    WriteSeed,
    last_block,
    plan,
    subjects,
)
from supplier.settings import SettlementSettings

log = logging.getLogger(__name__)

WEI = 10**18

Found = TypeVar("Found")


class Settler:
    """Claims, proves and settles what the receipt log holds; runs until cancelled."""

    def __init__(
        self,
        view: ChainView,
        sender: Sender,
        miner: Miner,
        claimer: Claimer,
        ends: Ends,
        settings: SettlementSettings,
        services: Collection[Hash32],
        office: Office = ALONE,
    ) -> None:
        self._view = view
        self._sender = sender
        self._miner = miner
        self._claimer = claimer
        self._ends = ends
        self._books = ends.books
        self._metrics = ends.metrics
        self._settings = settings
        self._services = services
        self._office = office
        self._under_way: set[Subject] = set()
        self.value_min = 0
        """The smallest claim that covers its gas now, in token base units."""

    def configure(self, settings: SettlementSettings) -> None:
        """Go by other settings from the next head on."""
        self._settings = settings
        self._claimer.bond_percent = settings.bond_percent

    async def run(self) -> None:
        """Plan at every head, and act side by side: what waits or fails holds nothing else up."""
        async with asyncio.TaskGroup() as tasks:
            async for head in self._view.heads():
                self._metrics.head_block.set(head)
                self._metrics.clock_skew_s.set(self._view.skew.skew_s)
                await self._step(head, tasks)

    async def _step(self, head: int, tasks: asyncio.TaskGroup) -> None:
        """Start what is due at one head and not under way; what fails is due again at the next."""
        await self._ends.log.enter(self._view.current)
        if not await self._office.enter(head):
            return
        sessions = await self._open_sessions(head)
        for action in plan(sessions, head, self._view.clock, await self._params()):
            about = subjects(action)
            if not about & self._under_way:
                self._under_way |= about
                tasks.create_task(self._act(action, about))
        self._metrics.open_sessions.set(len(self._books.sessions))

    async def _act(self, action: Action, about: frozenset[Subject]) -> None:
        kind = type(action).__name__
        try:
            await self._perform(action)
        except (ChainError, RelayRefusedError, LogAwayError) as error:
            self._metrics.actions.labels(kind, "failed").inc()
            log.warning("%s failed: %s", kind, error)
        else:
            self._metrics.actions.labels(kind, "done").inc()
        finally:
            self._under_way -= about

    async def _open_sessions(self, head: int) -> list[OpenSession]:
        past = [
            book for book in self._books.sessions.values()
            if book.key.number < self._view.current and book.key not in self._under_way
        ]  # fmt: skip
        found = await asyncio.gather(*(self._try_open_session(book, head) for book in past))
        return [each for each in found if each is not None]

    async def _try_open_session(self, book: SessionBook, head: int) -> OpenSession | None:
        return await _read(f"session {book.key.number}", self._open_session(book, head), None)

    async def _open_session(self, book: SessionBook, head: int) -> OpenSession | None:
        """Where a session stands by the chain's state, whatever was sent or mined before."""
        if not book.claims:
            net = book.facts.net(self._miner.estimate(book))
            is_owed = self._books.is_owed(book, time.monotonic())
            return OpenSession(book.key, Stage.SERVED, net, is_owed=is_owed)
        if await self._claimer.is_open(book, head):
            claim = book.claims[-1]
            challenge = await self._view.market.claims.challenge(claim, block=head)
            points = challenge.points if challenge.seed is not None else None
            return OpenSession(book.key, Stage.CLAIMED, book.facts.net(claim.value), points)
        window = self._view.clock.claim_window(book.key.number)
        if head in window:
            return OpenSession(book.key, Stage.SERVED, book.facts.net(book.claims[-1].value))
        final = self._view.final
        if final >= window.closes - 1 and not await self._claimer.is_open(book, final):
            fate = await self._claimer.fate(book, window.opens, final)
            await self._ends.close_settled(book, fate, self._view.current)
        return None  # closed, or waiting for its end to be final

    async def _params(self) -> PlanParams:
        settings = self._settings
        self.value_min = await _read("the fees", self._smallest_claim(), self.value_min)
        epoch = self._view.clock.epoch_of(self._view.current) + 1
        rosters = [
            await _read("a roster", self._roster(service, epoch), None)
            for service in tuple(self._services)
        ]
        return PlanParams(
            claim_delay_blocks=settings.claim_delay(self._view.clock),
            claim_patience_blocks=settings.claim_patience(self._view.clock),
            value_min=self.value_min,
            rosters=tuple(each for each in rosters if each is not None),
            claimable=await _read("the earnings", self._claimable(), 0),
            collect_min=settings.collect_min,
        )

    async def _claimable(self) -> int:
        if not self._settings.collect_min:
            return 0
        account = await self._view.market.registry.supplier(self._miner.supplier)
        return await self._view.market.escrow.claimable(account.payout)

    async def _roster(self, service: Hash32, epoch: int) -> RosterState | None:
        if (await self._view.service(service)).market != NOBODY:
            return None
        head = await self._view.market.sessions.roster_head(service, epoch)
        return RosterState(service, epoch, head.built_epoch == epoch)

    async def _smallest_claim(self) -> int:
        settings = self._settings
        if not settings.gas_price_cover or not settings.token_per_native:
            return 0
        fees = await self._view.market.chain.fees()
        wei = settings.gas_units_per_claim * (fees.base + fees.tip)
        return -(-int(wei * settings.token_per_native) // WEI)

    async def _perform(self, action: Action) -> None:
        ends, last = self._ends, last_block(action, self._view.clock)
        match action:
            case SubmitClaims(sessions):
                await self._submit(action, sessions, last)
            case Prove(session):
                for book in ends.find([session]):
                    await ends.pay(action, await self._claimer.prove(book, last))
            case Settle(sessions):
                await ends.pay(action, await self._claimer.settle(ends.find(sessions)))
            case Abandon(session, reason):
                for book in ends.find([session]):
                    await ends.close(book, reason, self._view.current)
            case WriteSeed(number):
                await self._send(action, self._view.market.sessions.write_seed(number), number)
            case BuildRoster(service, epoch):
                await self._send(action, self._view.market.sessions.build_roster(service), epoch)
            case Collect(amount):
                account = await self._view.market.registry.supplier(self._miner.supplier)
                call = self._view.market.escrow.collect_for(account.payout)
                await self._send(action, call, 0, amount)

    async def _submit(
        self, action: Action, sessions: Iterable[SessionKey], last: int | None
    ) -> None:
        sent = await self._claimer.submit(self._ends.find(sessions), last)
        if sent is not None:
            for claim in sent.accepted:
                await self._ends.note(action, claim.session, claim.value, sent.receipt)

    async def _send(self, action: Action, call: Call, number: int, amount: int = 0) -> None:
        last = last_block(action, self._view.clock)
        receipt = await self._sender.send(call, last_block=last)
        await self._ends.note(action, None, amount, receipt, number)


async def _read(what: str, reading: Coroutine[None, None, Found], otherwise: Found) -> Found:
    """What the chain says; `otherwise` where it does not, so that the rest can be planned."""
    try:
        return await reading
    except ChainError as error:
        log.warning("%s could not be read: %s", what, error)
        return otherwise
