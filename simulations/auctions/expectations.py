"""Draws of an auction that stand for all: its mean over them is its expectation.

One seed for every way to split the bidders, or the midpoints of equal cells of a coin and an
offset.
"""

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache, partial
from itertools import count
from typing import TypeAlias

from pricing import (
    WORD,
    Book,
    EdgeOffer,
    Ladder,
    Mechanism,
    Outcome,
    Trader,
    core_auction,
    in_first_half,
)

COINS = 22
"""13 of 22 coins sell by Vickrey, 0.5909 where CORE asks for 0.5906."""
OFFSETS = 64

Draws: TypeAlias = Callable[[Book], list[Mechanism]]


def once(rule: Mechanism) -> Draws:
    """An auction that draws nothing."""
    return lambda book: [rule]


def over_splits(rule: Callable[[Book, bytes], Outcome]) -> Draws:
    """One draw for every way to split the bidders in two, all equally likely."""
    return lambda book: [
        partial(_seeded, rule, seed) for seed in _splits(tuple(bid.trader for bid in book.bids))
    ]


def _seeded(rule: Callable[[Book, bytes], Outcome], seed: bytes, book: Book) -> Outcome:
    return rule(book, seed)


@lru_cache(maxsize=64)
def _splits(traders: tuple[Trader, ...]) -> tuple[bytes, ...]:
    found: dict[tuple[bool, ...], bytes] = {}
    for number in count():
        seed = number.to_bytes(4, "big")
        found.setdefault(tuple(in_first_half(seed, trader) for trader in traders), seed)
        if len(found) == 2 ** len(traders):
            break
    return tuple(found.values())


def midpoints(cells: int) -> list[int]:
    """The midpoints of as many equal cells of a word."""
    return [WORD * (2 * place + 1) // (2 * cells) for place in range(cells)]


def core_draws(book: Book) -> list[Mechanism]:
    """CORE over its coin and its offset."""
    return [
        partial(core_auction, coin=coin, offset=offset)
        for coin in midpoints(COINS)
        for offset in midpoints(OFFSETS)
    ]


def over_offsets(
    variant: Callable[[Book, EdgeOffer, Ladder], Outcome],
    offer_of: Callable[[Book], EdgeOffer],
    base: int,
) -> Draws:
    """A variant of AERIA over its offset."""

    def on(offer: EdgeOffer, ladder: Ladder) -> Mechanism:
        return lambda book: variant(book, offer, ladder)

    def draws(book: Book) -> list[Mechanism]:
        offer = offer_of(book)
        return [on(offer, Ladder(Fraction(base), offset)) for offset in midpoints(OFFSETS)]

    return draws
