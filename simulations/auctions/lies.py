"""What lying gains a trader, by rule and size, and what it costs everybody when many lie."""

from collections.abc import Callable, Iterator
from random import Random
from statistics import fmean, stdev

from matplotlib.figure import Figure

from pricing import (
    Book,
    Lies,
    Mechanism,
    Order,
    Side,
    best_deviation,
    gains_from_trade,
    joint_lies,
    mcafee,
    muda,
    multi_unit_trade_reduction,
    pay_as_bid,
    posted_price_vcg,
    uniform_price,
)
from simulations.report import Cell, Report, Table

SIZES = (2, 4, 8, 16)
PRICE_MAX = 60
PRICE_STEP = 3
QUANTITY_MAX = 3
SHADE = 5
"""A strategic trader moves its price by a fifth of the distance that can win."""
SHARES = (0, 25, 50, 100)
"""Strategic traders, in percent."""
TRADERS = 40
LINES = ("o-", "x--", "s-")
"""One a rule of strategic shares: two of them lie on each other."""


def rules(seed: bytes) -> dict[str, Mechanism]:
    """The rules for orders of any size, with their seed bound."""
    return {
        "P2V": lambda book: posted_price_vcg(book, PRICE_MAX // 2, seed),
        "MUDA": lambda book: muda(book, seed),
        "multi-unit trade reduction": lambda book: multi_unit_trade_reduction(book, seed),
        "uniform price": uniform_price,
        "pay as bid": pay_as_bid,
    }


def draw_book(rng: Random, traders: int, quantity_max: int) -> Book:
    """Traders with values and costs uniform up to PRICE_MAX."""

    def side(name: bytes) -> tuple[Order, ...]:
        return tuple(
            Order(name + b"%d" % index, rng.randint(0, PRICE_MAX), rng.randint(1, quantity_max))
            for index in range(traders)
        )

    return Book(side(b"buyer "), side(b"seller "))


def lies_of(liar: Order) -> Lies:
    """Every price of the grid with every quantity, for one trader only."""
    grid = joint_lies(range(0, PRICE_MAX + 1, PRICE_STEP), range(1, QUANTITY_MAX + 1))

    def lies(side: Side, truth: Order) -> Iterator[Book]:
        if truth.trader == liar.trader:
            yield from grid(side, truth)

    return lies


def run_regret(seed: int, trials: int, advance: Callable[[int], None]) -> Report:
    """Return the mean gain of the best lie of one random trader, by rule and size.

    The interval says what other books would have shown; the largest is that of these.
    """
    rows: list[tuple[Cell, ...]] = []
    for traders in SIZES:
        rng = Random(f"{seed} {traders}")
        gained: dict[str, list[float]] = {name: [] for name in rules(b"")}
        for _ in range(max(trials // 10, 2)):
            book = draw_book(rng, traders, QUANTITY_MAX)
            liar = rng.choice([*book.bids, *book.asks])
            for name, rule in rules(rng.randbytes(32)).items():
                found = best_deviation([rule], book, lies_of(liar))
                gained[name].append(float(found.gain) if found else 0.0)
        rows += [
            (
                name,
                traders,
                fmean(sample) / PRICE_MAX,
                2 * stdev(sample) / len(sample) ** 0.5 / PRICE_MAX,
                max(sample) / PRICE_MAX,
            )
            for name, sample in gained.items()
        ]
        advance(1)
    table = Table(
        "regret",
        "Regret of telling the truth",
        ("rule", "traders a side", "mean gain of the best lie", "± 2 s.e.", "largest"),
        tuple(rows),
        f"In units of the highest price, in each of {max(trials // 10, 2)} books of one trader "
        f"drawn at random that knows every other report and the seed, over "
        f"{PRICE_MAX // PRICE_STEP + 1} prices by {QUANTITY_MAX} quantities, orders of 1 to "
        f"{QUANTITY_MAX} units. An interval of 0 beside a gain of 0: no book showed one.",
    )
    return Report((table,), {"regret": plot(table)})


def shade(book: Book, percent: int, rng: Random) -> Book:
    """The book with a share of traders shading: bids a fifth lower, asks a fifth nearer the top."""

    def bent(order: Order, price: int) -> Order:
        strategic = rng.randrange(100) < percent
        return Order(order.trader, price if strategic else order.price, order.quantity)

    return Book(
        tuple(bent(bid, bid.price - bid.price // SHADE) for bid in book.bids),
        tuple(bent(ask, ask.price + (PRICE_MAX - ask.price) // SHADE) for ask in book.asks),
    )


def run_strategic(seed: int, trials: int, advance: Callable[[int], None]) -> Report:
    """Return what markets gain where a share of traders shades, which pays under three rules."""
    rows: list[tuple[Cell, ...]] = []
    manipulable: dict[str, Mechanism] = {"uniform price": uniform_price, "pay as bid": pay_as_bid}
    for percent in SHARES:
        rng = Random(f"{seed} {percent}")
        books = [draw_book(rng, TRADERS, 1) for _ in range(trials)]
        bent = [shade(book, percent, rng) for book in books]
        best = sum(gains_from_trade(book, uniform_price(book)) for book in books)
        for name, rule in manipulable.items():
            got = sum(gains_from_trade(b, rule(lie)) for b, lie in zip(books, bent, strict=True))
            rows.append((name, percent, got / best))
        truthful = sum(gains_from_trade(book, mcafee(book)) for book in books)
        rows.append(("McAfee, nobody has a reason to", percent, truthful / best))
        advance(1)
    table = Table(
        "strategic",
        "Strategic shares",
        ("rule", "strategic, %", "share of the best gains"),
        tuple(rows),
        f"{TRADERS} traders a side of unit lots; a strategic one moves its price by a fifth.",
    )
    return Report((table,), {"strategic": plot_strategic(table)})


def plot_strategic(table: Table) -> Figure:
    """Return the share of the best gains over the share of strategic traders."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, style in zip(dict.fromkeys(row[0] for row in table.rows), LINES, strict=True):
        axes.plot(SHARES, [float(r[2]) for r in table.rows if r[0] == name], style, label=name)
    axes.set_xlabel("strategic traders, %")
    axes.set_ylabel("share of the best gains")
    axes.legend()
    return figure


def plot(table: Table) -> Figure:
    """Return the mean gain of the best lie over the size, with its interval."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name in rules(b""):
        rows = [row for row in table.rows if row[0] == name]
        means, errors = [float(row[2]) for row in rows], [float(row[3]) for row in rows]
        axes.errorbar(SIZES, means, errors, fmt="o-", capsize=3, label=name)
    axes.set_xlabel("traders a side")
    axes.set_ylabel("mean gain of the best lie, of the highest price")
    axes.legend()
    return figure
