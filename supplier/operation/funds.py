"""Every balance of a supplier: where it is, until when, and what frees it."""

from collections.abc import Iterator
from dataclasses import dataclass

from contracts import (
    BlockTime,
    Fees,
    Market,
    PastClaim,
    SupplierAccount,
    read_block_time,
    read_claims,
)
from node.holding import TOKEN, WEI, Holding
from relay_mining import Address, Clock, compute_value
from supplier.mining.books import Books
from supplier.mining.session_book import SessionBook
from supplier.owner import Funds, read_funds

CLAIM_SESSIONS = 4
"""Sessions back to which a claim may be open that nobody was late to settle."""


@dataclass(frozen=True, slots=True)
class FundsView:
    """What the chain and the receipt log say of one supplier's money, as of one block."""

    funds: Funds
    account: SupplierAccount
    owner_gas: int
    """Wei on the owner's key."""
    claims: tuple[PastClaim, ...]
    """Open claims of this supplier."""
    sessions: tuple[SessionBook, ...]
    """Sessions in the receipt log that are not closed."""
    clock: Clock
    time: BlockTime
    fees: Fees
    gas_per_claim: int


async def read_funds_view(
    market: Market, supplier: Address, books: Books, gas_per_claim: int
) -> FundsView:
    """Everything `describe_funds` shows; raises ChainError."""
    funds, account = await read_funds(market, supplier)
    clock, time = await market.sessions.clock(), await read_block_time(market.chain)
    first = clock.start(max(0, clock.session_at(time.head) - CLAIM_SESSIONS))
    claims = await read_claims(market.chain, market.book, first, time.head)
    return FundsView(
        funds=funds,
        account=account,
        owner_gas=await market.chain.balance(account.owner),
        claims=tuple(c for c in claims if c.claim.supplier == supplier and c.end is None),
        sessions=tuple(books.sessions.values()),
        clock=clock,
        time=time,
        fees=await market.chain.fees(),
        gas_per_claim=gas_per_claim,
    )


def describe_funds(view: FundsView) -> tuple[Holding, ...]:
    """Every balance, what is still to be earned first and what is home last."""
    return (*_earning(view), *_claimed(view), *_staked(view), *_home(view), *_gas(view))


def _earning(view: FundsView) -> Iterator[Holding]:
    """What is receipted and not claimed."""
    claimed = {each.claim.session.id for each in view.claims}
    for book in sorted(view.sessions, key=lambda each: each.key.number):
        worth = book.facts.net(compute_value(book.meter.weight, book.facts.terms.price))
        number, window = book.key.number, view.clock.claim_window(book.key.number)
        if not worth or book.session_id in claimed or view.time.head >= window.closes:
            continue
        until = f"claimed until {view.time.describe(window.closes)}, else lost"
        yield Holding(f"receipts of session {number}", worth, TOKEN, until, "supplier serve claims")


def _claimed(view: FundsView) -> Iterator[Holding]:
    """What open claims are worth, and the bonds they hold.

    A claim that the receipt log does not know (of another disk) is shown with others' shares.
    """
    facts = {each.session_id: each.facts for each in view.sessions}
    for past in sorted(view.claims, key=lambda each: each.claim.session.number):
        claim = past.claim
        number, known = claim.session.number, facts.get(claim.session.id)
        worth = claim.value if known is None else known.net(claim.value)
        window = view.clock.proof_window(number)
        frees = "supplier serve proves and settles; anyone may"
        if view.time.head < window.opens:
            until = f"paid from {view.time.describe(window.opens)}"
        elif view.time.head < window.closes:
            until = f"proved until {view.time.describe(window.closes)}, else bond and claim go"
        else:
            until = "due: its windows are over"
        yield Holding(f"claim of session {number}", worth, TOKEN, until, frees)
        yield Holding(f"bond of session {number}", claim.bond, TOKEN, until, frees)
    left = view.funds.reserved - sum(each.claim.bond for each in view.claims)
    if left > 0:
        yield Holding("bonds of older claims", left, TOKEN, "due", "settling them; anyone may")


def _staked(view: FundsView) -> Iterator[Holding]:
    funds, clock = view.funds, view.clock
    yield Holding("stake, free", funds.free, TOKEN, "", "supplier unstake AMOUNT")
    if funds.unstaking:
        opens = clock.start(funds.unstake_session)
        until = f"session {funds.unstake_session}, {view.time.describe(opens)}"
        yield Holding("stake, leaving", funds.unstaking, TOKEN, until, "supplier withdraw")


def _home(view: FundsView) -> Iterator[Holding]:
    funds, account = view.funds, view.account
    yield Holding("earned, to collect", funds.claimable, TOKEN, "", "supplier collect")
    yield Holding("on the payout address", funds.payout_balance, TOKEN, "", "yours")
    if account.owner != account.payout:
        where = "on the owner's address"
        yield Holding(where, funds.owner_balance, TOKEN, "", "yours; supplier stake AMOUNT")


def _gas(view: FundsView) -> Iterator[Holding]:
    claim = view.gas_per_claim * (view.fees.base + view.fees.tip)
    enough = "" if not claim else f"enough for {view.funds.operator_gas // claim} claims"
    to = f"send native coin to 0x{view.funds.operator.hex()} before it runs out"
    yield Holding("gas of the operator", view.funds.operator_gas, WEI, enough, to)
    yield Holding("gas of the owner", view.owner_gas, WEI, "", "pays for the owner's commands")
