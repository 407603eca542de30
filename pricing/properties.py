"""What theory promises of a mechanism, as predicates that run.

Each is used in the tests of every mechanism, in the table of `docs/pricing.md`, and by anyone who
wants to check a recorded round. An order is read as its trader's truth; `Values` says what a
position is worth to it. Lies are searched in `pricing.deviations`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeAlias

from pricing.market import Book, Fill, Mechanism, Order, Outcome, Side, Trader


@dataclass(frozen=True, slots=True)
class Position:
    """All that one person's identities hold after a round."""

    bought: int = 0
    paid: int = 0
    sold: int = 0
    received: int = 0


Utility: TypeAlias = Callable[[Order, Position], int]
"""What a position is worth to a person whose truth is the order, in money."""

RUIN = -(10**30)
"""The utility of having sold what one cannot deliver."""


def buyer_utility(truth: Order, held: Position) -> int:
    """Value of the units wanted, less what they cost; units beyond the demand are worth nothing."""
    if held.sold > held.bought:
        return RUIN
    wanted = min(held.bought - held.sold, truth.quantity)
    return wanted * truth.price - held.paid + held.received


def seller_utility(truth: Order, held: Position) -> int:
    """Earnings less the cost of the units made.

    A seller beyond its capacity delivers what it can and is paid by the unit, rounded down, as a
    claim settles at the roster's price.
    """
    if held.bought and held.bought > held.sold:
        return held.received - held.paid
    made = min(held.sold - held.bought, truth.quantity)
    delivered = made + held.bought
    earned = held.received * delivered // held.sold if held.sold else 0
    return earned - made * truth.price - held.paid


def whole_buyer_utility(truth: Order, held: Position) -> int:
    """Of a buyer to whom only its whole demand is worth anything; `price` is the whole value."""
    served = held.bought - held.sold >= truth.quantity
    return served * truth.price - held.paid + held.received


@dataclass(frozen=True, slots=True)
class Values:
    """What positions are worth to either side."""

    buyer: Utility = buyer_utility
    seller: Utility = seller_utility

    def of(self, side: Side) -> Utility:
        """The utility of that side."""
        return self.buyer if side is Side.BUY else self.seller


LINEAR = Values()
"""Every unit up to the quantity is worth, or costs, the price."""


def position(outcome: Outcome, identities: Iterable[Trader]) -> Position:
    """What these identities hold together."""
    own = frozenset(identities)
    bought = [fill for fill in outcome.bought if fill.trader in own]
    sold = [fill for fill in outcome.sold if fill.trader in own]
    return Position(
        sum(fill.units for fill in bought),
        sum(fill.money for fill in bought),
        sum(fill.units for fill in sold),
        sum(fill.money for fill in sold),
    )


def is_feasible(book: Book, outcome: Outcome) -> bool:
    """Whether nobody is filled twice, without an order or beyond it, and no unit is sold twice.

    The units sold are compared where the book has both sides; else supply or demand lies outside.
    """
    within = _is_within(book.bids, outcome.bought) and _is_within(book.asks, outcome.sold)
    if not (book.bids and book.asks):
        return within
    bought = sum(fill.units for fill in outcome.bought)
    return within and bought == sum(fill.units for fill in outcome.sold)


def _is_within(orders: tuple[Order, ...], fills: tuple[Fill, ...]) -> bool:
    limits = {order.trader: order.quantity for order in orders}
    filled = [fill.trader for fill in fills]
    return len(set(filled)) == len(filled) and all(
        0 < fill.units <= limits.get(fill.trader, 0) for fill in fills
    )


def is_individually_rational(book: Book, outcome: Outcome, values: Values = LINEAR) -> bool:
    """Whether no truthful trader is worse off than by staying away."""
    return all(
        values.of(side)(order, position(outcome, [order.trader])) >= 0
        for side, order in _sided(book)
    )


def is_without_deficit(outcome: Outcome) -> bool:
    """Whether buyers pay at least what sellers receive (weak budget balance)."""
    return outcome.surplus >= 0


def is_budget_balanced(outcome: Outcome) -> bool:
    """Whether buyers pay exactly what sellers receive (strong budget balance)."""
    return outcome.surplus == 0


def is_envy_free(book: Book, outcome: Outcome, values: Values = LINEAR) -> bool:
    """Whether no trader would rather have what another of its side got, or nothing."""
    return worst_envy(book, outcome, values) == 0


def worst_envy(book: Book, outcome: Outcome, values: Values = LINEAR) -> int:
    """The most any trader would gain by what another of its side got, or nothing; 0 if none."""
    held = {order.trader: position(outcome, [order.trader]) for _, order in _sided(book)}
    worst = 0
    for side, order in _sided(book):
        worth = values.of(side)
        peers = book.bids if side is Side.BUY else book.asks
        best = max(worth(order, held[peer.trader]) for peer in peers)
        worst = max(worst, best - worth(order, held[order.trader]))
    return worst


def is_monotone(mechanism: Mechanism, book: Book, prices: Iterable[int]) -> bool:
    """Whether nobody gets fewer units by a better price: a higher bid, a lower ask."""
    grid = sorted(set(prices))
    return all(
        _is_rising(mechanism, book, side, order, grid if side is Side.BUY else grid[::-1])
        for side, order in _sided(book)
    )


def _is_rising(
    mechanism: Mechanism, book: Book, side: Side, order: Order, worst_first: list[int]
) -> bool:
    got = []
    for price in worst_first:
        lie = replace(order, price=price)
        bent = substitute(book, order, Book(bids=(lie,)) if side is Side.BUY else Book(asks=(lie,)))
        held = position(mechanism(bent), [order.trader])
        got.append(held.bought + held.sold)
    return got == sorted(got)


def substitute(book: Book, truth: Order, reports: Book) -> Book:
    """The book with one person's reports in the place of its true order."""
    return Book(
        bids=(*(bid for bid in book.bids if bid.trader != truth.trader), *reports.bids),
        asks=(*(ask for ask in book.asks if ask.trader != truth.trader), *reports.asks),
    )


def gains_from_trade(book: Book, outcome: Outcome) -> int:
    """Value of the units bought less the cost of the units sold, by the book's prices."""
    values = {bid.trader: bid.price for bid in book.bids}
    costs = {ask.trader: ask.price for ask in book.asks}
    return sum(fill.units * values[fill.trader] for fill in outcome.bought) - sum(
        fill.units * costs[fill.trader] for fill in outcome.sold
    )


def competitive_ratio(
    draws: Iterable[Mechanism], book: Book, benchmark: Callable[[Book], int]
) -> Fraction | None:
    """Benchmark over the mean revenue of the draws of a randomized mechanism.

    None where nothing was earned although the benchmark is positive; 1 where both are zero.
    """
    revenues = [draw(book).paid for draw in draws]
    best = benchmark(book)
    if best == 0:
        return Fraction(1)
    earned = sum(revenues)
    return Fraction(best * len(revenues), earned) if earned else None


def _sided(book: Book) -> list[tuple[Side, Order]]:
    return [(Side.BUY, bid) for bid in book.bids] + [(Side.SELL, ask) for ask in book.asks]
