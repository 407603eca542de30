"""Whether the node here may be stopped and this release started in its place, and when. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from contracts import BlockTime
from relay_mining import Clock
from supplier.mining.session_book import SessionBook
from supplier.operation.doctor import Finding, Verdict


@dataclass(frozen=True, slots=True)
class Due:
    """A session that has to be acted on before a block."""

    number: int
    action: str
    closes: int


def find_due(sessions: Iterable[SessionBook], head: int, clock: Clock) -> list[Due]:
    """What has to be sent for sessions that are over, the most urgent first."""
    found = [each for book in sessions for each in _due(book, head, clock)]
    return sorted(found, key=lambda each: each.closes)


def _due(book: SessionBook, head: int, clock: Clock) -> Iterator[Due]:
    number = book.key.number
    claims, proofs = clock.claim_window(number), clock.proof_window(number)
    if book.claims and head < proofs.closes:
        yield Due(number, "proved", proofs.closes)
    elif head < claims.closes and head >= claims.opens:
        yield Due(number, "claimed", claims.closes)


def judge_moment(due: list[Due], time: BlockTime, restart_s: float) -> Finding:
    """Whether a restart of `restart_s` seconds leaves every window enough blocks."""
    name = "moment"
    if not due:
        return Finding(name, Verdict.OK, "nothing is due: a restart misses no window")
    first = due[0]
    left = time.seconds_to(first.closes)
    says = f"session {first.number} is to be {first.action} before {time.describe(first.closes)}"
    if left < 2 * restart_s:
        remedy = f"restart after block {first.closes}: a missed window costs the claim"
        return Finding(name, Verdict.FAILED, says, remedy)
    return Finding(name, Verdict.OK, f"{says}; a restart of {restart_s:.0f} s fits twice")


def judge_version(here: str, live: str | None) -> Finding:
    """What runs, beside what is installed."""
    name = "version"
    if live is None:
        return Finding(name, Verdict.SKIPPED, f"{here} is installed; no node answers here")
    if live == here:
        return Finding(name, Verdict.OK, f"the node runs {live}, which is what is installed")
    return Finding(name, Verdict.OK, f"the node runs {live}; a restart starts {here}")
