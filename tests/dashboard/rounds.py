"""A synthetic auction: rounds of one service, as events and as the chain would tell them again."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from contracts import OrderSide, PastRound
from pricing import (
    Book,
    EpochOutcome,
    Order,
    accepted_balance,
    clear_epoch,
    next_posted_price,
    reserve_at,
)
from relay_mining import Address, Hash32, keccak

FEE_BPS = 100
FIRST_ROUND = 2
ASKS, BIDS = 7, 9


@dataclass(slots=True)
class Rounds:
    """The auction of a service in every epoch, always the same from the same seed."""

    service: Hash32
    suppliers: tuple[Address, ...]
    applications: tuple[Address, ...]
    opening_price: int
    seed: int = 5
    _past: dict[int, PastRound] = field(default_factory=dict)

    def past(self, epoch: int) -> PastRound:
        """A round with all its orders; every fourth one was cleared by nobody."""
        if epoch not in self._past:
            price = self._price(epoch)
            seed = keccak(b"round %d" % epoch)
            book = self._book(Random(self.seed * 1_000 + epoch), price)
            self._past[epoch] = PastRound(epoch, price, FEE_BPS, epoch % 4 != 0, seed, book)
        return self._past[epoch]

    def outcome(self, epoch: int) -> EpochOutcome:
        """What a round was cleared to."""
        past = self.past(epoch)
        if not past.is_cleared:
            return EpochOutcome()
        return clear_epoch(past.book, past.price, past.fee_bps, past.seed or b"")

    def events_of(self, epoch: int) -> Iterator[tuple[str, dict[str, object]]]:
        """What a round writes from its first order to its roster: names and values of events."""
        past, place = self.past(epoch), {"service": self.service, "epoch": epoch}
        yield "OpenRound", {**place, "price": past.price}
        reserve = reserve_at(past.price, FEE_BPS)
        for side, orders in ((OrderSide.ASK, past.book.asks), (OrderSide.BID, past.book.bids)):
            for each in orders:
                is_ask = side is OrderSide.ASK
                is_in = each.price <= reserve if is_ask else each.price >= past.price
                terms = (each.price, each.quantity, bytes(20))
                yield "Reveal", {
                    **place, "trader": each.trader, "side": int(side), "terms": terms,
                    "isIn": is_in,
                }  # fmt: skip
        found = self.outcome(epoch)
        if found.procured:
            sums = {"procured": found.procured, "paid": found.paid}
            yield "Clear", {**place, "clearingId": bytes(32), **sums}

    def _price(self, epoch: int) -> int:
        """The last round's, moved by the one before it."""
        if epoch == FIRST_ROUND:
            return self.opening_price
        last = self.past(epoch - 1)
        if epoch == FIRST_ROUND + 1:
            return last.price
        moving = self.past(epoch - 2)
        balance = accepted_balance(moving.book, moving.price, FEE_BPS)
        return next_posted_price(balance, last.price, FEE_BPS, is_cleared=moving.is_cleared)

    def _book(self, rng: Random, price: int) -> Book:
        """Asks and bids around the posted price, some of which do not accept it."""
        return Book(
            tuple(
                Order(each, rng.randint(8 * price // 10, 2 * price), rng.randint(1, 9))
                for each in rng.sample(self.applications, min(BIDS, len(self.applications)))
            ),
            tuple(
                Order(each, rng.randint(price // 3, 11 * price // 10), rng.randint(1, 9))
                for each in rng.sample(self.suppliers, min(ASKS, len(self.suppliers)))
            ),
        )
