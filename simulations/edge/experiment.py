"""Where plans cut four networks, and what each auction earns from the users that need the edge."""

from collections.abc import Callable, Sequence
from random import Random
from statistics import mean, stdev

from matplotlib.figure import Figure

from pricing import Network
from simulations.edge.world import (
    AUCTIONS,
    PPM,
    best_single_price,
    draw_book,
    learn_price,
    load_networks,
    make_offer,
    plan_crowd,
    posted,
)
from simulations.report import Cell, Report, Table

USERS = 40
CAPACITIES_PPM = (PPM, PPM // 2)
POSTED = "posted price"
PAST_ROUNDS = 5
NAMES = ("alexnet", "vgg16", "resnet18", "mobilenetv1")
STEPS = len(NAMES) * (1 + len(CAPACITIES_PPM))


def run_edge(seed: int, trials: int, advance: Callable[[int], None]) -> Report:
    """Plans by network, and the revenue of each auction by network and capacity."""
    networks = load_networks()
    planned, earned = [], []
    for name in NAMES:
        planned.append(_plan_row(Random(f"{seed} {name}"), name, networks[name], trials))
        advance(1)
        for capacity in CAPACITIES_PPM:
            rng = Random(f"{seed} {name} {capacity}")
            earned.append((name, capacity // 10_000, *_earn(rng, networks[name], capacity, trials)))
            advance(1)
    plans = Table(
        "edge-plans", "Where plans cut",
        ("network", "on the device, %", "at the edge, %", "impossible, %", "whole at the edge, %",
         "layers on the device, %", "early exit, %"),
        tuple(planned),
        f"Of {trials} crowds of {USERS} devices each. The last three are of the plans that need "
        "the edge: those cut before the first layer, the mean share of layers before the cut, and "
        "those that leave before the last exit.",
    )  # fmt: skip
    revenue = Table(
        "edge-revenue", "Revenue of edge auctions",
        ("network", "capacity, %", *AUCTIONS, POSTED, "± 2 s.e."),
        tuple(earned),
        "Mean share of the best single price's revenue from those who fit, truthful bids, values "
        "exponential; capacity in percent of the rate that is asked for. The posted price is the "
        f"one that would have raised most in {PAST_ROUNDS} past rounds of the same crowd. The "
        "error is the largest of the row.",
    )  # fmt: skip
    return Report(
        (plans, revenue), {"edge-plans": _plot_plans(plans), "edge-revenue": _plot(revenue)}
    )


def _plan_row(rng: Random, name: str, network: Network, trials: int) -> tuple[Cell, ...]:
    crowds = [plan_crowd(rng, network, USERS) for _ in range(trials)]
    plans = [plan for crowd in crowds for plan in crowd.plans]
    everybody = trials * USERS
    depth = [plan.cut / len(network.exits[plan.exit].layers) for plan in plans]
    last = len(network.exits) - 1
    return (
        name,
        100 * sum(crowd.on_device for crowd in crowds) / everybody,
        100 * len(plans) / everybody,
        100 * sum(crowd.impossible for crowd in crowds) / everybody,
        100 * mean(plan.cut == 0 for plan in plans),
        100 * mean(depth),
        100 * mean(plan.exit < last for plan in plans),
    )


def _earn(rng: Random, network: Network, capacity: int, trials: int) -> Sequence[Cell]:
    shares: dict[str, list[float]] = {name: [] for name in (*AUCTIONS, POSTED)}
    for _ in range(trials):
        crowd = plan_crowd(rng, network, USERS)
        rounds = [draw_book(rng, crowd) for _ in range(PAST_ROUNDS + 1)]
        sold = [(book, make_offer(book, capacity)) for book in rounds if book.bids]
        if len(sold) <= PAST_ROUNDS:
            continue
        book, offer = sold[-1]
        best = best_single_price(book, offer)
        rules = {**AUCTIONS, POSTED: posted(learn_price(sold[:-1]))}
        for name, sell in rules.items():
            shares[name].append(sell(book, offer, rng).paid / best if best else 1.0)
    means = [mean(each) for each in shares.values()]
    error = max(2 * stdev(each) / len(each) ** 0.5 for each in shares.values())
    return (*means, error)


def _plot_plans(table: Table) -> Figure:
    """Return where each network's inferences run, in percent."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    left = [0.0] * len(table.rows)
    for place in (1, 2, 3):
        parts = [float(row[place]) for row in table.rows]
        axes.barh(NAMES, parts, left=left, label=table.columns[place])
        left = [low + part for low, part in zip(left, parts, strict=True)]
    axes.set_xlabel("% of the tasks")
    axes.legend()
    return figure


def _plot(table: Table) -> Figure:
    """Return what each auction earns from each network, ample capacity over scarce."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    panels = figure.subplots(len(CAPACITIES_PPM), 1, sharex=True, sharey=True)
    rules = table.columns[2:-1]
    width = 1 / (len(rules) + 1)
    for axes, capacity in zip(panels, CAPACITIES_PPM, strict=True):
        rows = [row for row in table.rows if row[1] == capacity // 10_000]
        for place, rule in enumerate(rules):
            shares = [float(row[2 + place]) for row in rows]
            axes.bar([x + place * width for x in range(len(rows))], shares, width, label=rule)
        axes.set_title(f"capacity {capacity // 10_000} %")
        axes.set_ylabel("share of the best price")
    panels[-1].set_xticks([x + width * len(rules) / 2 for x in range(len(NAMES))], NAMES)
    panels[0].legend(fontsize="small", ncols=3)
    return figure
