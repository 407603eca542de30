"""The one-sided mechanisms of the table: digital goods, edge inference, procurement."""

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from random import Random

from pricing import (
    Book,
    EdgeOffer,
    Ladder,
    Mechanism,
    Order,
    Outcome,
    Values,
    aeria_envy_free,
    aeria_posted,
    aeria_truthful,
    budget_feasible,
    core_auction,
    deterministic_price,
    draw_word,
    edge_sampled_price,
    half_capacity_vickrey,
    optimal_single_price,
    profit_extraction,
    sampled_price,
    vickrey,
    whole_buyer_utility,
)
from simulations.auctions.forms import cost_shared, marginal, procured
from simulations.auctions.gateway_round import gateway_round
from simulations.auctions.grid import BIDDERS, PLANS, WORKERS, Grid
from simulations.auctions.promises import PRICE_MAX, QUANTITY_MAX, Rule
from simulations.auctions.subject import (
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

BIDDERS_MAX = 4
OFFER = EdgeOffer(capacity=3 * QUANTITY_MAX, unit_cost=1, demand_max=QUANTITY_MAX + 1)
BASE = Fraction(2)
BUDGET = 2 * PRICE_MAX
WHOLE = Values(buyer=whole_buyer_utility)


def bidders(rng: Random) -> Book:
    """One to four bids for one unit."""
    return Book(bids=_orders(rng, 1))


def planned_users(rng: Random) -> Book:
    """One to four users, each for a whole plan of up to four units."""
    return Book(bids=_orders(rng, QUANTITY_MAX))


def workers(rng: Random) -> Book:
    """One to four asks for one job."""
    return Book(asks=_orders(rng, 1))


def _orders(rng: Random, quantity_max: int) -> tuple[Order, ...]:
    return tuple(
        Order(b"%d" % index, rng.randint(0, PRICE_MAX), rng.randint(1, quantity_max))
        for index in range(rng.randint(1, BIDDERS_MAX))
    )


def two_units(book: Book) -> Outcome:
    """Vickrey for two units above a reserve."""
    return vickrey(book, 2, PRICE_MAX // 4)


def core(book: Book, seed: bytes) -> Outcome:
    """CORE with coin and offset from a seed."""
    return core_auction(book, draw_word(seed, b"coin"), draw_word(seed, b"offset"))


def aeria(
    variant: Callable[[Book, EdgeOffer, Ladder], Outcome],
) -> Rule:
    """A variant of AERIA on the offer of the table."""

    def draw(seed: bytes) -> Mechanism:
        ladder = Ladder(BASE, draw_word(seed, b"offset"))
        return lambda book: variant(book, OFFER, ladder)

    return Rule(draw, is_drawn=True)


def edge_rsop(book: Book, seed: bytes) -> Outcome:
    """RSOP over plans on the offer of the table."""
    return edge_sampled_price(book, OFFER, seed)


def edge_vickrey(book: Book) -> Outcome:
    """Half-capacity Vickrey on the offer of the table."""
    return half_capacity_vickrey(book, OFFER)


def procure(book: Book) -> Outcome:
    """Jobs within a budget."""
    return budget_feasible(book, BUDGET)


def several_units(rng: Random) -> Book:
    """One to four asks for up to four units each."""
    return Book(asks=_orders(rng, QUANTITY_MAX))


GOOD = UNIT | ONE_SIDED

SALES = (
    Subject("Vickrey, two units", fixed(two_units), bidders, frozenset(), GOOD, grid=BIDDERS),
    Subject(
        "DOP",
        fixed(deterministic_price),
        bidders,
        frozenset({IDENTITIES, ENVY}),
        GOOD,
        grid=BIDDERS,
    ),
    Subject(
        "RSOP", seeded(sampled_price), bidders, frozenset({IDENTITIES, ENVY}), GOOD, grid=BIDDERS
    ),
    Subject(
        "RSPE",
        seeded(profit_extraction),
        bidders,
        frozenset({IDENTITIES, ENVY}),
        GOOD,
        grid=BIDDERS,
    ),
    Subject("CORE", seeded(core), bidders, frozenset({IDENTITIES, ENVY}), GOOD, grid=BIDDERS),
    Subject(
        "optimal single price (control)",
        fixed(optimal_single_price),
        bidders,
        frozenset({PRICE, IDENTITIES}),
        GOOD,
        grid=BIDDERS,
    ),
    Subject(
        "AERIA-E",
        aeria(aeria_envy_free),
        planned_users,
        frozenset({PRICE, QUANTITY, IDENTITIES}),
        ONE_SIDED,
        WHOLE,
        PLANS,
    ),
    Subject(
        "AERIA-T",
        aeria(aeria_truthful),
        planned_users,
        frozenset({IDENTITIES, ENVY}),
        ONE_SIDED,
        WHOLE,
        PLANS,
        frozenset({QUANTITY}),
    ),
    Subject(
        "AERIA-P",
        aeria(aeria_posted),
        planned_users,
        frozenset({IDENTITIES, ENVY}),
        ONE_SIDED,
        WHOLE,
        PLANS,
    ),
    Subject(
        "the gateway's round",
        seeded(gateway_round),
        planned_users,
        frozenset({IDENTITIES, ENVY}),
        ONE_SIDED,
        WHOLE,
        PLANS,
    ),
    Subject(
        "RSOP over plans",
        seeded(edge_rsop),
        planned_users,
        frozenset({IDENTITIES, ENVY}),
        ONE_SIDED,
        WHOLE,
        PLANS,
    ),
    Subject(
        "half-capacity Vickrey",
        fixed(edge_vickrey),
        planned_users,
        frozenset({IDENTITIES}),
        ONE_SIDED,
        WHOLE,
        PLANS,
    ),
    Subject(
        "Vickrey, four units, several each",
        fixed(partial(marginal, units=4)),
        planned_users,
        frozenset({ENVY}),
        ONE_SIDED,
        grid=PLANS,
    ),
    Subject(
        "cost sharing",
        fixed(partial(cost_shared, target=PRICE_MAX)),
        planned_users,
        frozenset({QUANTITY, IDENTITIES}),
        ONE_SIDED,
        WHOLE,
        PLANS,
    ),
    Subject(
        "VCG procurement",
        fixed(partial(procured, demand=6, reserve=PRICE_MAX)),
        several_units,
        frozenset({ENVY}),
        ONE_SIDED,
        grid=Grid((0, 3, 6, 9), (1, 2, 3), traders=3, has_bids=False),
    ),
    Subject("Singer's budget", fixed(procure), workers, frozenset(), GOOD, grid=WORKERS),
)
