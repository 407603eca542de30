"""What a task comes to in a session: its plan, its units, and what they cost at the asks; pure."""

from dataclasses import dataclass, replace

from edge import TailUse, count_tail
from gateway.edge.terms import EdgeTerms
from gateway.errors import InsufficientFundsError, NoPlanError
from gateway.routing.costs import cost_of
from gateway.routing.sessions import Session
from pricing import EdgePlan, EdgeTask, Network, plan_edge

DEVICE_ONLY = TailUse(0, 0)


@dataclass(frozen=True, slots=True)
class Quote:
    """A task's plan and what its tail takes; nothing where it stays on the device."""

    plan: EdgePlan
    use: TailUse
    units: int
    cost: int
    """Token base units at the most that a unit may cost, rounded up."""
    price_max: int
    """Token base units for a million units, beyond which no member is asked."""

    @property
    def tokens(self) -> int:
        """What a key's limits count it as."""
        return self.use.input_bytes + self.use.work_kflop


def quote(
    session: Session, terms: EdgeTerms, task: EdgeTask, relay_us: int, price_max: int
) -> Quote:
    """The plan of a task whose tail is relayed, `relay_us` on top of its own round trip.

    Raises NoPlanError with the reason, or InsufficientFundsError where no slice covers the relay.
    """
    plan = find_plan(terms, task, relay_us)
    if plan.edge_rate == 0:
        return Quote(plan, DEVICE_ONLY, 0, 0, price_max)
    use = count_tail(terms.network, plan.exit, plan.cut)
    units = max(session.service.weights.worst_case(use.input_bytes, use.work_kflop), 1)
    if all(units > each.terms.slice_units for each in session.members):
        raise InsufficientFundsError(
            f"the tail takes {units} units, more than a session's slice; delegate a higher cap"
        )
    return Quote(plan, use, units, cost_of(units, price_max), price_max)


def find_plan(terms: EdgeTerms, task: EdgeTask, relay_us: int) -> EdgePlan:
    """The plan of least edge rate that one supplier can give; NoPlanError says why there is none.

    A task that its device finishes in time is not slowed by the relay's overhead.
    """
    relayed = replace(task, round_trip_us=task.round_trip_us + relay_us)
    plan = plan_edge(terms.network, relayed)
    if plan is None:
        raise NoPlanError(_explain(terms.network, relayed))
    if plan.edge_rate > terms.rate:
        raise NoPlanError(
            f"the least plan needs {plan.edge_rate} MFLOP/s at the edge, and a supplier gives "
            f"{terms.rate}: allow more time, or ask for less accuracy",
            param="deadline_us",
        )
    return plan


def _explain(network: Network, task: EdgeTask) -> str:
    best = max(each.accuracy_ppm for each in network.exits)
    if best < task.accuracy_ppm:
        return f"no exit is right in {task.accuracy_ppm} millionths; the most accurate in {best}"
    return (
        f"no cut meets {task.deadline_us} us: device, upload and a round trip of "
        f"{task.round_trip_us} us, the relay's own time in it, leave none for the edge"
    )
