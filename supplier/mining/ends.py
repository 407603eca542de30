"""How sessions end: logged, kept for people to see, forgotten; and what was sent on the way."""

import asyncio
import logging
from collections.abc import Iterable

import orjson

from contracts import ClaimPaid, ClaimVoided, Outcome, TxReceipt
from relay_mining import SessionKey
from supplier.metrics import Metrics
from supplier.mining.books import Books
from supplier.mining.claiming import Sent
from supplier.mining.handing_out import HandOut
from supplier.mining.receipt_log import Log
from supplier.mining.records import Closed
from supplier.mining.session_book import SessionBook
from supplier.mining.settlement import NOTHING_PAYABLE, Action
from supplier.mining.store import SentAction, SessionRecord, Store, now

log = logging.getLogger(__name__)

SETTLED = "settled"
VOIDED = "voided, its bond lost: a required proof was missing"
NEVER_ACCEPTED = "claimed, and never accepted"


class Ends:
    """Keeps what settlement did, and closes sessions."""

    def __init__(
        self, books: Books, receipt_log: Log, store: Store, metrics: Metrics,
        hand_out: HandOut | None = None,
    ) -> None:  # fmt: skip
        self.books = books
        self.log = receipt_log
        self.metrics = metrics
        self._store = store
        self._hand_out = hand_out

    def find(self, sessions: Iterable[SessionKey]) -> list[SessionBook]:
        """The books of those sessions that are open here."""
        books = self.books.sessions
        return [books[key.id] for key in sessions if key.id in books]

    async def pay(self, action: Action, sent: Sent) -> None:
        """Take note of what a transaction paid or voided."""
        by_claim = {
            claim.id: claim.session
            for book in self.books.sessions.values()
            for claim in book.claims
        }
        for paid in sent.paid:
            key = by_claim.get(paid.claim_id)
            if key is not None:
                await self.note(action, key, paid.supplier_share, sent.receipt)
        for voided in sent.voided:
            log.error("a claim was voided, its bond of %d is lost", voided.bond)

    async def close_settled(self, book: SessionBook, fate: Outcome | None, current: int) -> None:
        """Close a session whose claim is open no more, as the chain says it ended."""
        match fate:
            case ClaimPaid():
                await self.close(book, SETTLED, current, fate.supplier_share)
            case ClaimVoided():
                await self.close(book, VOIDED, current)
            case _:
                await self.close(book, NEVER_ACCEPTED, current)

    async def close(self, book: SessionBook, reason: str, current: int, paid: int = 0) -> None:
        """Stop working on a session; its end is logged where its beginning was."""
        lost = self.books.seal(book)
        self.metrics.count("lost", lost, book.facts.terms.price)
        await asyncio.to_thread(self._store.close_session, self._record(book, reason, paid))
        await self.log.append([Closed(book.session_id, reason)])
        level = logging.INFO if reason in (SETTLED, NOTHING_PAYABLE) else logging.WARNING
        log.log(level, "session closed: %s", reason, extra={"session": book.session_id})
        self.books.drop([book.session_id])
        if self._hand_out is not None:
            await self._hand_out.remove(self.books.supplier, book.session_id)
        oldest = min((each.key.number for each in self.books.sessions.values()), default=current)
        self.log.drop_before(min(oldest, current))

    def _record(self, book: SessionBook, reason: str, paid: int) -> SessionRecord:
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
            paid=str(paid),
            outcome=reason,
            price=str(book.facts.terms.price),
            net=str(book.facts.net(claim.value) if claim else 0),
            closed_at=now(),
            engines=orjson.dumps(totals.engines).decode(),
        )

    async def note(
        self, action: Action, key: SessionKey | None, amount: int, receipt: TxReceipt,
        number: int = 0,
    ) -> None:  # fmt: skip
        """Keep one mined transaction for `status`."""
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
