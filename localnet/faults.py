"""What may go wrong in a run, and a seeded schedule of it. Pure: `chaos` performs it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random

REORG_DEPTH_MAX = 3
FEES_GWEI = (10, 100)
"""Many times what an idle local chain asks, and within what nodes pay at most."""


class Kind(Enum):
    """One thing that is done to the market."""

    KILL_SUPPLIER = "kill a supplier"
    KILL_GATEWAY = "kill the gateway"
    KILL_SUPPLIER_AFTER_ANSWER = "kill a supplier after an answer"
    KILL_GATEWAY_AFTER_ANSWER = "kill the gateway after an answer"
    STALL = "stop a node, then continue it"
    SKEW = "a node's clock is off"
    RPC_REFUSE = "RPC refuses"
    RPC_STALL = "RPC stalls"
    RPC_CUT = "RPC cut within answers"
    RPC_SLOW = "RPC slow"
    REORG = "reorganisation"
    DROP = "transactions dropped"
    UNDERPRICE = "base fee raised"


KILLS = tuple(each for each in Kind if each.name.startswith("KILL"))
RPC_FAULTS = tuple(each for each in Kind if each.name.startswith("RPC"))
CHAIN_FAULTS = (*RPC_FAULTS, Kind.REORG, Kind.DROP, Kind.UNDERPRICE)

SECONDS = {Kind.STALL: (1.0, 6.0), Kind.SKEW: (10.0, 30.0)}
SKEW_S = (-400.0, 400.0)
"""From beyond what suppliers refuse by default, 120 s behind and 180 s ahead, to well within."""
SECONDS_OF_CHAIN_FAULTS = (2.0, 12.0)
"""From less to more than the ten seconds that nodes give an endpoint for an answer."""


@dataclass(frozen=True, slots=True)
class Injection:
    """One kill or fault of a schedule."""

    after_s: float
    """Seconds after the one before."""
    kind: Kind
    victim: int
    """The number of a supplier; of all nodes for a stall and a skew, the gateway being the last."""
    seconds: float
    """How long it lasts, where it does."""
    depth: int
    """Blocks replaced by a reorganisation."""
    fee_gwei: int
    """The base fee it is raised to."""
    skew_s: float
    """Seconds added to a node's clock."""


def plan_injections(
    seed: int, *, kills: int, faults: int, stalls: int, skews: int, suppliers: int, gap_s: float
) -> list[Injection]:
    """A schedule, the same for the same arguments: every kind in its turn, in random order.

    Gaps are exponential with the mean `gap_s`. Of three kills one is the gateway's.
    """
    random = Random(seed)  # a simulation's seed, not a secret
    kinds = [
        *_in_turn(_KILLS_BY_SHARE, kills), *_in_turn(CHAIN_FAULTS, faults), *[Kind.STALL] * stalls,
        *[Kind.SKEW] * skews,
    ]  # fmt: skip
    random.shuffle(kinds)
    return [_draw(random, kind, suppliers, gap_s) for kind in kinds]


_KILLS_BY_SHARE = (
    Kind.KILL_SUPPLIER, Kind.KILL_GATEWAY, Kind.KILL_SUPPLIER_AFTER_ANSWER, Kind.KILL_SUPPLIER,
    Kind.KILL_GATEWAY_AFTER_ANSWER, Kind.KILL_SUPPLIER,
)  # fmt: skip


def _in_turn(kinds: Sequence[Kind], count: int) -> list[Kind]:
    return [kinds[number % len(kinds)] for number in range(count)]


def _draw(random: Random, kind: Kind, suppliers: int, gap_s: float) -> Injection:
    victims = suppliers + 1 if kind in (Kind.STALL, Kind.SKEW) else suppliers
    return Injection(
        after_s=random.expovariate(1 / gap_s),
        kind=kind,
        victim=random.randrange(victims),
        seconds=random.uniform(*SECONDS.get(kind, SECONDS_OF_CHAIN_FAULTS)),
        depth=random.randint(1, REORG_DEPTH_MAX),
        fee_gwei=random.randint(*FEES_GWEI),
        skew_s=random.uniform(*SKEW_S),
    )
