"""Proving what an epoch clears to with a few leaves, and checking it as the contract does.

The accepted asks stand in a `SortedSumTree` by price, the accepted bids in one by public order.
One leaf covers the demand's last unit and says how many asks sell and what the demand costs; each
seller opens its own leaf, and one that covers its whole capacity beyond the demand says what its
units would have cost without it. Mirrors `contracts/src/libraries/Procurement.sol`.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from pricing.crossing import asks_in_line
from pricing.epoch_auction import accepted, reserve_at
from pricing.market import Book, Order, Trader
from pricing.posted_price_vcg import RosterLine
from pricing.public_order import in_public_order, rank
from pricing.sorted_sum_tree import (
    ClearingFault,
    InvalidClearingError,
    Leaf,
    Node,
    Opening,
    SortedSumTree,
    Sums,
    verify_place,
)


@dataclass(frozen=True, slots=True)
class Cover:
    """An ask that covers a unit which the payments need the cost of."""

    supplier: Trader
    opening: Opening


@dataclass(frozen=True, slots=True)
class Sale:
    """A supplier that sells; `cover` is the place among the covers of unit `demand + quantity`."""

    supplier: Trader
    cover: int
    opening: Opening


@dataclass(frozen=True, slots=True)
class Procurement:
    """What a clearing is held against, all but the root from the orders as revealed."""

    root: Node
    demand: int
    reserve: int


@dataclass(frozen=True, slots=True)
class ClearingProof:
    """The leaves that prove what an epoch clears to: covers, then sales by supplier."""

    covers: tuple[Cover, ...] = ()
    sales: tuple[Sale, ...] = ()


class ClearingTrees:
    """Both trees of a round, from which its clearing is proved and any leaf is shown."""

    def __init__(
        self, asks: Sequence[Order], bids: Sequence[Order], reserve: int, seed: bytes
    ) -> None:
        """Trees of orders in the lines given; `build` puts those of a book in order."""
        self._asks = asks
        self.asks = SortedSumTree([ask_leaf(ask) for ask in asks])
        self.bids = SortedSumTree([bid_leaf(seed, bid) for bid in bids])
        self._positions = {
            **{ask.trader: place for place, ask in enumerate(asks)},
            **{bid.trader: place for place, bid in enumerate(bids)},
        }
        self.procurement = Procurement(self.asks.root, self.bids.root.sums.units, reserve)

    @classmethod
    def build(cls, book: Book, price: int, fee_bps: int, seed: bytes) -> "ClearingTrees":
        """The trees of the orders that take part, the asks by price, the bids in public order."""
        traded = accepted(book, price, fee_bps)
        bids = in_public_order(seed, traded.bids)
        return cls(asks_in_line(traded), bids, reserve_at(price, fee_bps), seed)

    def open_ask(self, supplier: Trader) -> Opening:
        """The leaf of an accepted ask (KeyError where there is none)."""
        return self.asks.open(self._positions[supplier])

    def open_bid(self, application: Trader) -> Opening:
        """The leaf of an accepted bid (KeyError where there is none)."""
        return self.bids.open(self._positions[application])

    def prove(self) -> ClearingProof:
        """The leaves that the contract asks for."""
        demand = self.procurement.demand
        reached = list(accumulate(ask.quantity for ask in self._asks))
        if not demand or not reached:
            return ClearingProof()
        supply = reached[-1]
        sellers = self._asks[: bisect_left(reached, min(demand, supply)) + 1]
        places: dict[int, int] = {}

        def cover(unit: int) -> int:
            if unit >= supply:
                return 0
            return places.setdefault(bisect_left(reached, unit), len(places))

        cover(demand)
        sales = [
            Sale(ask.trader, cover(demand + ask.quantity), self.open_ask(ask.trader))
            for ask in sellers
        ]
        covering = [self._asks[place] for place in places]
        return ClearingProof(
            tuple(Cover(ask.trader, self.open_ask(ask.trader)) for ask in covering),
            tuple(sorted(sales, key=lambda sale: sale.supplier)),
        )


def ask_leaf(ask: Order) -> Leaf:
    """An ask's leaf; its key is the price in 64 bits, then the supplier."""
    key = (ask.price << 160 | int.from_bytes(ask.trader, "big")).to_bytes(32, "big")
    return Leaf(key, ask.quantity, ask.price * ask.quantity)


def bid_leaf(seed: bytes, bid: Order) -> Leaf:
    """A bid's leaf; its key is its place in the public order, and it has no cost."""
    return Leaf(rank(seed, bid.trader), bid.quantity)


def verify_clearing(
    procurement: Procurement, asks: Mapping[Trader, Order], proof: ClearingProof
) -> tuple[RosterLine, ...]:
    """The roster that a proof comes to, by supplier; `asks` are the orders as revealed.

    Raises:
        InvalidClearingError: the leaves do not prove one; the fault is the contract's.
        KeyError: a leaf names an ask that was not revealed, or not accepted.
    """
    covering = [_locate(procurement, asks[each.supplier], each.opening) for each in proof.covers]
    selling = [_locate(procurement, asks[each.supplier], each.opening) for each in proof.sales]
    if len(selling) != _sellers(procurement, covering):
        raise InvalidClearingError(ClearingFault.WRONG_SALE_COUNT)
    if not selling:
        raise InvalidClearingError(ClearingFault.NOTHING_SOLD)
    at_demand = _cost_at(procurement, covering, 0, procurement.demand)
    lines: list[RosterLine] = []
    for sale, found in zip(proof.sales, selling, strict=True):
        if lines and sale.supplier <= lines[-1].supplier:
            raise InvalidClearingError(ClearingFault.SALE_OUT_OF_ORDER)
        unit = procurement.demand + found.ask.quantity
        displaced = _cost_at(procurement, covering, sale.cover, unit)
        lines.append(_line(procurement, found, displaced - at_demand))
    return tuple(lines)


@dataclass(frozen=True, slots=True)
class _Located:
    ask: Order
    before: Sums


def _locate(procurement: Procurement, ask: Order, opening: Opening) -> _Located:
    return _Located(ask, verify_place(procurement.root, ask_leaf(ask), opening))


def _sellers(procurement: Procurement, covering: Sequence[_Located]) -> int:
    """How many asks sell: all up to the one that covers the demand's last unit."""
    total = procurement.root.sums
    if procurement.demand == 0:
        return 0
    if procurement.demand >= total.units:
        return total.count
    return _covering(covering, 0, procurement.demand).before.count + 1


def _cost_at(procurement: Procurement, covering: Sequence[_Located], index: int, units: int) -> int:
    """What the first `units` units cost, each beyond the supply at the reserve."""
    total = procurement.root.sums
    if units >= total.units:
        return total.cost + (units - total.units) * procurement.reserve
    found = _covering(covering, index, units)
    return found.before.cost + (units - found.before.units) * found.ask.price


def _covering(covering: Sequence[_Located], index: int, unit: int) -> _Located:
    if index >= len(covering):
        raise InvalidClearingError(ClearingFault.NOT_COVERED)
    found = covering[index]
    if not found.before.units < unit <= found.before.units + found.ask.quantity:
        raise InvalidClearingError(ClearingFault.NOT_COVERED)
    return found


def _line(procurement: Procurement, found: _Located, displaced: int) -> RosterLine:
    """A seller's line; no price below its ask or above the reserve, whatever the tree."""
    if found.before.units >= procurement.demand:
        raise InvalidClearingError(ClearingFault.NOT_SOLD)
    ask = found.ask
    units = min(ask.quantity, procurement.demand - found.before.units)
    unit_price = (displaced - (ask.quantity - units) * ask.price) // units
    if not ask.price <= unit_price <= procurement.reserve:
        raise InvalidClearingError(ClearingFault.PRICE_OUT_OF_RANGE)
    return RosterLine(ask.trader, unit_price, units)
