"""What to send for each finished session at a given block; `plan` decides and is pure.

A session n is served in n, claimed in n+1, challenged by `seed(n+2)` and proved in the rest of
n+2 (protocol, section 3). A node that was down plans from its log and the chain as it finds
them, and carries on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from contracts import BATCH_MAX
from relay_mining import Clock, Hash32, SessionKey, Window


class Stage(Enum):
    """How far one session of this supplier has come on chain."""

    SERVED = "served"
    CLAIMED = "claimed"


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session this supplier served and is not done with."""

    key: SessionKey
    stage: Stage
    value: int
    """Worth of its payable leaves less the shares of others, in token base units, rounded down."""
    points: int | None = None
    """Points to be proved; None until the challenge can be known, and once its seed is lost."""
    is_owed: bool = False
    """Whether relays of it are still served, or receipts for them are due in time."""


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
    rosters: tuple[RosterState, ...] = ()
    claim_patience_blocks: int = 0
    """Blocks of n+1 after which a session is claimed whose last receipts have not come."""
    claimable: int = 0
    """What the payout address can collect, in token base units."""
    collect_min: int = 0
    """Collect from this on; 0 is never."""


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
    """Keep `seed(number)` for good.

    Proving and settling keep it by the way; this is for claims that could not be settled in their
    window, since a seed that the chain's history forgets counts as a missing proof.
    """

    number: int


@dataclass(frozen=True, slots=True)
class Prove:
    """Open the challenged leaves of one claim, which pays it."""

    session: SessionKey


@dataclass(frozen=True, slots=True)
class Settle:
    """Have these claims, which need no proof, paid in one transaction."""

    sessions: tuple[SessionKey, ...]


@dataclass(frozen=True, slots=True)
class Abandon:
    """Stop working on a session, and say why."""

    session: SessionKey
    reason: str


@dataclass(frozen=True, slots=True)
class Collect:
    """Pull what was earned to the payout address."""

    amount: int


Action = BuildRoster | SubmitClaims | WriteSeed | Prove | Settle | Abandon | Collect

Subject = SessionKey | tuple[Hash32, int] | int | str

NOTHING_PAYABLE = "no payable relay"
BELOW_GAS = "worth less than the gas of claiming it"
CLAIM_MISSED = "claim window missed"


def plan(
    sessions: Iterable[OpenSession], block: int, clock: Clock, params: PlanParams
) -> list[Action]:
    """List what to send in `block`, what costs most to lose first: a proof, whose want takes the
    bond too, before a claim, as the windows of both close with the running session.
    """
    ordered = sorted(sessions, key=lambda each: (each.key.number, each.key.id))
    served = [each for each in ordered if each.stage is Stage.SERVED]
    claimed = [each for each in ordered if each.stage is Stage.CLAIMED]
    return [
        *_proofs(claimed, block, clock),
        *_seeds(claimed, block, clock),
        *_settlements(claimed, block, clock),
        *_claims(served, block, clock, params),
        *_rosters(params.rosters, block, clock),
        *_collections(params),
    ]


def subjects(action: Action) -> frozenset[Subject]:
    """What an action is about; two that share a subject are never under way at once."""
    match action:
        case SubmitClaims(sessions) | Settle(sessions):
            return frozenset(sessions)
        case Prove(session) | Abandon(session):
            return frozenset((session,))
        case WriteSeed(number):
            return frozenset((number,))
        case BuildRoster(service, epoch):
            return frozenset(((service, epoch),))
        case Collect():
            return frozenset(("earnings",))


def last_block(action: Action, clock: Clock) -> int | None:
    """The last block in which an action is of use; None for one that no window bounds."""
    match action:
        case SubmitClaims(sessions):
            return clock.claim_window(sessions[0].number).closes - 1
        case Prove(session):
            return clock.proof_window(session.number).closes - 1
        case WriteSeed(number):
            return clock.seed_window(number).closes - 1
        case BuildRoster(_, epoch):
            return clock.roster_window(epoch).closes - 1
        case _:
            return None


def is_roster_due(epoch: int, block: int, clock: Clock) -> bool:
    """Whether the roster of `epoch` should be built in `block`: the later half of its window.

    Later asks and stakes still count in the earlier half; whoever builds last decides.
    """
    window = clock.roster_window(epoch)
    return block in window and block >= (window.opens + window.closes) // 2


def _rosters(rosters: Iterable[RosterState], block: int, clock: Clock) -> list[Action]:
    return [
        BuildRoster(each.service, each.epoch)
        for each in rosters
        if not each.is_built and is_roster_due(each.epoch, block, clock)
    ]


def _proofs(claimed: Sequence[OpenSession], block: int, clock: Clock) -> list[Action]:
    actions: list[Action] = []
    for each in claimed:
        window = clock.proof_window(each.key.number)
        if each.points and block in window:
            actions.append(Prove(each.key))
    return actions


def _seeds(claimed: Sequence[OpenSession], block: int, clock: Clock) -> list[Action]:
    late = {
        each.key.number + 2
        for each in claimed
        if each.points == 0
        and block >= clock.proof_window(each.key.number).closes
        and block in clock.seed_window(each.key.number + 2)
    }
    return [WriteSeed(number) for number in sorted(late)]


def _settlements(claimed: Sequence[OpenSession], block: int, clock: Clock) -> list[Action]:
    """Claims that need no proof are paid; one whose proof was missed is void, and until that is
    settled its slot takes no other."""
    ready = tuple(
        each.key for each in claimed if _is_due(each, clock.proof_window(each.key.number), block)
    )
    return [Settle(batch) for batch in _batches(ready)]


def _is_due(session: OpenSession, window: Window, block: int) -> bool:
    return block >= (window.opens if session.points == 0 else window.closes)


def _claims(
    served: Sequence[OpenSession], block: int, clock: Clock, params: PlanParams
) -> list[Action]:
    actions: list[Action] = []
    ready: list[SessionKey] = []
    for each in served:
        window = clock.claim_window(each.key.number)
        if block >= window.closes:
            actions.append(Abandon(each.key, CLAIM_MISSED))
        elif block < window.opens + _wait(each, params):
            continue
        elif each.value == 0:
            actions.append(Abandon(each.key, NOTHING_PAYABLE))
        elif each.value < params.value_min:
            actions.append(Abandon(each.key, BELOW_GAS))
        else:
            ready.append(each.key)
    return [*actions, *(SubmitClaims(batch) for batch in _batches(ready))]


def _wait(session: OpenSession, params: PlanParams) -> int:
    """Blocks of the claim window to let pass: a claim made later is paid no later."""
    patience = params.claim_patience_blocks if session.is_owed else 0
    return max(params.claim_delay_blocks, patience)


def _collections(params: PlanParams) -> list[Action]:
    if params.collect_min and params.claimable >= params.collect_min:
        return [Collect(params.claimable)]
    return []


def _batches(keys: Sequence[SessionKey]) -> list[tuple[SessionKey, ...]]:
    """`keys` in runs of what one transaction takes."""
    return [tuple(keys[at : at + BATCH_MAX]) for at in range(0, len(keys), BATCH_MAX)]
