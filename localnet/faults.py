"""What may go wrong in a run, and a seeded schedule of it. Pure: `chaos` performs it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from random import Random

REORG_DEPTH_MAX = 3
FEES_GWEI = (10, 100)
"""Many times what an idle local chain asks, and within what nodes pay at most."""


class Kind(Enum):
    """One thing that is done to the market."""

    KILL_SUPPLIER = "kill a supplier"
    KILL_GATEWAY = "kill the gateway"
    KILL_ENGINE = "kill an engine"
    KILL_SUPPLIER_AFTER_ANSWER = "kill a supplier after an answer"
    KILL_GATEWAY_AFTER_ANSWER = "kill the gateway after an answer"
    KILL_SERVER = "kill a relay server"
    KILL_SERVER_AFTER_ANSWER = "kill a relay server after an answer"
    KILL_DATABASE = "kill the database"
    CUT_DATABASE = "a node's way to the database breaks"
    HOLD_DATABASE = "a node's way to the database is silent"
    CUT_SERVER = "the gateway's way to a relay server breaks"
    HOLD_SERVER = "the gateway's way to a relay server is silent"
    OVERTAKE_SERVER = "on the gateway's way to a relay server messages overtake each other"
    STALL = "stop a node, then continue it"
    SKEW = "a node's clock is off"
    RPC_REFUSE = "RPC refuses"
    RPC_STALL = "RPC stalls"
    RPC_CUT = "RPC cut within answers"
    RPC_SLOW = "RPC slow"
    RPC_OVERTAKE = "RPC answers overtake each other"
    REORG = "reorganisation"
    DROP = "transactions dropped"
    UNDERPRICE = "base fee raised"


KILLS = tuple(each for each in Kind if each.name.startswith("KILL"))
RPC_FAULTS = tuple(each for each in Kind if each.name.startswith("RPC"))
CHAIN_FAULTS = (*RPC_FAULTS, Kind.REORG, Kind.DROP, Kind.UNDERPRICE)
DATABASE_CUTS = (Kind.CUT_DATABASE, Kind.HOLD_DATABASE)
SERVER_CUTS = (Kind.CUT_SERVER, Kind.HOLD_SERVER, Kind.OVERTAKE_SERVER)
PARTITIONS = (*DATABASE_CUTS, *SERVER_CUTS)
SERVER_KILLS = (Kind.KILL_SERVER, Kind.KILL_SERVER_AFTER_ANSWER)
GATEWAY_KILLS = (Kind.KILL_GATEWAY, Kind.KILL_GATEWAY_AFTER_ANSWER)
KILLS_AFTER_ANSWER = tuple(each for each in KILLS if each.name.endswith("AFTER_ANSWER"))

SECONDS = {Kind.STALL: (1.0, 6.0), Kind.SKEW: (10.0, 30.0)}
SKEW_S = (-400.0, 400.0)
"""From beyond what suppliers refuse by default, 120 s behind and 180 s ahead, to well within."""
SECONDS_OF_CUTS = (2.0, 12.0)
"""From less to more than the ten seconds that nodes give an endpoint for an answer, and than the
lease of a relay server."""


@dataclass(frozen=True, slots=True)
class Cast:
    """Who can be hit."""

    suppliers: int
    """Those of one node."""
    servers: int = 0
    """Relay servers of one more supplier; with any, there is a database too."""

    def victims(self, kind: Kind) -> int:
        """How many can be hit by a kind: relay servers come after the suppliers, then the gateway.

        Only the relay servers and the gateway have a way to the database, only relay servers one
        that the gateway alone uses.
        """
        if kind in SERVER_KILLS or kind in SERVER_CUTS:
            return self.servers
        if kind in DATABASE_CUTS:
            return self.servers + 1
        if kind in (Kind.STALL, Kind.SKEW):
            return self.suppliers + self.servers + 1
        return self.suppliers + self.servers if kind is Kind.KILL_ENGINE else self.suppliers


@dataclass(frozen=True, slots=True)
class Injection:
    """One kill or fault of a schedule."""

    after_s: float
    """Seconds after the one before."""
    kind: Kind
    victim: int
    """The number of one of those that the kind can hit."""
    seconds: float
    """How long it lasts, where it does."""
    depth: int
    """Blocks replaced by a reorganisation."""
    fee_gwei: int
    """The base fee it is raised to."""
    skew_s: float
    """Seconds added to a node's clock."""


def plan_injections(
    seed: int, cast: Cast, *, kills: int, faults: int, stalls: int, skews: int,
    partitions: int = 0, gap_s: float,
) -> list[Injection]:  # fmt: skip
    """A schedule, the same for the same arguments: every kind in its turn, in random order.

    Gaps are exponential with the mean `gap_s`.
    """
    random = Random(seed)  # a simulation's seed, not a secret
    kinds = [
        *_in_turn(_KILLS_WITH_SERVERS if cast.servers else _KILLS_BY_SHARE, kills),
        *_in_turn(CHAIN_FAULTS, faults), *[Kind.STALL] * stalls, *[Kind.SKEW] * skews,
        *_in_turn(PARTITIONS, partitions),
    ]  # fmt: skip
    random.shuffle(kinds)
    return [_draw(random, kind, cast, gap_s) for kind in kinds]


def stretch(plan: Sequence[Injection], seconds: float) -> list[Injection]:
    """The same schedule, spread over so many seconds."""
    factor = seconds / sum(each.after_s for each in plan)
    return [replace(each, after_s=factor * each.after_s) for each in plan]


_KILLS_BY_SHARE = (
    Kind.KILL_SUPPLIER, Kind.KILL_GATEWAY, Kind.KILL_SUPPLIER_AFTER_ANSWER, Kind.KILL_ENGINE,
    Kind.KILL_GATEWAY_AFTER_ANSWER, Kind.KILL_SUPPLIER,
)  # fmt: skip
"""Of three kills one is the gateway's."""
_KILLS_WITH_SERVERS = (
    Kind.KILL_SERVER, Kind.KILL_GATEWAY, Kind.KILL_SUPPLIER, Kind.KILL_DATABASE,
    Kind.KILL_SERVER_AFTER_ANSWER, Kind.KILL_ENGINE, Kind.KILL_GATEWAY_AFTER_ANSWER,
    Kind.KILL_SUPPLIER_AFTER_ANSWER, Kind.KILL_SERVER,
)  # fmt: skip


def _in_turn(kinds: Sequence[Kind], count: int) -> list[Kind]:
    return [kinds[number % len(kinds)] for number in range(count)]


def _draw(random: Random, kind: Kind, cast: Cast, gap_s: float) -> Injection:
    return Injection(
        after_s=random.expovariate(1 / gap_s),
        kind=kind,
        victim=random.randrange(cast.victims(kind)),
        seconds=random.uniform(*SECONDS.get(kind, SECONDS_OF_CUTS)),
        depth=random.randint(1, REORG_DEPTH_MAX),
        fee_gwei=random.randint(*FEES_GWEI),
        skew_s=random.uniform(*SKEW_S),
    )
