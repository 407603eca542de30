"""What an ask would have sold in past rounds of an auction; pure but for reading them.

Who was in a round said so in public, so a round is cleared again with another ask in place of one's
own. That rivals would have asked the same is no supposition here: what they are paid does not
depend on what they ask, so nothing was to be gained by answering.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from contracts import Market, PastRound, read_past_round
from pricing import Book, Order, clear_epoch
from relay_mining import BPS, Address, Hash32


@dataclass(frozen=True, slots=True)
class AskOutcome:
    """What an ask comes to in one round; money in token base units, rounded down."""

    epoch: int
    posted: int
    units: int
    unit_price: int
    """What each unit is paid; 0 where none is sold."""
    gross: int
    net: int
    """After the others' shares and the cost of serving all of it."""


@dataclass(frozen=True, slots=True)
class AskTerms:
    """What comes off a sale: the cost of a unit, and the shares of source and protocol."""

    cost: int
    shares_bps: int


async def read_past_rounds(market: Market, service: Hash32, epochs: int) -> tuple[PastRound, ...]:
    """The rounds of the last epochs whose orders are all revealed, oldest first (ChainError)."""
    clock, head = await market.sessions.clock(), await market.chain.head()
    newest = clock.epoch_of(clock.session_at(head.number)) + 1
    wanted = range(max(2, newest + 1 - epochs), newest + 1)
    return tuple(await asyncio.gather(*(read_past_round(market, service, e) for e in wanted)))


def own_ask(past: PastRound, supplier: Address) -> Order | None:
    """What the supplier asked in a round; None where it revealed nothing."""
    return next((each for each in past.book.asks if each.trader == supplier), None)


def try_ask(past: PastRound, ask: Order, terms: AskTerms) -> AskOutcome:
    """What a round comes to for an ask in place of its supplier's own.

    Who sells, and at which price, does not depend on the public order of the bids.
    """
    others = tuple(each for each in past.book.asks if each.trader != ask.trader)
    outcome = clear_epoch(Book(past.book.bids, (*others, ask)), past.price, past.fee_bps, bytes(32))
    for line in outcome.roster:
        if line.supplier == ask.trader:
            gross = line.unit_price * line.units
            net = gross * (BPS - terms.shares_bps) // BPS - terms.cost * line.units
            return AskOutcome(past.epoch, past.price, line.units, line.unit_price, gross, net)
    return AskOutcome(past.epoch, past.price, 0, 0, 0, 0)


def try_ask_in_each(
    rounds: Iterable[PastRound], ask: Order, terms: AskTerms
) -> tuple[AskOutcome, ...]:
    """What each round comes to for the same ask."""
    return tuple(try_ask(each, ask, terms) for each in rounds)
