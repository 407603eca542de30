"""What a lie gained: the round as it was against the same round with the truth in the lie's place.

Pure. A round is cleared again with the rule and the seed that the chain had, so nothing of the
comparison is left to luck. Money in base units; gains are floats only once they are averaged.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from contracts import OrderSide
from localnet.lies.books import Played, Wish
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
from relay_mining import UNITS_PER_PRICE, Address, RosterEntry, weigh_by_cost


@dataclass(frozen=True, slots=True)
class Use:
    """What one buyer's claims of an epoch came to with one supplier."""

    application: Address
    supplier: Address
    units: int
    """Compute units."""
    value: int
    """Paid, to the supplier and to everybody who has a share."""


@dataclass(frozen=True, slots=True)
class Round:
    """One round of a book as the chain has it, and the epoch that it filled."""

    epoch: int
    price: int
    fee_bps: int
    seed: bytes
    is_cleared: bool
    book: Book
    """Every order that was revealed."""
    roster: tuple[RosterEntry, ...]
    charges: Mapping[Address, int]
    """Of settled bids."""
    uses: tuple[Use, ...] = ()

    def clear(self, book: Book | None = None, price: int | None = None) -> EpochOutcome:
        """What the round's rule makes of a book, by default of its own, at its own price."""
        return clear_epoch(book or self.book, price or self.price, self.fee_bps, self.seed)

    def differences(self) -> list[str]:
        """In what the chain's roster and charges are not those of the rule."""
        outcome = self.clear()
        lines = (RosterEntry(each.supplier, each.unit_price, each.units) for each in outcome.roster)
        charges = {each.application: each.charge for each in outcome.fills}
        settled = {who: charge for who, charge in self.charges.items() if charge}
        found = {
            "not cleared": not self.is_cleared,
            "another roster": weigh_by_cost(tuple(lines)) != self.roster,
            f"charges {_show(settled)} instead of {_show(charges)}": charges != settled,
        }
        return [f"epoch {self.epoch}: {what}" for what, is_so in found.items() if is_so]

    @property
    def is_paid_as_cleared(self) -> bool:
        """Whether every claim was paid at its supplier's price in the roster, rounded down."""
        prices = {each.supplier: each.unit_price for each in self.roster}
        return all(
            each.value == each.units * prices[each.supplier] // UNITS_PER_PRICE
            for each in self.uses
        )


@dataclass(frozen=True, slots=True)
class Liar:
    """A liar with the addresses of its identities; the first one tells the truth, if any does."""

    side: OrderSide
    played: Played
    identities: tuple[Address, ...]

    def truthful(self, book: Book) -> Book:
        """The book with the truth instead of what this liar said."""
        truth = self.played.truth
        order = Order(self.identities[0], truth.price, truth.quantity)
        if self.side is OrderSide.ASK:
            return replace(book, asks=(*self._others(book.asks), order))
        return replace(book, bids=(*self._others(book.bids), order))

    def _others(self, orders: Sequence[Order]) -> tuple[Order, ...]:
        return tuple(each for each in orders if each.trader not in self.identities)

    def worth(self, outcome: EpochOutcome, share: float = 1.0) -> float:
        """What an outcome is worth to the liar where a share of what was sold is used."""
        if self.side is OrderSide.ASK:
            lines = [each for each in outcome.roster if each.supplier in self.identities]
            return share * earn(
                self.played.truth,
                sum(each.units for each in lines) * UNITS_PER_PRICE,
                sum(each.units * each.unit_price for each in lines),
            )
        fills = [each for each in outcome.fills if each.application in self.identities]
        units = sum(each.units for each in fills)
        used = share * min(units, self.played.truth.quantity)
        claims = sum(each.claims for each in fills) * used / units if units else 0.0
        return self.played.truth.price * used - claims - sum(each.charge for each in fills)

    def paid(self, seen: Round) -> float:
        """What the liar has of an epoch by what the chain charged it and paid for."""
        truth = self.played.truth
        if self.side is OrderSide.ASK:
            uses = [each for each in seen.uses if each.supplier in self.identities]
            units = sum(each.units for each in uses)
            return earn(truth, units, sum(each.value for each in uses))
        uses = [each for each in seen.uses if each.application in self.identities]
        units = min(sum(each.units for each in uses), truth.quantity * UNITS_PER_PRICE)
        charge = sum(seen.charges.get(each, 0) for each in self.identities)
        spent = sum(each.value for each in uses) + charge
        return truth.price * units / UNITS_PER_PRICE - spent


def earn(truth: Wish, units: int, money: int) -> float:
    """What a supplier has of units sold for money, of which it serves no more than it has."""
    capacity = truth.quantity * UNITS_PER_PRICE
    served = min(units, capacity)
    kept = money * served / units if units else 0.0
    return kept - truth.price * served / UNITS_PER_PRICE


def gain_within(liar: Liar, seen: Round) -> float:
    """What the lie gained in its epoch, all that was sold being used."""
    return liar.worth(seen.clear()) - liar.worth(seen.clear(liar.truthful(seen.book)))


def gain_over_seeds(liar: Liar, seen: Round, draws: int) -> float:
    """The same in the mean over public orders that were not drawn."""
    rng = Random(seen.seed)
    seeds = [rng.randbytes(32) for _ in range(draws)]
    return sum(gain_within(liar, replace(seen, seed=seed)) for seed in seeds) / draws


def truthful_prices(liar: Liar, rounds: Sequence[Round]) -> list[int]:
    """The prices that would have been posted, had the liar told the truth in all rounds."""
    return _follow(rounds, [liar.truthful(each.book) for each in rounds])


def differences(rounds: Sequence[Round]) -> list[str]:
    """In what the chain's rounds are not those that the rule makes of the orders as revealed."""
    prices = _follow(rounds, [each.book for each in rounds])
    moved = [
        f"epoch {seen.epoch}: a price of {seen.price} instead of {price}"
        for seen, price in zip(rounds, prices, strict=True)
        if seen.price != price
    ]
    return moved + [each for seen in rounds for each in seen.differences()]


def _follow(rounds: Sequence[Round], books: Sequence[Book]) -> list[int]:
    """Prices from the first round's on: each is the last one's, moved by the round before that."""
    price, before, is_cleared = rounds[0].price, Balance(0, 0), True
    prices = []
    for seen, book in zip(rounds, books, strict=True):
        prices.append(price)
        balance = accepted_balance(book, price, seen.fee_bps)
        price = next_posted_price(before, price, seen.fee_bps, is_cleared=is_cleared)
        before, is_cleared = balance, seen.is_cleared
    return prices


def _show(charges: Mapping[Address, int]) -> str:
    return ", ".join(f"{who.hex()[:6]} {charge}" for who, charge in sorted(charges.items()))


def truths(liar: Liar, rounds: Sequence[Round]) -> Iterator[EpochOutcome]:
    """What every epoch would have come to, had the liar told the truth in all of them."""
    for seen, price in zip(rounds, truthful_prices(liar, rounds), strict=True):
        yield seen.clear(liar.truthful(seen.book), price)


def gains_across(liar: Liar, rounds: Sequence[Round]) -> list[float]:
    """What the lie gained in each epoch over a truth that moved no price, all being used."""
    outcomes = zip(rounds, truths(liar, rounds), strict=True)
    return [liar.worth(seen.clear()) - liar.worth(truth) for seen, truth in outcomes]


def gains_paid(liar: Liar, rounds: Sequence[Round], shares: Sequence[float]) -> list[float]:
    """The same by what the chain charged and paid, the truth being used to the given shares."""
    outcomes = zip(rounds, truths(liar, rounds), shares, strict=True)
    return [liar.paid(seen) - liar.worth(truth, share) for seen, truth, share in outcomes]


def bound(truth: Wish, price: int, fee_bps: int, rounds: int) -> int:
    """The most that any plan can gain over some epochs, known before one is told.

    At the price that is posted no report beats the truth but by what rounding a unit price down
    hides, a base unit a unit. And what the truth is worth follows the posted price by no more than
    its own quantity, where no other order's price is within reach.
    """
    reach = price_reach(price, fee_bps, rounds)
    return sum(truth.quantity * (high - low + 1) for low, high in reach)
