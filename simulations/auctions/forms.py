"""Mechanisms whose own form is another than a book in and an outcome out, brought into it."""

from fractions import Fraction

import numpy as np

from pricing import (
    Book,
    CoupledBook,
    Fill,
    Integers,
    Order,
    Outcome,
    Trader,
    charge,
    clear_coupled,
    clear_epoch,
    marginal_vickrey,
    share_cost,
    vcg_procurement,
)

FEE_BPS = 1_000
MONEY = 60
"""Base units on the chain to one of the book: prices of a unit of up to five are whole."""
SERVICES = 2


def chain_round(book: Book, price: int, seed: bytes) -> Outcome:
    """What the contract's rule makes of a book: P2V less a fee of a tenth, paid by the roster."""

    def in_base_units(orders: tuple[Order, ...]) -> tuple[Order, ...]:
        return tuple(Order(each.trader, each.price * MONEY, each.quantity) for each in orders)

    fine = Book(in_base_units(book.bids), in_base_units(book.asks))
    outcome = clear_epoch(fine, price * MONEY, FEE_BPS, seed)
    return Outcome(
        tuple(
            Fill(fill.application, fill.units, (fill.charge + fill.claims) // MONEY)
            for fill in outcome.fills
        ),
        tuple(
            Fill(line.supplier, line.units, line.unit_price * line.units // MONEY)
            for line in outcome.roster
        ),
    )


def procured(book: Book, demand: int, reserve: int) -> Outcome:
    """VCG procurement by itself."""
    return Outcome(sold=vcg_procurement(book.asks, demand, reserve))


def marginal(book: Book, units: int) -> Outcome:
    """Vickrey's auction of several units to buyers who value each of theirs alike."""
    values = {bid.trader: [bid.price] * bid.quantity for bid in book.bids}
    return Outcome(bought=marginal_vickrey(values, units))


def cost_shared(book: Book, target: int) -> Outcome:
    """A target raised in proportional shares, each rounded up, from those who accept theirs."""
    share = share_cost(book.bids, target)
    accepted = [] if share is None else _accepting(book.bids, share)
    return Outcome(bought=tuple(accepted))


def _accepting(bids: tuple[Order, ...], share: Fraction) -> list[Fill]:
    return [
        Fill(bid.trader, bid.quantity, charge(share, bid.quantity))
        for bid in bids
        if bid.price >= share * bid.quantity
    ]


def coupled(book: Book) -> Outcome:
    """Two services cleared together: a buyer's name says which it wants, suppliers serve both."""
    if not (book.bids and book.asks):
        return Outcome()
    services = _integers([_service_of(bid.trader) for bid in book.bids])
    costs = np.repeat(_integers([ask.price for ask in book.asks])[:, None], SERVICES, axis=1)
    clearing = clear_coupled(
        CoupledBook(
            services,
            _integers([bid.price for bid in book.bids]),
            _integers([bid.quantity for bid in book.bids]),
            costs,
            np.ones_like(costs),
            _integers([ask.quantity for ask in book.asks]),
        ),
        gap_max=0,
    )
    paid = clearing.bought * clearing.prices[services]
    earned = (clearing.sold * clearing.prices).sum(axis=1)
    return Outcome(
        _fills(book.bids, clearing.bought, paid),
        _fills(book.asks, clearing.sold.sum(axis=1), earned),
    )


def _service_of(trader: Trader) -> int:
    return trader[-1] % SERVICES


def _integers(numbers: list[int]) -> Integers:
    return np.array(numbers, dtype=np.int64)


def _fills(orders: tuple[Order, ...], units: Integers, money: Integers) -> tuple[Fill, ...]:
    return tuple(
        Fill(order.trader, int(count), int(sum_))
        for order, count, sum_ in zip(orders, units, money, strict=True)
        if count
    )
