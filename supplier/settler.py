"""The settlement daemon: at every head, plan from log and chain, and perform the plan."""

import asyncio
import logging
from collections.abc import Iterable

from contracts import NOBODY, Call, ChainError, TxReceipt, TxSender
from relay_mining import Hash32, SessionKey
from supplier.books import Books, SessionBook
from supplier.chain_view import ChainView
from supplier.claiming import Claimer, Sent
from supplier.errors import RelayRefusedError
from supplier.metrics import Metrics
from supplier.miner import Miner
from supplier.receipt_log import ReceiptLog
from supplier.records import Closed
from supplier.settings import SettlementSettings
from supplier.settlement import (
    NOTHING_PAYABLE,
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
    SubmitClaims,
    WriteSeed,
    plan,
)
from supplier.store import SentAction, SessionRecord, Store, now

log = logging.getLogger(__name__)

WEI = 10**18
OVER = "settled"
SETTLED_ELSEWHERE = "settled or never accepted"


class Settler:
    """Claims, proves and settles what the receipt log holds; runs until cancelled."""

    def __init__(
        self, view: ChainView, sender: TxSender, books: Books, receipt_log: ReceiptLog,
        miner: Miner, claimer: Claimer, store: Store, settings: SettlementSettings,
        services: Iterable[Hash32], metrics: Metrics,
    ) -> None:  # fmt: skip
        self._view = view
        self._sender = sender
        self._books = books
        self._log = receipt_log
        self._miner = miner
        self._claimer = claimer
        self._store = store
        self._settings = settings
        self._services = tuple(services)
        self._metrics = metrics
        self._paid: dict[Hash32, int] = {}
        self.value_min = 0
        """The smallest claim that covers its gas now, in token base units."""

    async def run(self) -> None:
        """Plan and act at every head."""
        async for head in self._view.heads():
            self._metrics.head_block.set(head)
            try:
                await self.step(head)
            except ChainError as error:
                log.warning("the chain could not be read: %s", error)

    async def step(self, head: int) -> None:
        """Perform what is due at one head; an action that fails is planned again at the next."""
        await self._log.enter(self._view.current)
        sessions = await self._open_sessions(head)
        params = await self._params()
        for action in plan(sessions, head, self._view.clock, params):
            kind = type(action).__name__
            try:
                await self._perform(action)
            except (ChainError, RelayRefusedError) as error:
                self._metrics.actions.labels(kind, "failed").inc()
                log.warning("%s failed: %s", kind, error)
            else:
                self._metrics.actions.labels(kind, "done").inc()
        self._metrics.open_sessions.set(len(self._books.sessions))

    async def _open_sessions(self, head: int) -> list[OpenSession]:
        past = [
            book for book in self._books.sessions.values()
            if book.key.number < self._view.current
        ]  # fmt: skip
        found = await asyncio.gather(*(self._open_session(book, head) for book in past))
        return [each for each in found if each is not None]

    async def _open_session(self, book: SessionBook, head: int) -> OpenSession | None:
        if not book.claims:
            return OpenSession(book.key, Stage.SERVED, self._miner.estimate(book))
        claim = book.claims[-1]
        if await self._claimer.is_open(book, head):
            challenge = await self._view.market.claims.challenge(book.claims[-1], block=head)
            points = challenge.points if challenge.seed is not None else None
            return OpenSession(book.key, Stage.CLAIMED, book.claims[-1].value, points)
        if head in self._view.clock.claim_window(book.key.number):
            return OpenSession(book.key, Stage.SERVED, claim.value)
        if not await self._claimer.is_open(book, self._view.final):
            await self._close(book, OVER if book.session_id in self._paid else SETTLED_ELSEWHERE)
        return None  # closed, or waiting for its payment to be final

    async def _params(self) -> PlanParams:
        settings = self._settings
        delay = settings.claim_delay_blocks
        self.value_min = await self._smallest_claim()
        epoch = self._view.clock.epoch_of(self._view.current) + 1
        rosters = [await self._roster(service, epoch) for service in self._services]
        claimable = 0
        if settings.collect_min:
            account = await self._view.market.registry.supplier(self._miner.supplier)
            claimable = await self._view.market.escrow.claimable(account.payout)
        return PlanParams(
            claim_delay_blocks=self._view.clock.session_blocks // 4 if delay is None else delay,
            value_min=self.value_min,
            rosters=tuple(each for each in rosters if each is not None),
            claimable=claimable,
            collect_min=settings.collect_min,
        )

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
        match action:
            case SubmitClaims(sessions):
                sent = await self._claimer.submit(self._find(sessions))
                if sent is not None:
                    for claim in sent.accepted:
                        await self._note(action, claim.session, claim.value, sent.receipt)
            case Prove(session):
                await self._pay(action, await self._claimer.prove(self._find([session])[0]))
            case Settle(sessions):
                await self._pay(action, await self._claimer.settle(self._find(sessions)))
            case Abandon(session, reason):
                for book in self._find([session]):
                    await self._close(book, reason)
            case WriteSeed(number):
                await self._send(action, self._view.market.sessions.write_seed(number), number)
            case BuildRoster(service, epoch):
                await self._send(action, self._view.market.sessions.build_roster(service), epoch)
            case Collect():
                account = await self._view.market.registry.supplier(self._miner.supplier)
                call = self._view.market.escrow.collect_for(account.payout)
                await self._send(action, call, 0, action.amount)

    async def _send(self, action: Action, call: Call, number: int, amount: int = 0) -> None:
        receipt = await self._sender.send(call)
        await self._note(action, None, amount, receipt, number)

    def _find(self, sessions: Iterable[SessionKey]) -> list[SessionBook]:
        books = self._books.sessions
        return [books[key.id] for key in sessions if key.id in books]

    async def _pay(self, action: Action, sent: Sent) -> None:
        by_claim = {
            claim.id: claim.session
            for book in self._books.sessions.values()
            for claim in book.claims
        }
        for paid in sent.paid:
            key = by_claim.get(paid.claim_id)
            if key is not None:
                self._paid[key.id] = paid.supplier_share
                await self._note(action, key, paid.supplier_share, sent.receipt)
        for voided in sent.voided:
            log.error("a claim was voided, its bond of %d is lost", voided.bond)

    async def _close(self, book: SessionBook, reason: str) -> None:
        """Stop working on a session; its end is logged where its beginning was."""
        lost = self._books.seal(book)
        self._metrics.funnel_units.labels("lost").inc(lost)
        if book.is_logged:
            await self._log.append([Closed(book.session_id, reason)])
            await asyncio.to_thread(self._store.close_session, self._record(book, reason))
            level = logging.INFO if reason in (OVER, NOTHING_PAYABLE) else logging.WARNING
            log.log(level, "session closed: %s", reason, extra={"session": book.session_id})
        self._books.drop([book.session_id])
        self._paid.pop(book.session_id, None)
        oldest = min(
            (each.key.number for each in self._books.sessions.values()),
            default=self._view.current,
        )
        self._log.drop_before(min(oldest, self._view.current))

    def _record(self, book: SessionBook, reason: str) -> SessionRecord:
        key, totals = book.key, book.totals
        claim = book.claims[-1] if book.claims else None
        return SessionRecord(
            session=book.session_id.hex(),
            number=key.number,
            application=key.application.hex(),
            gateway=key.gateway.hex(),
            service=key.service.hex(),
            relays=totals.relays,
            served=totals.served,
            receipted=totals.receipted,
            payable=totals.payable,
            lost=totals.lost,
            value=str(claim.value if claim else 0),
            bond=str(claim.bond if claim else 0),
            paid=str(self._paid.get(book.session_id, 0)),
            outcome=reason,
        )

    async def _note(
        self, action: Action, key: SessionKey | None, amount: int, receipt: TxReceipt,
        number: int = 0,
    ) -> None:  # fmt: skip
        row = SentAction(
            at=now(),
            block=receipt.block_number,
            kind=type(action).__name__,
            session=key.id.hex() if key else "",
            number=key.number if key else number,
            amount=str(amount),
            transaction=receipt.transaction_hash.hex(),
            gas_used=receipt.gas_used,
            outcome="mined",
        )
        await asyncio.to_thread(self._store.add_action, row)
