"""The mechanisms of the table: markets of two sides here, sales of one side in `sales`."""

from random import Random

from pricing import (
    Book,
    Order,
    Outcome,
    first_price,
    mcafee,
    muda,
    multi_unit_trade_reduction,
    pay_as_bid,
    posted_price_vcg,
    rank_excluding_sbba,
    sbba,
    trade_reduction,
    uniform_price,
    vcg_double_auction,
)
from simulations.auctions.promises import PRICE_MAX, QUANTITY_MAX
from simulations.auctions.sales import SALES
from simulations.auctions.subject import (
    BALANCED,
    DEFICIT,
    EFFICIENT,
    ENVY,
    IDENTITIES,
    ONE_SIDED,
    PRICE,
    QUANTITY,
    UNIT,
    Subject,
    fixed,
    seeded,
)

TRADERS_MAX = 3


def unit_lots(rng: Random) -> Book:
    """One to three traders a side, one lot each, even prices: midpoints are exact."""
    return _book(rng, 1)


def several_lots(rng: Random) -> Book:
    """The same with up to four lots each."""
    return _book(rng, QUANTITY_MAX)


def bids_only(rng: Random) -> Book:
    """Buyers of unit lots without sellers."""
    return Book(bids=unit_lots(rng).bids)


def _book(rng: Random, quantity_max: int) -> Book:
    def side(name: bytes) -> tuple[Order, ...]:
        return tuple(
            Order(
                name + b"%d" % index,
                2 * rng.randint(0, PRICE_MAX // 2),
                rng.randint(1, quantity_max),
            )
            for index in range(rng.randint(1, TRADERS_MAX))
        )

    return Book(side(b"buyer "), side(b"seller "))


def spot_market(book: Book, seed: bytes) -> Outcome:
    """P2V at a price in the middle of the values."""
    return posted_price_vcg(book, PRICE_MAX // 2, seed)


SUBJECTS = (
    Subject(
        "P2V", seeded(spot_market), several_lots, frozenset({IDENTITIES, BALANCED, EFFICIENT, ENVY})
    ),
    Subject("McAfee", fixed(mcafee), unit_lots, frozenset({IDENTITIES, BALANCED, EFFICIENT}), UNIT),
    Subject(
        "trade reduction",
        fixed(trade_reduction),
        unit_lots,
        frozenset({IDENTITIES, BALANCED, EFFICIENT}),
        UNIT,
    ),
    Subject("SBBA", seeded(sbba), unit_lots, frozenset({IDENTITIES, EFFICIENT, ENVY}), UNIT),
    Subject(
        "VCG double auction",
        fixed(vcg_double_auction),
        unit_lots,
        frozenset({IDENTITIES, DEFICIT, BALANCED}),
        UNIT,
    ),
    Subject("MUDA", seeded(muda), several_lots, frozenset({IDENTITIES, EFFICIENT, ENVY})),
    Subject(
        "multi-unit trade reduction",
        seeded(multi_unit_trade_reduction),
        several_lots,
        frozenset({QUANTITY, IDENTITIES, BALANCED, EFFICIENT, ENVY}),
    ),
    Subject(
        "uniform price",
        fixed(uniform_price),
        several_lots,
        frozenset({PRICE, QUANTITY, IDENTITIES}),
    ),
    Subject(
        "pay as bid (control)",
        fixed(pay_as_bid),
        several_lots,
        frozenset({PRICE, QUANTITY, IDENTITIES, BALANCED, ENVY}),
    ),
    Subject(
        "first price (control)",
        fixed(first_price),
        bids_only,
        frozenset({PRICE, IDENTITIES}),
        UNIT | ONE_SIDED,
    ),
    Subject(
        "SBBA by rank (control)",
        fixed(rank_excluding_sbba),
        unit_lots,
        frozenset({PRICE, IDENTITIES, EFFICIENT, ENVY}),
        UNIT,
    ),
    *SALES,
)
