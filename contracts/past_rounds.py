"""Rounds of the auction whose orders are open, as they can be cleared again with another order."""

import asyncio
from dataclasses import dataclass

from contracts.auction_values import OrderSide
from contracts.market import Market
from pricing import Book
from relay_mining import Hash32


@dataclass(frozen=True, slots=True)
class PastRound:
    """A round whose orders are revealed."""

    epoch: int
    price: int
    """The posted price of a unit, a million compute units, in token base units."""
    fee_bps: int
    is_cleared: bool
    seed: Hash32 | None
    """Of the bids' public order; None where nobody wrote it down in time."""
    book: Book
    """Everything that was revealed, in or not."""


async def read_past_round(market: Market, service: Hash32, epoch: int) -> PastRound:
    """The round that fills an epoch, once its orders are all revealed (ChainError)."""
    auction = market.auction
    found, orders, seed, terms = await asyncio.gather(
        auction.round(service, epoch),
        auction.revealed(service, epoch),
        auction.draw_seed(service, epoch),
        auction.terms(),
    )
    book = Book(
        tuple(each.order for each in orders if each.side is OrderSide.BID),
        tuple(each.order for each in orders if each.side is OrderSide.ASK),
    )
    return PastRound(epoch, found.price, terms.fee_bps, found.is_cleared, seed, book)
