"""A market of epochs: the same traders in each, the posted price moved by what they say.

The mechanism and the price rule are those the contract runs (`pricing.epoch_auction`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from pricing import (
    Balance,
    Book,
    EpochOutcome,
    Order,
    accepted_balance,
    clear_epoch,
    next_posted_price,
    price_reach,
)
from relay_mining import BPS

SUPPLIERS = 8
BUYERS = 12
QUANTITY_MAX = 9
PRICE_SCALE = 1_000_000
FEE_BPS = 100


@dataclass(frozen=True, slots=True)
class World:
    """What everybody truly costs, values, has and needs; and the first posted price."""

    book: Book
    price: int
    seeds: tuple[bytes, ...]
    """Of the public order, one an epoch."""

    @property
    def epochs(self) -> int:
        """How many."""
        return len(self.seeds)


def draw_world(
    rng: Random, epochs: int, *, suppliers: int = SUPPLIERS, buyers: int = BUYERS
) -> World:
    """Values and costs uniform, quantities of 1 to 9, a price around the middle."""

    def order(kind: bytes, index: int) -> Order:
        price = rng.randint(PRICE_SCALE // 100, PRICE_SCALE)
        return Order(kind + bytes([index]), price, rng.randint(1, QUANTITY_MAX))

    book = Book(
        tuple(order(b"buyer", index) for index in range(buyers)),
        tuple(order(b"supplier", index) for index in range(suppliers)),
    )
    price = rng.randint(PRICE_SCALE * 2 // 5, PRICE_SCALE * 3 // 5)
    return World(book, price, tuple(rng.randbytes(32) for _ in range(epochs)))


def say(book: Book, order: Order) -> Book:
    """The book with one trader's order in place of its own."""

    def swapped(orders: Sequence[Order]) -> tuple[Order, ...]:
        return tuple(order if each.trader == order.trader else each for each in orders)

    return replace(book, bids=swapped(book.bids), asks=swapped(book.asks))


def utility(world: World, truth: Order, outcome: EpochOutcome, price: int) -> int:
    """What an epoch is worth to a trader; money in base units, claims rounded up.

    A supplier serves no more than it has, and is paid for what it serves. A buyer that got more
    than it needs pays the charge for all of it, and claims for what it uses.
    """
    for line in outcome.roster:
        if line.supplier == truth.trader:
            return (line.unit_price - truth.price) * min(line.units, truth.quantity)
    for fill in outcome.fills:
        if fill.application == truth.trader:
            used = min(fill.units, truth.quantity)
            return truth.price * used - fill.charge - -(-fill.claims * used // fill.units)
    return 0


def play(world: World, truth: Order, plan: Sequence[Order]) -> int:
    """A trader's utility over the epochs, in each of which it says what its plan says."""
    price, total = world.price, 0
    before = Balance(0, 0)
    for seed, said in zip(world.seeds, plan, strict=True):
        book = say(world.book, said)
        total += utility(world, truth, clear_epoch(book, price, FEE_BPS, seed), price)
        moved = next_posted_price(before, price, FEE_BPS)
        price, before = moved, accepted_balance(book, price, FEE_BPS)
    return total


def bound(world: World, truth: Order) -> int:
    """The most that any plan can gain over the truth, computed without trying one.

    In each epoch no report beats the truth at the price that is posted, so no plan is worth more
    than the truth at the best price within reach. What the truth is worth changes with the price at
    the orders' own prices and rises or falls in between, so those, their neighbours and the ends
    are enough to look at. Rounding of a supplier's unit price adds at most a base unit a unit.
    """
    honest = play(world, truth, [truth] * world.epochs)
    best = 0
    reach = price_reach(world.price, FEE_BPS, world.epochs)
    for (low, high), seed in zip(reach, world.seeds, strict=True):
        worth = (
            utility(world, truth, clear_epoch(world.book, price, FEE_BPS, seed), price)
            for price in _kinks(world.book, low, high)
        )
        best += max(worth) + QUANTITY_MAX
    return best - honest


def _kinks(book: Book, low: int, high: int) -> set[int]:
    """Prices of a range at which somebody joins or leaves, and their neighbours."""
    kinks = {low, high}
    for bid in book.bids:
        kinks |= {bid.price, bid.price + 1}
    for ask in book.asks:
        entry = -(-ask.price * BPS // (BPS - FEE_BPS))
        kinks |= {entry - 1, entry, entry + 1}
    return {price for price in kinks if low <= price <= high}
