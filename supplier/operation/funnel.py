"""From registered to paid: through which gates traffic came, and at which it stops. Pure.

Gates before a session are the chain's: registered, staked, listed, in the roster. Those of a
session are the draw's (is this supplier a member?), the gateway's (does it send relays here?) and
this node's own. The first gate that nothing passed is where to look.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from relay_mining import Address, RosterEntry, draw_members, keccak

RECENT = 2
DRAWS = 400
"""Sessions drawn to estimate how often a supplier is a member; the error is below 5 points."""


@dataclass(frozen=True, slots=True)
class SessionFunnel:
    """One session number of one service; units in compute units, money in token base units."""

    number: int
    age: int
    """Sessions that began since; gates further on are passed in later sessions."""
    is_in_roster: bool
    delegated: int
    """Delegations with a cap."""
    drawn: int | None
    """Of these, the ones this supplier is a member of; None where the seed is not known."""
    opened: int = 0
    """Of these, the ones in which a gateway had a relay served here."""
    relays: int = 0
    served: int = 0
    receipted: int = 0
    payable: int = 0
    claimed: int = 0
    """Value of the claims."""
    proved: int = 0
    """Value of the claims that were settled."""
    paid: int = 0

    @property
    def stop(self) -> str:
        """The first gate that nothing passed although it was due; empty where there is none."""
        gates: tuple[tuple[str, int, int], ...] = (
            ("in roster", int(self.is_in_roster), 0), ("delegated", self.delegated, 0),
            ("in session", 1 if self.drawn is None else self.drawn, 0),
            ("chosen", self.opened, 1), ("served", self.served, 1),
            ("receipted", self.receipted, 2), ("payable", self.payable, 2),
            ("claimed", self.claimed, 2), ("proved", self.proved, 3), ("paid", self.paid, 3),
        )  # fmt: skip
        return next((name for name, passed, due in gates if not passed and self.age >= due), "")


@dataclass(frozen=True, slots=True)
class Standing:
    """What of a service decides how much traffic comes."""

    unit_price: int
    """0 where this supplier is not listed."""
    rank: int
    """By price among those that a roster built now would hold, 1 the cheapest; 0 if not among."""
    rivals: int
    weight_share: float
    member_share: float
    """Share of sessions it would be a member of."""
    is_registered: bool
    is_staked: bool
    is_listed: bool


REMEDIES = {
    "registered": "supplier stake AMOUNT",
    "staked": "supplier stake AMOUNT: less than a listing needs is staked",
    "listed": "supplier list SERVICE --price PRICE",
    "in roster": "wait: a listing counts from the next epoch's roster on; `supplier doctor` says "
    "whether that roster will hold it",
    "delegated": "no application has delegated a cap for this service: another service may sell",
    "in session": "members are drawn by stake: more lots are drawn more often",
    "chosen": "gateways choose by price, latency and faults: ask less, and see that "
    "`supplier doctor` finds the advertised URL reachable",
    "served": "gateways came and nothing was served: see supplier_relays_refused by code, and the "
    "engine",
    "receipted": "answers were served and not receipted: the gateway is late, gone or dishonest; "
    "its credit shrinks by itself",
    "payable": "the coin left all receipts out: with few relays a session that happens, on average "
    "nothing is lost",
    "claimed": "payable receipts were not claimed: see `supplier status` for the outcome, "
    "`supplier funds` for gas and free stake",
    "proved": "claimed and not settled yet: `supplier serve` proves in the session after next",
    "paid": "settled without payment: a required proof was missing; keep `supplier serve` running",
}


def find_stop(standing: Standing, sessions: Sequence[SessionFunnel]) -> str:
    """The gate at which traffic stops now; empty where it comes through. Newest session first.

    The chain's gates count first. Then the newest RECENT sessions that are over are looked at, and
    the furthest that any of them came: what came further in one is not stopped before.
    """
    before = (
        ("registered", standing.is_registered),
        ("staked", standing.is_staked),
        ("listed", standing.is_listed),
    )
    for name, passed in before:
        if not passed:
            return name
    judged = [each for each in sessions if each.age or each.stop][:RECENT]
    gates = ["", *REMEDIES]
    stops = [each.stop for each in judged]
    return "" if not stops or "" in stops else max(stops, key=gates.index)


def rank(candidates: Sequence[RosterEntry], supplier: Address) -> int:
    """Place by price, 1 the cheapest, equals sharing the better place; 0 for one not among."""
    own = next((each for each in candidates if each.supplier == supplier), None)
    if own is None:
        return 0
    return 1 + sum(each.unit_price < own.unit_price for each in candidates)


def estimate_membership(
    candidates: Sequence[RosterEntry], supplier: Address, members: int, draws: int = DRAWS
) -> float:
    """Share of sessions whose members include a supplier, from `draws` drawn with fixed seeds."""
    if not any(each.supplier == supplier for each in candidates):
        return 0.0
    hits = 0
    for index in range(draws):
        seed = keccak(index.to_bytes(32, "big"))
        drawn = draw_members(candidates, seed, seed, members)
        hits += any(candidates[each.index].supplier == supplier for each in drawn)
    return hits / draws


def weight_share(candidates: Sequence[RosterEntry], supplier: Address) -> float:
    """A supplier's part of the weight of a roster."""
    total = sum(each.weight for each in candidates)
    return sum(e.weight for e in candidates if e.supplier == supplier) / total if total else 0.0
