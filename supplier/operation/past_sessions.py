"""Reading the sessions of past epochs from the chain: who was drawn, and what was claimed."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass

from contracts import Market, PastClaim, read_claims
from node.errors import OperatorError
from relay_mining import Clock, Hash32, RosterEntry, SessionKey, draw_members
from supplier.operation.past_sales import PastSession


@dataclass(frozen=True, slots=True)
class Span:
    """Whole epochs whose sessions were claimed, and the blocks in which they were."""

    begin: int
    end: int
    """The first epoch that is not in it."""
    first_block: int
    last_block: int


def span_of(clock: Clock, current: int, epochs: int) -> Span:
    """The last epochs before a session whose claims are in (OperatorError before there is one)."""
    end = clock.epoch_of(max(0, current - 1))  # the last session's claims are still coming in
    begin = max(0, end - epochs)
    if begin == end:
        raise OperatorError("no epoch is over yet: ask again later")
    first = clock.claim_window(begin * clock.epoch_sessions).opens
    last = clock.claim_window(end * clock.epoch_sessions - 1).closes - 1
    return Span(begin, end, first, last)


async def read_past_sessions(
    market: Market, service: Hash32, epochs: int
) -> tuple[tuple[PastSession, ...], tuple[PastClaim, ...]]:
    """The claimed sessions of a service, and their claims; raises ChainError, OperatorError.

    A session whose seed is in the chain's history no more is left out.
    """
    clock, head = await market.sessions.clock(), await market.chain.head()
    span = span_of(clock, clock.session_at(head.number), epochs)
    found = await read_claims(
        market.chain, market.book, span.first_block, min(span.last_block, head.number)
    )
    claims = tuple(each for each in found if each.claim.session.service == service)
    units: dict[SessionKey, int] = defaultdict(int)
    for each in claims:
        units[each.claim.session] += each.claim.root.sum
    numbers = sorted({key.number for key in units})
    drawing = await asyncio.gather(*(_read_draw(market, service, clock, n) for n in numbers))
    draws = dict(zip(numbers, drawing, strict=True))
    sessions = tuple(
        PastSession(clock.epoch_of(key.number), members, units[key])
        for key in units
        if (members := _draw(draws[key.number], key))
    )
    return sessions, claims


@dataclass(frozen=True, slots=True)
class _Draw:
    """What decides the members of all sessions of one number."""

    roster: tuple[RosterEntry, ...]
    seed: Hash32 | None
    members: int


async def _read_draw(market: Market, service: Hash32, clock: Clock, number: int) -> _Draw:
    epoch = clock.epoch_of(number)
    roster, seed, params = await asyncio.gather(
        market.sessions.roster(service, epoch),
        market.sessions.seed(number - 1),
        market.parameters.values(epoch),
    )
    return _Draw(roster, seed, params.members)


def _draw(draw: _Draw, key: SessionKey) -> tuple[RosterEntry, ...]:
    if draw.seed is None or not draw.roster:
        return ()
    drawn = draw_members(draw.roster, draw.seed, key.id, draw.members)
    return tuple(draw.roster[each.index] for each in drawn)
