"""Leaving a market without losing a claim: what still binds a supplier, and until when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts import BlockTime
from relay_mining import Clock, Hash32
from supplier.mining.books import Books
from supplier.mining.chain_view import ChainView


@dataclass(frozen=True, slots=True)
class Ties:
    """What of a supplier is still in the market, as of one block."""

    listed: tuple[bytes, ...]
    """Services with an ask."""
    rosters: Mapping[int, Sequence[bytes]]
    """By epoch, the running one and the next, the services whose roster holds it as of now."""
    open_sessions: tuple[int, ...]
    """Session numbers in the receipt log that are not closed."""
    bonds: int
    """Stake that backs open claims, in token base units."""


@dataclass(frozen=True, slots=True)
class Leave:
    """How far the leaving has come."""

    is_over: bool
    waits_for: str
    """What comes next, for people; empty where it is over."""


def judge_leaving(ties: Ties, clock: Clock, time: BlockTime) -> Leave:
    """What is waited for: asks, then rosters, then the windows of the last sessions.

    While a roster holds the supplier, gateways may send relays and `serve` has to run; after it the
    last session is claimed in the next and proved in the one after.
    """
    if ties.listed:
        return Leave(False, f"{len(ties.listed)} asks are still posted")
    held = [epoch for epoch, services in ties.rosters.items() if services]
    if held:
        ends = clock.start((max(held) + 1) * clock.epoch_sessions)
        return Leave(False, f"rosters hold it until {time.describe(ends)}; it serves until then")
    if ties.open_sessions:
        closes = clock.proof_window(max(ties.open_sessions)).closes
        many = len(ties.open_sessions)
        return Leave(
            False, f"{many} sessions are claimed and proved, at latest by {time.describe(closes)}"
        )
    if ties.bonds:
        return Leave(False, f"bonds of {ties.bonds} are freed by claims being settled")
    return Leave(True, "")


async def is_bound(view: ChainView, books: Books, service: Hash32) -> bool:
    """Whether a service has a session here that is not closed, or may get one; raises ChainError.

    It may while the roster of this epoch or of the next one holds the supplier.
    """
    if any(each.key.service == service for each in books.sessions.values()):
        return True
    epoch = view.clock.epoch_of(view.current)
    for number in (epoch, epoch + 1):
        roster = await view.market.sessions.roster(service, number)
        if any(each.supplier == view.supplier for each in roster):
            return True
    return False
