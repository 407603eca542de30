"""The family of lies, and the books in which they are told; prices of a unit in base units.

Every book is a service of its own, so that all lies are told at once, in every epoch, by the same
two liars: one supplier and one buyer. What the others truly cost, have, value and need is drawn
from a seed, within ranges that keep their order; nobody's price comes near the posted one, so how
far a lie can move that price bounds what it can gain (`localnet.lies.gains.bound`).
"""

from dataclasses import dataclass
from random import Random

from localnet.provision import TOKEN

PRICE = 2 * TOKEN
"""The first posted price."""


@dataclass(frozen=True, slots=True)
class Wish:
    """An order without a trader: the price of a unit, and units an epoch."""

    price: int
    quantity: int


@dataclass(frozen=True, slots=True)
class Played:
    """What a liar truly costs or values, has or needs, and what its identities say instead."""

    lie: str
    truth: Wish
    said: tuple[Wish, ...]
    is_bounded: bool = True
    """Whether the mechanism claims that the lie does not pay."""


@dataclass(frozen=True, slots=True)
class Staged:
    """One book: two liars, two truthful suppliers, a truthful buyer, perhaps one who is absent."""

    name: str
    supplier: Played
    buyer: Played
    rivals: tuple[Wish, Wish]
    """Truthful suppliers: one cheaper than the liar, one dearer."""
    twin: Wish
    """A truthful buyer, which uses all it can."""
    absent: Wish | None = None
    """A supplier that sells and serves nobody."""

    def orders_at(self, price: int) -> tuple[int, int]:
        """How many bids and asks there are at a posted price; lower bids are not sent."""
        bids = [self.twin, *self.buyer.said]
        asks = len(self.rivals) + len(self.supplier.said) + (self.absent is not None)
        return sum(each.price >= price for each in bids), asks


def stage_books(seed: int) -> tuple[Staged, ...]:
    """The books of a run."""
    rng = Random(seed)

    def near(tokens: float) -> int:
        return round(tokens * TOKEN * rng.uniform(0.97, 1.03))

    cost, dear, cheap, rival = near(1.0), near(1.5), near(0.8), near(1.3)
    value, low = near(3.0), near(1.8)
    rivals = Wish(cheap, 4), Wish(rival, 6)
    seller, buyer, twin = Wish(cost, 4), Wish(value, 4), Wish(value, 6)
    truth = "the truth"
    return (
        Staged(
            "over-asking",
            Played("asks more", seller, (Wish(dear, 4),)),
            Played("bids more", Wish(low, 4), (Wish(2 * PRICE, 4),)),
            rivals,
            twin,
        ),
        Staged(
            "under-asking",
            Played("asks less", Wish(dear, 4), (Wish(9 * cost // 10, 4),)),
            Played("wants less", buyer, (Wish(value, 2),)),
            rivals,
            twin,
        ),
        Staged(
            "overstating",
            Played("offers more than it has", seller, (Wish(cost, 8),)),
            Played("wants more", buyer, (Wish(value, 8),)),
            rivals,
            twin,
        ),
        Staged(
            "splitting",
            Played("two identities", seller, (Wish(cost, 2), Wish(cost, 2))),
            Played("bids less", buyer, (Wish(value // 2, 4),)),
            rivals,
            twin,
        ),
        Staged(
            "withholding",
            Played("withholds", Wish(cost, 2), (Wish(cost, 1),)),
            Played("two identities", buyer, (Wish(value, 2), Wish(value, 2)), is_bounded=False),
            (Wish(cheap, 1), Wish(rival, 1)),
            Wish(value, 20),
        ),
        Staged(
            "absence",
            Played(truth, seller, (seller,)),
            Played(truth, buyer, (buyer,)),
            rivals,
            twin,
            absent=Wish(cheap // 2, 4),
        ),
    )
