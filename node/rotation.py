"""Changing the operator key at a session boundary, without a relay or a claim lost. Pure.

The order is what makes it safe: the node holds the new key before the chain names it, and the old
one until the boundary is past. Each step that is done is left as it is, so that a rotation that was
cut off goes on where it stopped.
"""

from dataclasses import dataclass
from enum import Enum

from relay_mining import Address, Clock

BLOCKS_BEFORE_END = 3
"""A change in the last blocks of a session could be seen too late to sign the next one's relays."""


class Step(Enum):
    """What is to be done next."""

    MAKE_KEY = "make the new key"
    LOAD_KEY = "have the running node hold the new key"
    WAIT_FOR_SESSION = "wait for the next session: this one is about to end"
    RECORD = "record the new key on the chain"
    WAIT_FOR_BOUNDARY = "wait for the session in which it counts"
    FINISH = "let go of the old key"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class RotationState:
    """How far a rotation is."""

    upcoming: Address | None
    """The key that the settings name next; None where there is none."""
    held: tuple[Address, ...] | None
    """Keys that the running node holds; None where none runs."""
    now: Address | None
    """On record for the running session."""
    later: Address | None
    """On record for the next one."""
    head: int


def next_step(state: RotationState, clock: Clock) -> Step:
    """What a rotation needs now."""
    if state.upcoming is None:
        return Step.MAKE_KEY
    if state.now == state.upcoming:
        return Step.FINISH
    if state.held is not None and state.upcoming not in state.held:
        return Step.LOAD_KEY
    if state.later == state.upcoming:
        return Step.WAIT_FOR_BOUNDARY
    number = clock.session_at(state.head)
    if clock.start(number + 1) - state.head <= BLOCKS_BEFORE_END:
        return Step.WAIT_FOR_SESSION
    return Step.RECORD
