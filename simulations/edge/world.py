"""Devices that want an inference of a known network, and the auction of one round among them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from random import Random

from pricing import (
    WORD,
    Book,
    EdgeOffer,
    EdgePlan,
    EdgeTask,
    Exit,
    Fill,
    Ladder,
    Layer,
    Network,
    Order,
    Outcome,
    admit,
    aeria_envy_free,
    aeria_posted,
    aeria_truthful,
    best_base,
    best_revenue,
    edge_sampled_price,
    half_capacity_vickrey,
    plan_edge,
)

DATA = Path(__file__).parents[1] / "data" / "dnn_profiles.json"
PPM = 10**6
VALUE_MEAN = 1_000_000
"""Token base units that a device on average gives for an inference."""
LARGEST_USER = 4
"""A user is taken for at most so many times an even part of the demand; it fixes the base."""

Auction = Callable[[Book, EdgeOffer, Random], Outcome]


def load_networks() -> dict[str, Network]:
    """Layer profiles by name: work in FLOP, outputs in bytes, accuracies as published."""
    return {name: _read(each) for name, each in json.loads(DATA.read_text()).items()}


@dataclass(frozen=True, slots=True)
class Crowd:
    """What comes of some tasks: plans that need the edge, and how many need none or cannot be."""

    plans: tuple[EdgePlan, ...]
    on_device: int
    impossible: int


def draw_task(rng: Random, network: Network) -> EdgeTask:
    """A task whose device alone would take a fifth of its deadline to five times of it.

    Deadlines of 50 to 500 ms, uplinks of 1 to 100 MB/s, round trips of 2 to 40 ms; any of the
    network's accuracies is asked for.
    """
    deadline_us = rng.randint(50_000, 500_000)
    largest = max(sum(layer.work for layer in each.layers) for each in network.exits)
    slowness = 5 ** rng.uniform(-1, 1)
    return EdgeTask(
        accuracy_ppm=rng.choice(network.exits).accuracy_ppm,
        deadline_us=deadline_us,
        device_rate=max(1, int(largest / deadline_us / slowness)),
        uplink_bytes_s=int(10 ** rng.uniform(6, 8)),
        round_trip_us=rng.randint(2_000, 40_000),
    )


def plan_crowd(rng: Random, network: Network, users: int) -> Crowd:
    """The plans of a crowd's tasks."""
    plans = [plan_edge(network, draw_task(rng, network)) for _ in range(users)]
    found = [each for each in plans if each is not None]
    at_edge = tuple(each for each in found if each.edge_rate > 0)
    return Crowd(at_edge, len(found) - len(at_edge), users - len(found))


def draw_book(rng: Random, crowd: Crowd) -> Book:
    """A bid for each plan, its value exponential."""
    return Book(
        tuple(
            Order(index.to_bytes(4, "big"), int(rng.expovariate(1 / VALUE_MEAN)), plan.edge_rate)
            for index, plan in enumerate(crowd.plans)
        )
    )


def make_offer(book: Book, capacity_ppm: int) -> EdgeOffer:
    """A share of the rate that is asked for, no user taken for more than its largest part."""
    asked = sum(bid.quantity for bid in book.bids)
    capacity = max(1, asked * capacity_ppm // PPM)
    return EdgeOffer(capacity, 0, max(1, min(capacity, LARGEST_USER * asked // len(book.bids))))


def best_single_price(book: Book, offer: EdgeOffer) -> int:
    """What one unit price raises at most from those who fit."""
    return best_revenue(admit(book.bids, offer).orders)


def posted(price: Fraction) -> Auction:
    """Everybody is offered one unit price, those of highest value for a unit first."""

    def sell(book: Book, offer: EdgeOffer, rng: Random) -> Outcome:
        fills = []
        for order in admit(book.bids, offer).orders:
            money = -(-price.numerator * order.quantity // price.denominator)
            if order.price >= money:
                fills.append(Fill(order.trader, order.quantity, money))
        return Outcome(bought=tuple(fills))

    return sell


def learn_price(books: list[tuple[Book, EdgeOffer]]) -> Fraction:
    """The unit price that would have raised most in past rounds."""
    past = [admit(book.bids, offer).orders for book, offer in books]
    densities = {Fraction(each.price, each.quantity) for orders in past for each in orders}

    def raised(price: Fraction) -> Fraction:
        return sum(
            (
                price * e.quantity
                for orders in past
                for e in orders
                if e.price >= price * e.quantity
            ),
            Fraction(0),
        )

    return max(densities, key=raised)


def ladder(rng: Random, book: Book) -> Ladder:
    """A ladder whose base is fixed by the number of users, its offset drawn."""
    return Ladder(best_base(1 + Fraction(LARGEST_USER, len(book.bids))), rng.randrange(WORD))


AUCTIONS: dict[str, Auction] = {
    "AERIA-E": lambda book, offer, rng: aeria_envy_free(book, offer, ladder(rng, book)),
    "AERIA-T": lambda book, offer, rng: aeria_truthful(book, offer, ladder(rng, book)),
    "AERIA-P": lambda book, offer, rng: aeria_posted(book, offer, ladder(rng, book)),
    "RSOP": lambda book, offer, rng: edge_sampled_price(book, offer, rng.randbytes(32)),
    "half-capacity Vickrey": lambda book, offer, rng: half_capacity_vickrey(book, offer),
}


def _read(profile: dict[str, object]) -> Network:
    exits = profile["exits"]
    assert isinstance(exits, list)
    return Network(
        int(str(profile["in_bytes"])),
        tuple(
            Exit(round(each["acc"] * PPM), tuple(Layer(*layer) for layer in each["layers"]))
            for each in exits
        ),
    )
