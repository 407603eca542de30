"""How often somebody would rather have what another got, and how much rather."""

from collections.abc import Callable
from fractions import Fraction
from random import Random
from statistics import fmean

from matplotlib.figure import Figure

from pricing import (
    LINEAR,
    Book,
    EdgeOffer,
    Ladder,
    Order,
    Outcome,
    Values,
    aeria_envy_free,
    aeria_posted,
    aeria_truthful,
    best_base,
    core_auction,
    deterministic_price,
    draw_word,
    mcafee,
    muda,
    posted_price_vcg,
    profit_extraction,
    sampled_price,
    sbba,
    trade_reduction,
    whole_buyer_utility,
    worst_envy,
)
from simulations.report import Cell, Report, Table

SIZES = (4, 8, 16, 32)
PRICE_MAX = 1_000
UNITS_MAX = 4
STEPS = len(SIZES)
WHOLE = Values(buyer=whole_buyer_utility)

Sale = Callable[[Book, bytes], Outcome]


def _aeria(variant: Callable[[Book, EdgeOffer, Ladder], Outcome]) -> Sale:
    def sell(book: Book, seed: bytes) -> Outcome:
        offer = EdgeOffer(sum(bid.quantity for bid in book.bids), 0, UNITS_MAX)
        base = best_base(1 + Fraction(UNITS_MAX, len(book.bids)))
        return variant(book, offer, Ladder(base, draw_word(seed, b"offset")))

    return sell


MARKETS: dict[str, Sale] = {
    "P2V": lambda book, seed: posted_price_vcg(book, PRICE_MAX // 2, seed),
    "McAfee": lambda book, seed: mcafee(book),
    "trade reduction": lambda book, seed: trade_reduction(book),
    "SBBA": sbba,
    "MUDA": muda,
}
GOODS: dict[str, Sale] = {
    "DOP": lambda book, seed: deterministic_price(book),
    "RSOP": sampled_price,
    "RSPE": profit_extraction,
    "CORE": lambda book, seed: core_auction(
        book, draw_word(seed, b"coin"), draw_word(seed, b"offset")
    ),
}
PLANS: dict[str, Sale] = {
    "AERIA-E": _aeria(aeria_envy_free),
    "AERIA-T": _aeria(aeria_truthful),
    "AERIA-P": _aeria(aeria_posted),
}
RULES = (*MARKETS, *GOODS, *PLANS)


def run_envy(seed: int, trials: int, advance: Callable[[int], None]) -> Report:
    """Return the share of rounds with envy and its mean size, by rule and number of traders."""
    rows: list[tuple[Cell, ...]] = []
    for traders in SIZES:
        rng = Random(f"{seed} envy {traders}")
        envies: dict[str, list[int]] = {name: [] for name in RULES}
        for _ in range(max(2, trials // 10)):
            drawn = rng.randbytes(32)
            for name, envy in envies_of(rng, traders, drawn).items():
                envies[name].append(envy)
        rows += [
            (name, traders, 100 * fmean(map(bool, each)), fmean(each) / PRICE_MAX)
            for name, each in envies.items()
        ]
        advance(1)
    table = Table(
        "envy",
        "Envy",
        ("rule", "traders", "rounds with envy, %", "mean of the worst"),
        tuple(rows),
        "The most that any trader would gain by having what another of its side got, or nothing, "
        "in units of the highest price of one unit, everybody truthful and prices uniform. Unit "
        "lots with as many sellers as buyers, then goods that can be copied, then plans of 1 to "
        f"{UNITS_MAX} units.",
    )
    return Report((table,), {"envy": plot(table)})


def envies_of(rng: Random, traders: int, seed: bytes) -> dict[str, int]:
    """The worst envy that each rule leaves in one round."""
    bids, asks = _orders(rng, b"b", traders, 1), _orders(rng, b"s", traders, 1)
    plans = Book(_orders(rng, b"u", traders, UNITS_MAX))
    found = {name: _envy(rule, Book(bids, asks), seed, LINEAR) for name, rule in MARKETS.items()}
    found |= {name: _envy(rule, Book(bids), seed, LINEAR) for name, rule in GOODS.items()}
    return found | {name: _envy(rule, plans, seed, WHOLE) for name, rule in PLANS.items()}


def _envy(rule: Sale, book: Book, seed: bytes, values: Values) -> int:
    return worst_envy(book, rule(book, seed), values)


def _orders(rng: Random, name: bytes, count: int, units_max: int) -> tuple[Order, ...]:
    """Orders of lots; a plan of several units is worth as many times a value of one."""
    units = [rng.randint(1, units_max) for _ in range(count)]
    return tuple(
        Order(name + b"%d" % place, each * rng.randint(0, PRICE_MAX), each)
        for place, each in enumerate(units)
    )


def plot(table: Table) -> Figure:
    """Return the mean of the worst envy over the size."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name in RULES:
        envies = [float(row[3]) for row in table.rows if row[0] == name]
        if any(envies):
            axes.plot(SIZES, envies, "o-", label=name)
    axes.set_xlabel("traders")
    axes.set_ylabel("mean of the worst envy, of the highest price")
    axes.legend(fontsize="small")
    return figure
