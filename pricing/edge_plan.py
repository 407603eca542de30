"""Where to leave a network and where to cut it, for the least work at the edge.

Under any positive price for edge work the cheapest plan is the one of least edge rate, whatever the
price, so planning comes first and an auction over one number for each user remains.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pricing.edge_network import Cut, Network


@dataclass(frozen=True, slots=True)
class EdgeTask:
    """One user's inference: what it must reach, and what its device and uplink can do.

    Rates of work are in MFLOP/s, which is FLOP per microsecond. `complexity_milli` scales work and
    bytes of every layer, in thousandths.
    """

    accuracy_ppm: int
    deadline_us: int
    device_rate: int
    uplink_bytes_s: int
    round_trip_us: int
    complexity_milli: int = 1000

    def __post_init__(self) -> None:
        if min(self.device_rate, self.uplink_bytes_s, self.complexity_milli) < 1:
            raise ValueError("rates and complexity are positive")


@dataclass(frozen=True, slots=True)
class EdgePlan:
    """Which exit and cut to take (`cut` layers run on the device), and how long each part takes.

    `edge_rate` is the least rate in MFLOP/s that meets the deadline, rounded up; 0 on the device.
    """

    exit: int
    cut: int
    edge_rate: int
    device_us: int
    network_us: int
    edge_us: int

    @property
    def latency_us(self) -> int:
        """The predicted time from input to answer, each part rounded up."""
        return self.device_us + self.network_us + self.edge_us


def plan_edge(network: Network, task: EdgeTask) -> EdgePlan | None:
    """The plan of least edge rate that is accurate and fast enough; None if there is none.

    Ties go to the plan with more layers on the device, then to the earlier exit.
    """
    plans = [plan for plan in _plans(network, task) if plan is not None]
    return min(plans, key=lambda plan: (plan.edge_rate, -plan.cut, plan.exit), default=None)


def _plans(network: Network, task: EdgeTask) -> Iterator[EdgePlan | None]:
    for number, way_out in enumerate(network.exits):
        if way_out.accuracy_ppm >= task.accuracy_ppm:
            for place, cut in enumerate(way_out.cuts(network.input_bytes)):
                yield _plan(number, place, cut, task)


def _plan(number: int, place: int, cut: Cut, task: EdgeTask) -> EdgePlan | None:
    """The plan of one cut, None if it misses the deadline at any rate.

    Times are rounded up to a microsecond, the rate up to a MFLOP/s: a plan promises no less.
    """
    device_us = _ceil_div(task.complexity_milli * cut.head, 1000 * task.device_rate)
    if cut.tail == 0:
        fits = device_us <= task.deadline_us
        return EdgePlan(number, place, 0, device_us, 0, 0) if fits else None
    sent_us = _ceil_div(task.complexity_milli * cut.sent * 1000, task.uplink_bytes_s)
    network_us = sent_us + task.round_trip_us
    slack_us = task.deadline_us - device_us - network_us
    if slack_us <= 0:
        return None
    tail_milli = task.complexity_milli * cut.tail
    rate = _ceil_div(tail_milli, 1000 * slack_us)
    return EdgePlan(number, place, rate, device_us, network_us, _ceil_div(tail_milli, 1000 * rate))


def _ceil_div(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
