"""The epoch auction of a service: P2V with a fee, as the contract `Auction` clears it.

The posted price is what a buyer pays for a unit. Suppliers are procured by VCG with the price less
the fee as reserve, so the fee, and whatever the suppliers left of the price, is paid in advance and
not refunded: only such demand moves the price (see `pricing.price_controllers`). What a supplier
sold is what it may claim, no more: see `relay_mining.allotted`.
"""

from dataclasses import dataclass

from pricing.crossing import take
from pricing.market import Book, Fill, Trader
from pricing.posted_price_vcg import Balance, RosterLine
from pricing.price_controllers import BASIS_POINTS, STEP_DIVISOR, StepBound, next_price
from pricing.public_order import in_public_order
from pricing.vcg_procurement import vcg_procurement

PRICE_MAX = 2**64 - 1
QUANTITY_MAX = 2**25 - 1
"""Most units of an order, so that the weights of 128 roster entries add up below 2^32."""


@dataclass(frozen=True, slots=True)
class EpochFill:
    """What a buyer got: units, the charge paid at once, and what claims for them cost at most."""

    application: Trader
    units: int
    charge: int
    claims: int


@dataclass(frozen=True, slots=True)
class EpochOutcome:
    """Who serves the epoch at what price, and who may use how much of it."""

    roster: tuple[RosterLine, ...] = ()
    fills: tuple[EpochFill, ...] = ()

    @property
    def procured(self) -> int:
        """Units bought from the suppliers."""
        return sum(line.units for line in self.roster)

    @property
    def paid(self) -> int:
        """What those units cost at the roster's prices."""
        return sum(line.unit_price * line.units for line in self.roster)


def reserve_at(price: int, fee_bps: int) -> int:
    """The most a supplier is paid for a unit: the posted price less the fee, rounded down."""
    return price * (BASIS_POINTS - fee_bps) // BASIS_POINTS


def accepted(book: Book, price: int, fee_bps: int) -> Book:
    """The orders that take part: bids of at least the price, asks of at most the reserve."""
    reserve = reserve_at(price, fee_bps)
    return Book(
        tuple(bid for bid in book.bids if bid.price >= price),
        tuple(ask for ask in book.asks if ask.price <= reserve),
    )


def clear_epoch(book: Book, price: int, fee_bps: int, seed: bytes) -> EpochOutcome:
    """The outcome of a round; truthful within the epoch, and never in deficit.

    A buyer pays the price for what it gets: by its claims what they cost on average (rounded down),
    the rest at once.
    """
    traded = accepted(book, price, fee_bps)
    demand = sum(bid.quantity for bid in traded.bids)
    sold = vcg_procurement(traded.asks, demand, reserve_at(price, fee_bps))
    lines = tuple(sorted((_line(fill) for fill in sold), key=lambda line: line.supplier))
    outcome = EpochOutcome(lines)
    served = take(in_public_order(seed, traded.bids), outcome.procured)
    fills = tuple(_fill(trader, units, price, outcome) for trader, units in served if units)
    return EpochOutcome(lines, fills)


def accepted_balance(book: Book, price: int, fee_bps: int) -> Balance:
    """Demand and supply of a round's orders that take part: what its price is moved by."""
    traded = accepted(book, price, fee_bps)
    return Balance(
        sum(bid.quantity for bid in traded.bids), sum(ask.quantity for ask in traded.asks)
    )


def next_posted_price(
    balance: Balance, price: int, fee_bps: int, *, is_cleared: bool = True
) -> int:
    """A price moved by a round: a step towards its balance, bounded by the fee.

    On the chain the next round's price is this one's moved by the round before, of which it is
    known by then whether it was cleared; one that could have been and was not moves nothing. The
    longer side counts up to twice the shorter, so that of a demand that counts at least half is
    filled, and charged; and the bound takes all of the supply to be one owner's, since what share
    an owner has cannot be told from its identities. A price never leaves 64 bits.
    """
    shorter, longer = sorted((balance.demand, balance.supply))
    if not is_cleared and shorter:
        return price
    if longer > 2 * shorter:
        balance = Balance(2, 1) if balance.demand > balance.supply else Balance(1, 2)
    return min(next_price(price, balance, StepBound(fee_bps, BASIS_POINTS)), PRICE_MAX)


def price_reach(price: int, fee_bps: int, rounds: int) -> list[tuple[int, int]]:
    """For each round the posted prices that any orders could lead to, lowest and highest.

    The first two are posted before any order can move one. From then on a step is at most half the
    fee of the price, for the imbalance counts to a half at most: a quarter; and never more than an
    eighth.
    """
    low = high = price
    found = [(low, high)] * min(2, rounds)
    for _ in range(rounds - 2):
        low = max(1, low - _step_max(low, fee_bps))
        high = high + _step_max(high, fee_bps)
        found.append((low, high))
    return found


def _step_max(price: int, fee_bps: int) -> int:
    return min(-(-price * fee_bps // (4 * BASIS_POINTS)), -(-price // STEP_DIVISOR))


def _line(fill: Fill) -> RosterLine:
    return RosterLine(fill.trader, fill.money // fill.units, fill.units)


def _fill(application: Trader, units: int, price: int, outcome: EpochOutcome) -> EpochFill:
    claims = units * outcome.paid // outcome.procured
    return EpochFill(application, units, units * price - claims, claims)
