"""What each session and each gateway owe: reservations, receipts, slice and credit. No I/O.

A relay lives through RESERVED -> RESPONDED -> gone; it leaves when it is receipted, when it ends
unpaid, or when its session is sealed. Units are compute units throughout.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from relay_mining import (
    Address,
    Claim,
    CreditLine,
    CreditPool,
    Hash32,
    InvalidProofError,
    InvalidRelayError,
    Leaf,
    Receipt,
    SessionKey,
    SliceMeter,
    Verifier,
    initial_units_max,
    keccak,
    mine_receipt,
)
from supplier.errors import ReceiptRefusedError
from supplier.facts import SessionFacts


@dataclass(slots=True)
class Relay:
    """One admitted relay that is not receipted yet."""

    request_hash: Hash32
    max_units: int
    response_hash: Hash32 | None = None
    units: int = 0
    """Of the signed response; what a receipt may at most say."""

    @property
    def reserved(self) -> int:
        """Units held in the slice for this relay."""
        return self.max_units if self.response_hash is None else self.units


@dataclass(frozen=True, slots=True)
class CreditPolicy:
    """What this supplier serves on credit, in compute units."""

    initial_units: int
    growth: Fraction
    newcomers_units: int
    receipt_due_s: float
    is_bound_by_fee: bool = True
    """Whether c0 stays below what a delegation's non-refundable fee pays for."""


@dataclass(slots=True)
class Totals:
    """The funnel of one session, in units."""

    served: int = 0
    receipted: int = 0
    payable: int = 0
    lost: int = 0
    """Served, and never receipted before the claim was made."""
    relays: int = 0
    receipts: int = 0


class Account:
    """What one gateway has been given on credit and what it has receipted, over all sessions."""

    __slots__ = ("_awaited", "line")

    def __init__(self, line: CreditLine) -> None:
        self.line = line
        self._awaited: dict[Hash32, float] = {}

    def await_receipt(self, request_hash: Hash32, now: float) -> None:
        """Start waiting for the receipt of a relay whose signed response went out at `now`."""
        self._awaited[request_hash] = now

    def settle(self, request_hash: Hash32, units: int) -> None:
        """Take in a receipt."""
        self._awaited.pop(request_hash, None)
        self.line.settle(request_hash, units)

    def release(self, request_hash: Hash32) -> None:
        """Wait for nothing more from a relay."""
        self._awaited.pop(request_hash, None)
        self.line.release(request_hash)

    def mark_overdue(self, now: float, due_s: float) -> None:
        """Take the credit away while a response is older than `due_s` seconds and unreceipted."""
        for request_hash, since in self._awaited.items():
            if now - since <= due_s:
                return  # in the order of time
            self.line.mark_overdue(request_hash)


@dataclass(slots=True)
class SessionBook:
    """One session: its facts, its meter, its open relays and the receipts it has."""

    facts: SessionFacts
    session_id: Hash32
    salt: Hash32
    salt_hash: Hash32
    verifier: Verifier
    meter: SliceMeter
    relays: dict[Hash32, Relay] = field(default_factory=dict)
    nonces: set[Hash32] = field(default_factory=set)
    receipts: set[Hash32] = field(default_factory=set)
    receipted_requests: set[Hash32] = field(default_factory=set)
    totals: Totals = field(default_factory=Totals)
    claims: list[Claim] = field(default_factory=list)
    """Claims made up for this session, the last one the one to send; at most one is accepted."""
    is_sealed: bool = False

    @property
    def key(self) -> SessionKey:
        """The session."""
        return self.facts.key


class Books:
    """Every session and gateway of one supplier, in memory; rebuilt from the receipt log."""

    def __init__(
        self, supplier: Address, credit: CreditPolicy, history: dict[Address, int] | None = None
    ) -> None:
        self.supplier = supplier
        self.credit = credit
        self.sessions: dict[Hash32, SessionBook] = {}
        self.accounts: dict[Address, Account] = {}
        self.history: dict[Address, int] = dict(history or {})
        """Units each gateway had receipted before this process knew it."""
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

    def account(self, facts: SessionFacts) -> Account:
        """The credit account of a session's gateway, made where there is none."""
        gateway = facts.key.gateway
        account = self.accounts.get(gateway)
        if account is None:
            units = self.credit.initial_units
            if self.credit.is_bound_by_fee:
                bound = initial_units_max(facts.delegation_fee, facts.terms.price, facts.members)
                units = min(units, bound)
            account = Account(
                CreditLine(
                    units,
                    self.credit.growth,
                    receipted_units=self.history.get(gateway, 0),
                    newcomers=self._newcomers,
                )
            )
            self.accounts[gateway] = account
        return account

    def reserve(self, book: SessionBook, relay: Relay, nonce: Hash32) -> None:
        """Hold the worst case of a relay in slice and credit; raises, and holds it in neither.

        Raises OverBudgetError where it does not fit one of them, ReplayedError where it is open.
        """
        book.meter.reserve(relay.max_units)
        try:
            self.account(book.facts).line.reserve(relay.request_hash, relay.max_units)
        except InvalidRelayError:
            book.meter.release(relay.max_units)
            raise
        book.nonces.add(nonce)
        book.relays[relay.request_hash] = relay

    def respond(self, book: SessionBook, relay: Relay, response_hash: Hash32, units: int) -> None:
        """Lower a reservation to what was served; a relay of no units is done."""
        if relay.request_hash not in book.relays:
            return
        account = self.account(book.facts)
        book.meter.release(relay.max_units)
        book.totals.relays += 1
        relay.response_hash, relay.units = response_hash, units
        if units == 0:
            account.release(relay.request_hash)
            del book.relays[relay.request_hash]
            return
        book.meter.reserve(units)
        book.totals.served += units

    def delivered(self, book: SessionBook, relay: Relay, now: float) -> None:
        """Start waiting for a receipt: the gateway has the signed response."""
        if relay.request_hash in book.relays:
            self.account(book.facts).await_receipt(relay.request_hash, now)

    def check_receipt(self, book: SessionBook, receipt: Receipt, digest: Hash32) -> Leaf | None:
        """The leaf a new receipt stands for, or None where the coin leaves it out.

        Raises ReceiptRefusedError for one that the contract, the relay or the slice refuses.
        """
        if book.is_sealed:
            raise ReceiptRefusedError("the session is already claimed")
        if receipt.session_id != book.session_id or receipt.supplier != self.supplier:
            raise ReceiptRefusedError("the receipt is of another session or supplier")
        if receipt.salt_hash != book.salt_hash:
            raise ReceiptRefusedError("the receipt commits to another salt")
        try:
            leaf = mine_receipt(digest, receipt.units, book.salt, book.facts.terms.tau)
        except InvalidProofError as error:
            raise ReceiptRefusedError(str(error)) from error
        relay = book.relays.get(receipt.request_hash)
        if relay is None:
            self._check_unknown(book, receipt)
        elif relay.response_hash != receipt.response_hash:
            raise ReceiptRefusedError("the receipt is of a response this supplier did not sign")
        elif receipt.units > relay.units:
            raise ReceiptRefusedError(
                f"the receipt says {receipt.units} units, the response {relay.units}"
            )
        return leaf

    @staticmethod
    def _check_unknown(book: SessionBook, receipt: Receipt) -> None:
        """A relay served before a restart: its receipt must fit what is left of the slice."""
        if receipt.request_hash in book.receipted_requests:
            raise ReceiptRefusedError("the relay is already receipted")
        if not book.meter.can_accept(receipt.units):
            raise ReceiptRefusedError("the slice of the session is spent")

    def apply_receipt(
        self, book: SessionBook, receipt: Receipt, digest: Hash32, leaf: Leaf | None
    ) -> None:
        """Count a checked receipt: slice by weight, credit by units."""
        relay = book.relays.pop(receipt.request_hash, None)
        reserved = receipt.units
        if relay is None:
            book.meter.reserve(reserved)
            book.totals.served += reserved
        else:
            reserved = relay.reserved
            self.account(book.facts).settle(relay.request_hash, receipt.units)
        weight = leaf.weight if leaf is not None else 0
        book.meter.settle(reserved, weight)
        book.receipts.add(digest)
        book.receipted_requests.add(receipt.request_hash)
        book.totals.receipts += 1
        book.totals.receipted += receipt.units
        book.totals.payable += weight

    def seal(self, book: SessionBook) -> int:
        """Take no more receipts for a session and write off what is unreceipted; returns it."""
        if book.is_sealed:
            return 0
        book.is_sealed = True
        lost = 0
        for relay in book.relays.values():
            self.account(book.facts).release(relay.request_hash)
            lost += relay.units
        book.relays.clear()
        book.totals.lost += lost
        return lost

    def drop(self, session_ids: Iterable[Hash32]) -> None:
        """Forget sessions that are over."""
        for session_id in session_ids:
            self.sessions.pop(session_id, None)
