"""The mechanisms of the table: markets of two sides here, sales of one side in `sales`."""

from functools import partial
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
from simulations.auctions.forms import chain_round, coupled
from simulations.auctions.grid import BIDDERS, FEW_LOTS, SEVERAL_LOTS, Grid
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


def few_lots(rng: Random) -> Book:
    """One or two traders a side with up to two lots each: each clearing is a linear program."""
    return _book(rng, 2, 2)


def bids_only(rng: Random) -> Book:
    """Buyers of unit lots without sellers."""
    return Book(bids=unit_lots(rng).bids)


def _book(rng: Random, quantity_max: int, traders_max: int = TRADERS_MAX) -> Book:
    def side(name: bytes) -> tuple[Order, ...]:
        return tuple(
            Order(
                name + b"%d" % index,
                2 * rng.randint(0, PRICE_MAX // 2),
                rng.randint(1, quantity_max),
            )
            for index in range(rng.randint(1, traders_max))
        )

    return Book(side(b"buyer "), side(b"seller "))


def spot_market(book: Book, seed: bytes) -> Outcome:
    """P2V at a price in the middle of the values."""
    return posted_price_vcg(book, PRICE_MAX // 2, seed)


def epoch_market(book: Book, seed: bytes) -> Outcome:
    """The contract's rule at that price."""
    return chain_round(book, PRICE_MAX // 2, seed)


SPOT_GRID = Grid((8, 9, 10, 12), (1, 2))
"""Around the posted price."""

SUBJECTS = (
    Subject(
        "P2V",
        seeded(spot_market),
        several_lots,
        frozenset({IDENTITIES, BALANCED, EFFICIENT, ENVY}),
        grid=SPOT_GRID,
    ),
    Subject(
        "P2V less a fee (the chain's)",
        seeded(epoch_market),
        several_lots,
        frozenset({IDENTITIES, BALANCED, EFFICIENT, ENVY}),
        grid=SPOT_GRID,
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
    Subject(
        "MUDA",
        seeded(muda),
        several_lots,
        frozenset({IDENTITIES, EFFICIENT, ENVY}),
        grid=SEVERAL_LOTS,
    ),
    Subject(
        "multi-unit trade reduction",
        seeded(multi_unit_trade_reduction),
        several_lots,
        frozenset({QUANTITY, IDENTITIES, BALANCED, EFFICIENT, ENVY}),
        grid=SEVERAL_LOTS,
    ),
    Subject(
        "uniform price",
        fixed(uniform_price),
        several_lots,
        frozenset({PRICE, QUANTITY, IDENTITIES}),
        grid=SEVERAL_LOTS,
    ),
    Subject(
        "uniform price near a target",
        fixed(partial(uniform_price, target=PRICE_MAX // 2)),
        several_lots,
        frozenset({PRICE, QUANTITY, IDENTITIES}),
        grid=SEVERAL_LOTS,
    ),
    Subject(
        "coupled clearing, two services",
        fixed(coupled),
        few_lots,
        frozenset({PRICE, QUANTITY, IDENTITIES}),
        frozenset({EFFICIENT, ENVY}),
        grid=FEW_LOTS,
    ),
    Subject(
        "pay as bid (control)",
        fixed(pay_as_bid),
        several_lots,
        frozenset({PRICE, QUANTITY, IDENTITIES, BALANCED, ENVY}),
        grid=SEVERAL_LOTS,
    ),
    Subject(
        "first price (control)",
        fixed(first_price),
        bids_only,
        frozenset({PRICE, IDENTITIES}),
        UNIT | ONE_SIDED,
        grid=BIDDERS,
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
