"""Whether a relay is taken on: every refusal, in order, before anything is kept. Pure.

The cheap checks come first, the signature before whatever a stranger could use to learn
something, and the reservations last, so that a refused relay leaves nothing behind.
"""

from dataclasses import dataclass

from relay_mining import (
    WHOLE,
    Hash32,
    PartPlan,
    SignatureMismatchError,
    SignedRequest,
    UnitsOverflowError,
    plan_parts,
)
from supplier.errors import (
    CreditExhaustedError,
    ExpiredRelayError,
    ReplayedRelayError,
    SliceSpentError,
    UnderReservedError,
    WrongSessionError,
    WrongSignerError,
    WrongSupplierError,
)
from supplier.mining.books import Books
from supplier.mining.session_book import SessionBook
from supplier.server.accounts import Relay


@dataclass(frozen=True, slots=True)
class Demand:
    """What a body asks for at most, in tokens; output already times `n`."""

    input_tokens_max: int
    output_tokens_max: int


@dataclass(frozen=True, slots=True)
class AdmissionRules:
    """The supplier's own bounds."""

    expiry_s_max: int


def check_request(books: Books, signed: SignedRequest, now: float, rules: AdmissionRules) -> None:
    """Refuse what needs neither chain nor signature to be refused."""
    request = signed.request
    if request.supplier != books.supplier:
        raise WrongSupplierError(f"this is supplier 0x{books.supplier.hex()}")
    if request.session_id != signed.session.id:
        raise WrongSessionError("the signed session is not the session of the header")
    if request.expiry <= now:
        raise ExpiredRelayError(
            f"the request expired at {request.expiry}, it is {now:.0f} by the supplier's clock"
        )
    if request.expiry > now + rules.expiry_s_max:
        raise ExpiredRelayError(
            f"the request expires at {request.expiry}, more than {rules.expiry_s_max} s ahead: "
            f"it is {now:.0f} by the supplier's clock"
        )


def authenticate(
    books: Books,
    book: SessionBook,
    signed: SignedRequest,
    request_hash: Hash32,
    now: float,
    rules: AdmissionRules,
) -> None:
    """Check who asks, and that it is for an open session and new; keeps nothing."""
    check_request(books, signed, now, rules)
    _check_new(book, signed, request_hash)
    try:
        book.verifier.verify(request_hash, signed.signature)
    except SignatureMismatchError as error:
        raise WrongSignerError(
            f"not signed, for this body, by 0x{book.facts.gateway_signer.hex()}, "
            "the gateway's key on record"
        ) from error


def admit(
    books: Books,
    book: SessionBook,
    signed: SignedRequest,
    request_hash: Hash32,
    demand: Demand,
    is_stream: bool,
    now: float,
) -> Relay:
    """Reserve the worst case of an authentic request and return its relay.

    A stream is cut into parts where the slice has room for that many receipts.

    Raises ReplayedRelayError, UnderReservedError, CreditExhaustedError or SliceSpentError.
    """
    _check_new(book, signed, request_hash)
    required = _worst_case(book, demand)
    request = signed.request
    if request.max_units < required:
        raise UnderReservedError(
            f"maxUnits is {request.max_units}, the worst case of this request {required}"
        )
    _check_credit(books, book, request.max_units, now)
    if not book.meter.can_accept(request.max_units):
        raise SliceSpentError("the session's slice has no room for this relay")
    relay = Relay(request_hash, request.max_units, _plan(books, book, request.max_units, is_stream))
    books.reserve(book, relay, request.nonce)
    return relay


def _check_new(book: SessionBook, signed: SignedRequest, request_hash: Hash32) -> None:
    if book.is_sealed:
        raise WrongSessionError("the session is closed")
    is_known = request_hash in book.relays or request_hash in book.receipted_requests
    if signed.request.nonce in book.nonces or is_known:
        raise ReplayedRelayError("the nonce was used in this session")


def _worst_case(book: SessionBook, demand: Demand) -> int:
    try:
        return book.facts.weights.worst_case(demand.input_tokens_max, demand.output_tokens_max)
    except (UnitsOverflowError, ValueError) as error:
        raise UnderReservedError(f"no maxUnits covers this request: {error}") from error


def _plan(books: Books, book: SessionBook, max_units: int, is_stream: bool) -> PartPlan:
    if not is_stream:
        return WHOLE
    plan = plan_parts(max_units, books.credit.interim_units, book.facts.terms.tau)
    return plan if book.meter.can_accept(max_units, plan.parts_max) else WHOLE


def _check_credit(books: Books, book: SessionBook, max_units: int, now: float) -> None:
    account = books.account(book.facts)
    account.mark_overdue(now, books.credit.receipt_due_s)
    line = account.line
    if line.can_accept(max_units):
        return
    if line.limit == 0:
        raise CreditExhaustedError("no credit: a receipt is overdue, deliver it first")
    raise CreditExhaustedError(
        f"{line.outstanding} units unreceipted and {max_units} asked, of a credit of {line.limit}"
    )
