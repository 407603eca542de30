"""Making, sending and proving claims: what `plan` asks for, performed against the contracts."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from contracts import (
    AlreadyDoneError,
    ClaimAccepted,
    ClaimInput,
    ClaimPaid,
    ClaimRefused,
    ClaimVoided,
    Market,
    Outcome,
    Sender,
    TxReceipt,
)
from relay_mining import Claim, MinedReceipt, SumTrie, compute_value
from supplier.errors import NotMemberError, WrongSessionError
from supplier.metrics import Metrics
from supplier.mining.books import Books
from supplier.mining.chain_view import ChainView
from supplier.mining.handing_out import HandOut
from supplier.mining.miner import Miner, allocate_bonds
from supplier.mining.receipt_log import Log
from supplier.mining.records import Claimed, Opened
from supplier.mining.session_book import SessionBook

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sent:
    """A mined transaction of settlement and the claims it took, paid or voided."""

    receipt: TxReceipt
    accepted: tuple[Claim, ...] = ()
    paid: tuple[ClaimPaid, ...] = ()
    voided: tuple[ClaimVoided, ...] = ()
    refused: tuple[ClaimRefused, ...] = ()


@dataclass(frozen=True, slots=True)
class _Mined:
    book: SessionBook
    trie: SumTrie
    receipts: tuple[MinedReceipt, ...]
    value: int


class Claimer:
    """Sends this supplier's claims and proofs with the operator's key."""

    def __init__(
        self, view: ChainView, sender: Sender, books: Books, receipt_log: Log,
        miner: Miner, metrics: Metrics, bond_percent: int, hand_out: HandOut | None = None,
    ) -> None:  # fmt: skip
        self._view = view
        self._market: Market = view.market
        self._sender = sender
        self._books = books
        self._log = receipt_log
        self._miner = miner
        self._metrics = metrics
        self.bond_percent = bond_percent
        self._hand_out = hand_out

    async def submit(
        self, books: Sequence[SessionBook], last_block: int | None = None
    ) -> Sent | None:
        """Claim these sessions in one transaction; None where none can be claimed."""
        mined = [each for book in books if (each := await self._mine(book)) is not None]
        if not mined:
            return None
        claims = await self._bond(mined)
        inputs = [_input(book, claim) for book, claim in claims]
        if not inputs:
            return None
        await self._remember(claims)
        if self._hand_out is not None:  # not for a session that no stake was left for
            await self._hand_out.write((m.book, m.receipts) for m in mined if m.book.claims)
        call = self._market.claims.submit(inputs)
        sent = self._read(await self._sender.send(call, last_block=last_block))
        for refused in sent.refused:
            claim = claims[refused.index][1]
            if not isinstance(refused.error, AlreadyDoneError):
                log.warning("claim refused: %s", refused.error, extra={"session": claim.session.id})
        for claim in sent.accepted:
            self._metrics.funnel_units.labels("claimed").inc(claim.root.sum)
            self._metrics.funnel_tokens.labels("claimed").inc(claim.value)
        return sent

    async def _remember(self, claims: Sequence[tuple[SessionBook, Claim]]) -> None:
        """Log what is about to be sent, once; after a kill the chain may hold any of it."""
        new = [(book, claim) for book, claim in claims if claim not in book.claims]
        await self._log.append([Claimed(book.session_id, claim) for book, claim in new])
        for book, claim in claims:
            _put_last(book, claim)

    async def prove(self, book: SessionBook, last_block: int | None = None) -> Sent:
        """Open the challenged leaves of a session's claim, which pays it."""
        claim = book.claims[-1]
        challenge = await self._market.claims.challenge(claim)
        if challenge.seed is None:
            raise WrongSessionError("the challenge is not known")
        leaves = await asyncio.to_thread(self._miner.proof, book, challenge.seed, challenge.points)
        call = self._market.claims.prove(claim, book.salt, leaves)
        sent = self._read(await self._sender.send(call, last_block=last_block))
        self._metrics.funnel_units.labels("proved").inc(claim.root.sum)
        self._metrics.funnel_tokens.labels("proved").inc(claim.value)
        return sent

    async def settle(self, books: Sequence[SessionBook]) -> Sent:
        """Have claims that need no proof paid."""
        call = self._market.claims.settle([book.claims[-1] for book in books])
        return self._read(await self._sender.send(call))

    async def is_open(self, book: SessionBook, block: int) -> bool:
        """Whether the chain holds one of this session's claims at `block`, which becomes last."""
        for claim in reversed(book.claims):
            if await self._market.claims.is_open(claim, block=block):
                _put_last(book, claim)
                return True
        return False

    async def fate(self, book: SessionBook, first: int, last: int) -> Outcome | None:
        """What the chain did last to this session's claim, if it ever took it."""
        (claim, *_) = book.claims
        outcomes = await self._market.claims.history(claim.id, first, last)
        return outcomes[-1] if outcomes else None

    async def _mine(self, book: SessionBook) -> _Mined | None:
        """Seal a session and mine it against what the chain says of it now."""
        if not book.is_sealed:
            lost = self._books.seal(book)
            self._metrics.count("lost", lost, book.facts.terms.price)
            await self._log.seal(book.session_id)
        try:
            facts = await self._view.session_facts(book.key, self._view.final)
        except (WrongSessionError, NotMemberError) as error:
            log.warning("not claimed: %s", error, extra={"session": book.session_id})
            return None
        if facts != book.facts:
            log.warning("the session's terms changed", extra={"session": book.session_id})
            await self._log.append([Opened(facts, book.salt)])
            book.facts = facts
        trie, receipts = await asyncio.to_thread(self._miner.trie, book)
        if not trie.root.sum:
            return None
        value = compute_value(trie.root.sum, facts.terms.price)
        return _Mined(book, trie, tuple(receipts.values()), value)

    async def _bond(self, mined: Sequence[_Mined]) -> list[tuple[SessionBook, Claim]]:
        account = await self._market.registry.supplier(self._miner.supplier)
        number = mined[0].book.key.number
        used = sum(
            book.claims[-1].bond
            for book in self._books.sessions.values()
            if book.key.number == number
            and book.claims
            and book not in [each.book for each in mined]
        )
        free = min(account.free(number), account.bond_cap - used)
        ratio = min(each.book.facts.bond_ratio_max for each in mined)
        values = [each.value for each in mined]
        bonds = allocate_bonds(values, ratio, max(0, free), self.bond_percent)
        claims: list[tuple[SessionBook, Claim]] = []
        for each, bond in zip(mined, bonds, strict=True):
            if bond is None:
                log.warning(
                    "not claimed: free stake %d, bond cap %d; stake more or raise the cap",
                    account.free(number), account.bond_cap,
                    extra={"session": each.book.session_id},
                )  # fmt: skip
            else:
                claims.append((each.book, _claim(self._miner, each, bond)))
        return claims

    def _read(self, receipt: TxReceipt) -> Sent:
        outcomes = self._market.claims.outcomes(receipt)
        sent = Sent(
            receipt=receipt,
            accepted=tuple(each.claim for each in outcomes if isinstance(each, ClaimAccepted)),
            paid=tuple(each for each in outcomes if isinstance(each, ClaimPaid)),
            voided=tuple(each for each in outcomes if isinstance(each, ClaimVoided)),
            refused=tuple(each for each in outcomes if isinstance(each, ClaimRefused)),
        )
        for paid in sent.paid:
            self._metrics.funnel_tokens.labels("paid").inc(paid.supplier_share)
        for voided in sent.voided:
            self._metrics.funnel_tokens.labels("voided").inc(voided.bond)
        return sent


def _put_last(book: SessionBook, claim: Claim) -> None:
    if claim in book.claims:
        book.claims.remove(claim)
    book.claims.append(claim)


def _claim(miner: Miner, mined: _Mined, bond: int) -> Claim:
    facts = mined.book.facts
    return Claim(
        supplier=miner.supplier,
        session=facts.key,
        root=mined.trie.root,
        value=mined.value,
        bond=bond,
        tau=facts.terms.tau,
        fee_bps=facts.fee_bps,
        price=facts.terms.price,
    )


def _input(book: SessionBook, claim: Claim) -> ClaimInput:
    return ClaimInput(claim.session, claim.supplier, claim.root, claim.bond, book.facts.seat)
