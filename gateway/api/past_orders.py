"""What a bid would have got and paid in rounds of an auction that are over; pure.

A round is cleared again, by the rule that the chain has it cleared by, with the bid beside the
orders that were revealed and in place of one of the same application. The others are taken as they
were; a bid tells them nothing before they are committed.
"""

from dataclasses import dataclass

from contracts import PastRound
from pricing import Book, EpochFill, EpochOutcome, Order, RosterLine, accepted_balance, clear_epoch


@dataclass(frozen=True, slots=True)
class PastOrder:
    """One round with a bid in it; money in token base units, units in millions of compute units."""

    epoch: int
    quantity: int
    posted: int
    """What every unit is paid, whatever was bid for it."""
    is_cleared: bool
    """Whether the round was: one that could have been and was not sells nothing."""
    fill: EpochFill
    roster: tuple[RosterLine, ...]
    """Who would have served the epoch at which price."""


def judge_order(past: PastRound, bid: Order) -> PastOrder:
    """What a round comes to with a bid in it, at its place in the round's public order."""
    outcome = _clear(past, bid)
    fills = (each for each in outcome.fills if each.application == bid.trader)
    fill = next(fills, EpochFill(bid.trader, 0, 0, 0))
    return PastOrder(past.epoch, bid.quantity, past.price, past.is_cleared, fill, outcome.roster)


def _clear(past: PastRound, bid: Order) -> EpochOutcome:
    """The outcome; the seed is known of every round that was cleared, and matters in no other."""
    before = accepted_balance(past.book, past.price, past.fee_bps)
    if not past.is_cleared and before.demand and before.supply:
        return EpochOutcome()
    others = tuple(each for each in past.book.bids if each.trader != bid.trader)
    book = Book((*others, bid), past.book.asks)
    return clear_epoch(book, past.price, past.fee_bps, past.seed or bytes(32))
