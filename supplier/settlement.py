"""What to send for each finished session at a given block; `plan` decides and is pure.

A session n is served in n, claimed in n+1, challenged by `seed(n+2)` and proved in the rest of
n+2 (protocol, section 3). A node that was down plans from its log and the chain as it finds
them, and carries on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from relay_mining import Clock, SessionKey


class Stage(Enum):
    """How far one session of this supplier has come on chain."""

    SERVED = "served"
    CLAIMED = "claimed"
    PROVED = "proved"


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session this supplier served and is not done with."""

    key: SessionKey
    stage: Stage
    value: int
    """Worth of its payable leaves, in token base units, rounded down."""
    points: int | None = None
    """Points to be proved; None until the challenge is drawn."""
    is_proof_ready: bool = True
    """False while a proof of this session is being confirmed."""


@dataclass(frozen=True, slots=True)
class RosterState:
    """Whether the next roster of a service this supplier lists is built."""

    service: bytes
    epoch: int
    is_built: bool


@dataclass(frozen=True, slots=True)
class PlanParams:
    """What of the settings and the state of the chain bears on the plan."""

    claim_delay_blocks: int
    """Blocks of n+1 left for the last receipts of n to arrive."""
    value_min: int
    """The smallest claim that covers its gas, in token base units."""
    seeds_written: frozenset[int] = frozenset()
    rosters: tuple[RosterState, ...] = ()


@dataclass(frozen=True, slots=True)
class BuildRoster:
    """Fix the roster of `epoch` before its deadline; anyone may."""

    service: bytes
    epoch: int


@dataclass(frozen=True, slots=True)
class SubmitClaims:
    """Claim these sessions, oldest first, in one transaction."""

    sessions: tuple[SessionKey, ...]


@dataclass(frozen=True, slots=True)
class WriteSeed:
    """Store `seed(number)`; a seed nobody writes counts as a missing proof."""

    number: int


@dataclass(frozen=True, slots=True)
class Prove:
    """Open the challenged leaves of one claim."""

    session: SessionKey


@dataclass(frozen=True, slots=True)
class Settle:
    """Have these claims paid, in one transaction."""

    sessions: tuple[SessionKey, ...]


@dataclass(frozen=True, slots=True)
class Abandon:
    """Stop working on a session, and say why."""

    session: SessionKey
    reason: str


Action = BuildRoster | SubmitClaims | WriteSeed | Prove | Settle | Abandon

NOTHING_PAYABLE = "no payable relay"
BELOW_GAS = "worth less than the gas of claiming it"
CLAIM_MISSED = "claim window missed"
PROOF_MISSED = "proof window missed"


def plan(
    sessions: Iterable[OpenSession], block: int, clock: Clock, params: PlanParams
) -> list[Action]:
    """List what to send in `block`: rosters, seeds, proofs, settlements, then claims."""
    ordered = sorted(sessions, key=lambda each: (each.key.number, each.key.id))
    actions: list[Action] = _rosters(params.rosters, block, clock)
    actions += _seeds(ordered, block, clock, params.seeds_written)
    actions += _proofs(ordered, block, clock, params.seeds_written)
    actions += _settlements(ordered, block, clock, params.seeds_written)
    actions += _claims(ordered, block, clock, params)
    return actions


def is_roster_window(epoch: int, block: int, clock: Clock) -> bool:
    """Whether the roster of `epoch` may be built in `block` (protocol, section 3)."""
    first = epoch * clock.epoch_sessions
    return clock.start(first - clock.epoch_sessions) <= block < clock.start(first - 1)


def _rosters(rosters: Iterable[RosterState], block: int, clock: Clock) -> list[Action]:
    return [
        BuildRoster(each.service, each.epoch)
        for each in rosters
        if not each.is_built and is_roster_window(each.epoch, block, clock)
    ]


def _seeds(
    ordered: Sequence[OpenSession], block: int, clock: Clock, written: frozenset[int]
) -> list[Action]:
    due = {
        each.key.number + 2
        for each in ordered
        if each.stage is not Stage.SERVED and block in clock.proof_window(each.key.number)
    }
    return [WriteSeed(number) for number in sorted(due - written)]


def _proofs(
    ordered: Sequence[OpenSession], block: int, clock: Clock, written: frozenset[int]
) -> list[Action]:
    actions: list[Action] = []
    for each in ordered:
        if each.stage is not Stage.CLAIMED or not _needs_proof(each, written):
            continue
        window = clock.proof_window(each.key.number)
        if block >= window.closes:
            actions.append(Abandon(each.key, PROOF_MISSED))
        elif block in window and each.points and each.is_proof_ready:
            actions.append(Prove(each.key))
    return actions


def _needs_proof(session: OpenSession, written: frozenset[int]) -> bool:
    """A challenge not drawn, or a seed never written, counts as a proof that is missing."""
    return session.points != 0 or session.key.number + 2 not in written


def _settlements(
    ordered: Sequence[OpenSession], block: int, clock: Clock, written: frozenset[int]
) -> list[Action]:
    ready = tuple(
        each.key
        for each in ordered
        if each.key.number + 2 in written
        and block >= clock.proof_window(each.key.number).opens
        and (
            each.stage is Stage.PROVED or (each.stage is Stage.CLAIMED and each.points == 0)
        )
    )
    return [Settle(ready)] if ready else []


def _claims(
    ordered: Sequence[OpenSession], block: int, clock: Clock, params: PlanParams
) -> list[Action]:
    actions: list[Action] = []
    ready: list[SessionKey] = []
    for each in ordered:
        if each.stage is not Stage.SERVED:
            continue
        window = clock.claim_window(each.key.number)
        if block >= window.closes:
            actions.append(Abandon(each.key, CLAIM_MISSED))
        elif block < window.opens + params.claim_delay_blocks:
            continue
        elif each.value == 0:
            actions.append(Abandon(each.key, NOTHING_PAYABLE))
        elif each.value < params.value_min:
            actions.append(Abandon(each.key, BELOW_GAS))
        else:
            ready.append(each.key)
    return [*actions, SubmitClaims(tuple(ready))] if ready else actions
