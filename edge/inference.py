"""One inference on a device: planned, run up to the cut, finished by whoever runs the tail."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from edge.layers import Floats
from edge.network import MultiExitNetwork
from edge.split import parse_answer, run_head
from pricing import EdgePlan, EdgeTask, plan_edge

Tail: TypeAlias = Callable[[bytes], bytes]
"""Runs the rest of a network: an activation message in, an answer out."""


class NoPlanError(Exception):
    """No exit and cut is accurate enough within the deadline."""


@dataclass(frozen=True, slots=True, eq=False)
class Inference:
    """The answer of an exit and the plan it was reached by."""

    plan: EdgePlan
    answer: Floats

    @property
    def label(self) -> int:
        """The class with the largest number."""
        return int(self.answer.argmax())


def infer(network: MultiExitNetwork, task: EdgeTask, pixels: bytes, tail: Tail) -> Inference:
    """The answer that the task's plan leads to, the tail called only if the plan leaves the device.

    Raises NoPlanError if no plan serves the task, ValueError for a wrong input or answer.
    """
    plan = plan_edge(network.profile(), task)
    if plan is None:
        raise NoPlanError("no plan meets this accuracy within this deadline")
    if plan.edge_rate == 0:
        return Inference(plan, network.run(pixels, plan.exit))
    answer = tail(run_head(network, plan.exit, plan.cut, pixels))
    return Inference(plan, parse_answer(network, plan.exit, answer))
