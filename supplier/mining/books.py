"""What each session and each gateway owe: reservations, receipts, slice and credit. No I/O.

A relay is reserved, signed in one part or more, ended, and gone once every part is receipted, once
it ends unpaid, or once its session is sealed. Units are compute units throughout.
"""

from collections.abc import Iterable, Mapping

from relay_mining import (
    Address,
    CreditLine,
    CreditPool,
    Hash32,
    InvalidRelayError,
    Leaf,
    Receipt,
    SliceMeter,
    Verifier,
    initial_units_max,
    keccak,
)
from supplier.mining.facts import SessionFacts
from supplier.mining.session_book import SessionBook, part_of
from supplier.server.accounts import Account, CreditPolicy, History, Relay


class Books:
    """Every session and gateway of one supplier, in memory; rebuilt from the receipt log."""

    def __init__(
        self,
        supplier: Address,
        credit: CreditPolicy,
        history: Mapping[Address, History] | None = None,
    ) -> None:
        self.supplier = supplier
        self.credit = credit
        self.sessions: dict[Hash32, SessionBook] = {}
        self.accounts: dict[Address, Account] = {}
        self.history: dict[Address, History] = dict(history or {})
        """What each gateway did before it had an account in this process."""
        self._newcomers = CreditPool(credit.newcomers_units)

    def open(self, facts: SessionFacts, salt: Hash32) -> SessionBook:
        """The book of a session, made where there is none."""
        session_id = facts.key.id
        book = self.sessions.get(session_id)
        if book is None:
            terms = facts.terms
            book = SessionBook(
                facts=facts,
                session_id=session_id,
                salt=salt,
                salt_hash=keccak(salt),
                verifier=Verifier(facts.gateway_signer),
                meter=SliceMeter(terms.slice_units, terms.tau),
            )
            self.sessions[session_id] = book
        return book

    def beside(self, history: Mapping[Address, History]) -> "Books":
        """Empty books of the same supplier and credit, to be filled and then adopted."""
        books = Books(self.supplier, self.credit, history)
        books._newcomers = self._newcomers
        return books

    def adopt(self, gateway: Address, books: "Books") -> None:
        """Take over all that books beside these know of a gateway."""
        self.sessions.update(books.sessions)
        self.accounts.pop(gateway, None)
        self.accounts.update(books.accounts)
        self.history[gateway] = books.history.get(gateway, History())

    def account(self, facts: SessionFacts) -> Account:
        """The credit account of a session's gateway, made where there is none."""
        gateway = facts.key.gateway
        account = self.accounts.get(gateway)
        if account is None:
            history = self.history.get(gateway, History())
            account = Account(
                CreditLine(
                    self.credit.initial_units,
                    self.credit.growth,
                    receipted_units=history.receipted,
                    lost_units=history.lost,
                    newcomers=self._newcomers,
                )
            )
            self.accounts[gateway] = account
        if self.credit.is_bound_by_fee:
            account.line.bound_initial(
                initial_units_max(facts.delegation_fee, facts.terms.price, facts.members)
            )
        return account

    def reserve(self, book: SessionBook, relay: Relay, nonce: Hash32) -> None:
        """Hold the worst case of a relay in slice and credit; raises, and holds it in neither.

        Raises OverBudgetError where it does not fit one of them, ReplayedError where it is open.
        """
        book.meter.reserve(relay.held_units, relay.held_parts)
        try:
            self.account(book.facts).line.reserve(relay.request_hash, relay.max_units)
        except InvalidRelayError:
            book.meter.release(relay.held_units, relay.held_parts)
            raise
        book.nonces.add(nonce)
        book.relays[relay.request_hash] = relay

    def sign(self, book: SessionBook, relay: Relay, response_hash: Hash32, units: int) -> int:
        """Enter a signed response of a relay, cumulative `units`; returns what it adds."""
        added = units - relay.signed_units
        relay.signed_parts += 1
        relay.signed_units = units
        if added and relay.request_hash in book.relays:
            relay.parts[response_hash] = added
            book.totals.served += added
            book.totals.engines[relay.engine] += added
        return added

    def resume(
        self, book: SessionBook, request_hash: Hash32, response_hash: Hash32, added: int,
        now: float, engine: str = "",
    ) -> None:  # fmt: skip
        """Owe again what was served before a restart and is not receipted yet.

        Nothing is held where the slice has no room for it, as after terms that changed: its
        receipt must then fit what is left.
        """
        relay = book.relays.get(request_hash)
        if relay is None:
            relay = Relay(request_hash, added, is_ended=True, is_resumed=True)
            held, units, parts = 0, added, 1
            is_new = request_hash not in book.receipted_requests
        else:
            held = book.meter.worst_weight(relay.held_units, relay.held_parts)
            units, parts = relay.held_units + added, relay.held_parts + 1
            is_new = False
        if book.meter.worst_weight(units, parts) - held > book.meter.free:
            return
        if held:
            book.meter.release(relay.held_units, relay.held_parts)
        book.meter.reserve(units, parts)
        relay.held_units, relay.held_parts = units, parts
        relay.parts[response_hash] = added
        book.relays[request_hash] = relay
        book.totals.served += added
        book.totals.engines[engine] += added
        book.totals.relays += is_new
        account = self.account(book.facts)
        account.line.resume(request_hash, added)
        account.await_receipt(request_hash, response_hash, now)

    def end(self, book: SessionBook, relay: Relay) -> None:
        """Hold no more for a relay than is signed; one that owes nothing is done."""
        if relay.is_ended:
            return
        relay.is_ended = True
        if relay.request_hash not in book.relays:
            return
        book.totals.relays += 1
        book.meter.release(relay.held_units, relay.held_parts)
        if book.is_sealed:
            self._write_off(book, relay)
            return
        if not relay.parts:
            self.account(book.facts).line.release(relay.request_hash)
            self._forget(book, relay)
            return
        relay.held_units, relay.held_parts = relay.owed, len(relay.parts)
        book.meter.reserve(relay.held_units, relay.held_parts)
        self.account(book.facts).line.lower(relay.request_hash, relay.held_units)

    def delivered(self, book: SessionBook, relay: Relay, response_hash: Hash32, now: float) -> None:
        """Start waiting for a receipt: the gateway has the signed response."""
        if relay.request_hash in book.relays and response_hash in relay.parts:
            self.account(book.facts).await_receipt(relay.request_hash, response_hash, now)

    def receipt_due_in(self, book: SessionBook, relay: Relay, now: float) -> float:
        """Seconds until the oldest receipt a relay waits for is overdue."""
        since = self.account(book.facts).awaited_since(relay)
        return (
            self.credit.receipt_due_s
            if since is None
            else (since + self.credit.receipt_due_s - now)
        )

    def is_owed(self, book: SessionBook, now: float) -> bool:
        """Whether relays of a session are still served, or receipts for them are due in time."""
        due_s = self.credit.receipt_due_s
        return any(
            not relay.is_ended or self.account(book.facts).awaits(relay, now, due_s)
            for relay in book.relays.values()
        )

    def apply_receipt(
        self, book: SessionBook, receipt: Receipt, digest: Hash32, leaf: Leaf | None
    ) -> None:
        """Count a checked receipt: slice by weight, credit by units."""
        weight = leaf.weight if leaf is not None else 0
        relay = book.relay_of(receipt)
        if relay is None:
            self._apply_unknown(book, receipt.units, weight)
        else:
            self._apply_part(book, relay, receipt, weight)
            relay.on_receipt()
        book.receipts.add(digest)
        book.receipted_requests.add(receipt.request_hash)
        book.receipted_parts.add(part_of(receipt))
        book.totals.receipts += 1
        book.totals.receipted += receipt.units
        book.totals.payable += weight

    def _apply_unknown(self, book: SessionBook, units: int, weight: int) -> None:
        book.meter.reserve(units)
        book.meter.settle(units, weight)
        book.totals.served += units
        book.totals.engines[""] += units
        gateway = book.key.gateway
        account = self.accounts.get(gateway)
        if account is not None:
            account.line.earn(units)
        else:
            self.history[gateway] = self.history.get(gateway, History()).plus(units, 0)

    def _apply_part(self, book: SessionBook, relay: Relay, receipt: Receipt, weight: int) -> None:
        signed = relay.parts.pop(receipt.response_hash)
        account = self.account(book.facts)
        book.totals.lost += signed - receipt.units
        if relay.is_ended and not relay.parts:
            book.meter.settle(relay.held_units, weight)
            account.settle(relay, receipt.response_hash, receipt.units, signed)
            self._forget(book, relay)
            return
        book.meter.settle_part(relay.held_units, signed, weight, relay.held_parts)
        account.settle_part(relay, receipt.response_hash, receipt.units, signed)
        relay.held_units -= signed
        relay.held_parts -= 1

    @staticmethod
    def _forget(book: SessionBook, relay: Relay) -> None:
        del book.relays[relay.request_hash]
        if not relay.is_resumed:
            book.done.add(relay.request_hash)

    def seal(self, book: SessionBook) -> int:
        """Take no more receipts for a session; returns what is unreceipted, and written off.

        What is still being served is written off when it ends: else a gateway that reads slowly
        until then would be served on credit for nothing, every session.
        """
        if book.is_sealed:
            return 0
        book.is_sealed = True
        before = book.totals.lost
        for relay in [each for each in book.relays.values() if each.is_ended]:
            self._write_off(book, relay)
        return book.totals.lost - before

    def _write_off(self, book: SessionBook, relay: Relay) -> None:
        self.account(book.facts).write_off(relay)
        book.totals.lost += relay.owed
        self._forget(book, relay)

    def drop(self, session_ids: Iterable[Hash32]) -> None:
        """Forget sessions that are over."""
        for session_id in session_ids:
            self.sessions.pop(session_id, None)
