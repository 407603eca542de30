"""An adversary that searches the lies of every trader and reports the best it finds.

A lie is the set of reports one person hands in instead of its truth: another price, another
quantity, several identities, orders on both sides, or none at all. A mechanism that draws is given
as several draws, and a lie is judged by its mean over them; a single draw asks for more, that
nobody gains even knowing the coins.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from typing import TypeAlias

from pricing.market import Book, Mechanism, Order, Side, Trader
from pricing.properties import LINEAR, Values, position, substitute

Lies: TypeAlias = Callable[[Side, Order], Iterable[Book]]
"""The reports tried in the place of a true order of that side."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """A lie that pays: whose, what was reported instead, and the mean gain in money."""

    side: Side
    truth: Order
    reports: Book
    gain: Fraction


def best_deviation(
    draws: Sequence[Mechanism], book: Book, lies: Lies, values: Values = LINEAR
) -> Deviation | None:
    """The most profitable lie any single trader of the book has, or None if none gains."""
    honest = [draw(book) for draw in draws]
    best: Deviation | None = None
    for side, truth in [(Side.BUY, b) for b in book.bids] + [(Side.SELL, a) for a in book.asks]:
        worth = values.of(side)
        at_rest = sum(worth(truth, position(outcome, [truth.trader])) for outcome in honest)
        for reports in lies(side, truth):
            own = [order.trader for order in (*reports.bids, *reports.asks)]
            bent = substitute(book, truth, reports)
            lying = sum(worth(truth, position(draw(bent), own)) for draw in draws)
            gain = Fraction(lying - at_rest, len(draws))
            if gain > (best.gain if best else 0):
                best = Deviation(side, truth, reports, gain)
    return best


def gains(
    draws: Sequence[Mechanism], book: Book, lie: Deviation, values: Values = LINEAR
) -> list[int]:
    """What the lie gains in each draw, for judging on fresh draws one that was found on others."""
    worth = values.of(lie.side)
    own = [order.trader for order in (*lie.reports.bids, *lie.reports.asks)]
    bent = substitute(book, lie.truth, lie.reports)
    return [
        worth(lie.truth, position(draw(bent), own))
        - worth(lie.truth, position(draw(book), [lie.truth.trader]))
        for draw in draws
    ]


def is_truthful(
    draws: Sequence[Mechanism], book: Book, lies: Lies, values: Values = LINEAR
) -> bool:
    """Whether none of these lies pays anybody in this book."""
    return best_deviation(draws, book, lies, values) is None


def price_lies(prices: Iterable[int]) -> Lies:
    """Every price of the grid for the true quantity, and staying away."""
    grid = tuple(prices)

    def lies(side: Side, truth: Order) -> Iterator[Book]:
        yield Book()
        for price in grid:
            yield report(side, Order(truth.trader, price, truth.quantity))

    return lies


def quantity_lies(quantities: Iterable[int]) -> Lies:
    """Every quantity of the grid at the true price."""
    grid = tuple(quantities)

    def lies(side: Side, truth: Order) -> Iterator[Book]:
        for quantity in grid:
            yield report(side, Order(truth.trader, truth.price, quantity))

    return lies


def joint_lies(prices: Iterable[int], quantities: Iterable[int]) -> Lies:
    """Every pair of a price and a quantity."""
    grid = tuple(product(prices, quantities))

    def lies(side: Side, truth: Order) -> Iterator[Book]:
        for price, quantity in grid:
            yield report(side, Order(truth.trader, price, quantity))

    return lies


def split_lies(prices: Iterable[int], quantities: Iterable[int]) -> Lies:
    """Two identities on the true side, each with any price and quantity of the grids."""
    grid = tuple(product(prices, quantities))

    def lies(side: Side, truth: Order) -> Iterator[Book]:
        for own, other in product(grid, repeat=2):
            yield report(side, Order(truth.trader, *own), Order(alias(truth.trader), *other))

    return lies


def shill_lies(prices: Iterable[int], quantities: Iterable[int]) -> Lies:
    """The truth, and a second identity on the other side with any price and quantity."""
    grid = tuple(product(prices, quantities))

    def lies(side: Side, truth: Order) -> Iterator[Book]:
        for price, quantity in grid:
            shill = (Order(alias(truth.trader), price, quantity),)
            yield Book((truth,), shill) if side is Side.BUY else Book(shill, (truth,))

    return lies


def random_lies(
    draw: Callable[[int, int], int],
    tries: int,
    price_max: int,
    quantity_max: int,
    identities: int = 2,
) -> Lies:
    """`tries` random reports of one to `identities` identities, all but the first on either side.

    `draw(a, b)` is uniform on a..b.
    """

    def lies(side: Side, truth: Order) -> Iterator[Book]:
        for _ in range(tries):
            sides: dict[Side, list[Order]] = {Side.BUY: [], Side.SELL: []}
            for number in range(draw(1, identities)):
                order = Order(
                    alias(truth.trader, number), draw(0, price_max), draw(1, quantity_max)
                )
                sides[side if number == 0 or draw(0, 1) else across(side)].append(order)
            yield Book(tuple(sides[Side.BUY]), tuple(sides[Side.SELL]))

    return lies


def climb(
    draws: Sequence[Mechanism],
    book: Book,
    start: Deviation,
    steps: int,
    quantity_max: int,
    values: Values = LINEAR,
) -> Deviation:
    """The lie reached from one that pays by up to `steps` changes that each pay more.

    A change moves one price or one quantity of the reports, or hands in one report less.
    """

    def near(side: Side, truth: Order) -> Iterator[Book]:
        if (side, truth) == (best.side, best.truth):
            yield from _neighbours(best.reports, quantity_max)

    best = start
    for _ in range(steps):
        found = best_deviation(draws, book, near, values)
        if found is None or found.gain <= best.gain:
            break
        best = found
    return best


STRIDES = (-5, -2, -1, 1, 2, 5)
"""By how much a climbing lie moves a price."""


def _neighbours(reports: Book, quantity_max: int) -> Iterator[Book]:
    for place in range(len(reports.bids)):
        for bids in _changed(reports.bids, place, quantity_max):
            yield Book(bids, reports.asks)
    for place in range(len(reports.asks)):
        for asks in _changed(reports.asks, place, quantity_max):
            yield Book(reports.bids, asks)


def _changed(
    orders: tuple[Order, ...], place: int, quantity_max: int
) -> Iterator[tuple[Order, ...]]:
    own, before, after = orders[place], orders[:place], orders[place + 1 :]
    yield (*before, *after)
    for price in (own.price + stride for stride in STRIDES):
        if price >= 0:
            yield (*before, replace(own, price=price), *after)
    for quantity in (own.quantity - 1, own.quantity + 1):
        if 1 <= quantity <= quantity_max:
            yield (*before, replace(own, quantity=quantity), *after)


def alias(trader: Trader, number: int = 1) -> Trader:
    """A further identity of the same person; its own name is number 0."""
    return trader + b"'" * number


def across(side: Side) -> Side:
    """The side across the book."""
    return Side.SELL if side is Side.BUY else Side.BUY


def report(side: Side, *orders: Order) -> Book:
    """A book of orders of one side."""
    return Book(bids=orders) if side is Side.BUY else Book(asks=orders)
