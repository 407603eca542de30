"""A rotation carried to its end, step by step, for the command of either node."""

import asyncio
import time
from typing import Protocol

from node.errors import OperatorError
from node.output import Output
from node.rotation import RotationState, Step, next_step
from relay_mining import Address, Clock

POLL_S = 0.5


class KeyChange(Protocol):
    """What the steps of a rotation are at one node."""

    program: str
    """What serves with the key, and is told of the new one."""

    async def state(self) -> RotationState:
        """How far it is, from settings, node and chain."""

    def make_key(self) -> None:
        """A new keystore beside the settings, named in them."""

    async def record(self, upcoming: Address) -> None:
        """Give the new key its gas, and put it on record from the next session on."""

    def finish(self) -> None:
        """The new key takes the place of the old one in the settings."""


async def change_key(
    change: KeyChange, clock: Clock, output: Output, wait_s: float
) -> tuple[Address, int]:
    """The new key and the session it is first in office in, once nothing is left to do.

    Raises OperatorError where node or session keep it waiting longer than `wait_s`; begun again,
    it goes on where it stopped.
    """
    deadline = time.monotonic() + wait_s
    said: Step | None = None
    while True:
        state = await change.state()
        step = next_step(state, clock)
        if step is not said:
            output.line(_describe(step, change.program))
        said = step
        match state.upcoming, step:
            case None, _:
                change.make_key()
            case upcoming, Step.RECORD:
                await change.record(upcoming)
            case upcoming, Step.FINISH:
                change.finish()
                return upcoming, clock.session_at(state.head)
            case _:
                if time.monotonic() > deadline:
                    raise OperatorError(
                        f"still to do: {_describe(step, change.program)}; run this again"
                    )
                await asyncio.sleep(POLL_S)


def _describe(step: Step, program: str) -> str:
    how = f": send SIGHUP to `{program}`" if step is Step.LOAD_KEY else ""
    return step.value + how
