"""The edge planner for many users at once, equal to `plan_edge` for each."""

from dataclasses import dataclass

import numpy as np

from pricing.edge_network import Cut, Network
from pricing.large_books import Integers, require_product

UNSERVED = -1
"""The exit of a user whom no plan serves."""


@dataclass(frozen=True, slots=True)
class EdgeTasks:
    """The fields of `EdgeTask`, one array each, of equal lengths."""

    accuracy_ppm: Integers
    deadline_us: Integers
    device_rate: Integers
    uplink_bytes_s: Integers
    round_trip_us: Integers
    complexity_milli: Integers


@dataclass(frozen=True, slots=True)
class EdgePlans:
    """The exit, the cut and the edge rate of each user; exit `UNSERVED` where there is no plan."""

    exits: Integers
    cuts: Integers
    edge_rates: Integers


def large_plan_edge(network: Network, tasks: EdgeTasks) -> EdgePlans:
    """The plan of least edge rate for every user, with the ties of `plan_edge`.

    Work and bytes times complexity must stay below 2^63 / 1000 (InvalidBookError).
    """
    _require_sizes(network, tasks)
    count = len(tasks.deadline_us)
    none = np.iinfo(np.int64).max
    best = EdgePlans(
        np.full(count, UNSERVED, np.int64), np.zeros(count, np.int64), np.full(count, none)
    )
    for place, number, accuracy_ppm, cut in _most_on_device_first(network):
        rates = np.where(tasks.accuracy_ppm <= accuracy_ppm, _rates(cut, tasks, none), none)
        better = rates < best.edge_rates
        best.exits[better] = number
        best.cuts[better] = place
        best.edge_rates[better] = rates[better]
    best.edge_rates[best.exits == UNSERVED] = 0
    return best


def _most_on_device_first(network: Network) -> list[tuple[int, int, int, Cut]]:
    """Place, exit, accuracy and cut, in the order in which ties are decided."""
    found = [
        (place, number, way_out.accuracy_ppm, cut)
        for number, way_out in enumerate(network.exits)
        for place, cut in enumerate(way_out.cuts(network.input_bytes))
    ]
    return sorted(found, key=lambda each: (-each[0], each[1]))


def _rates(cut: Cut, tasks: EdgeTasks, none: int) -> Integers:
    """The edge rate that a cut needs, `none` where it misses the deadline."""
    device_us = -(-tasks.complexity_milli * cut.head // (1000 * tasks.device_rate))
    if cut.tail == 0:
        return np.where(device_us <= tasks.deadline_us, 0, none)
    sent_us = -(-tasks.complexity_milli * (cut.sent * 1000) // tasks.uplink_bytes_s)
    slack_us = tasks.deadline_us - device_us - sent_us - tasks.round_trip_us
    rates = -(-tasks.complexity_milli * cut.tail // (1000 * np.maximum(slack_us, 1)))
    return np.where(slack_us > 0, rates, none)


def _require_sizes(network: Network, tasks: EdgeTasks) -> None:
    cuts = [cut for way_out in network.exits for cut in way_out.cuts(network.input_bytes)]
    largest = max((max(cut.head + cut.tail, cut.sent) for cut in cuts), default=0)
    require_product(1000 * largest, int(tasks.complexity_milli.max(initial=0)))
