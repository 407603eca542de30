"""Asking again: a share of answers is repeated at other members, after the client has its own.

A count says what was sent, not whether it answers the question. Where a request asks for what
repeats (temperature 0, or a seed), members that run one service say the same: a supplier that two
others contradict, who agree with each other, is set aside for a while. It is an opinion: members
may share an owner, and engines may round differently; it costs standing with this gateway, never
stake. Every repetition is a relay like any other: receipted, and paid by the application.
"""

import asyncio
import logging
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import orjson

from gateway.api.openai import Endpoint
from gateway.books.lines import AUDIT_KEY
from gateway.errors import RejectedBySupplierError, UpstreamBrokenError, UpstreamError
from gateway.routing.observation import Observation, Observe, Result
from gateway.routing.relay import SERVED, Relay, Served
from gateway.routing.sessions import Member
from gateway.routing.standing import Standing
from gateway.routing.trying import RESULTS
from gateway.routing.upstream import Upstream
from gateway.settlement.answers import read_choices
from relay_mining import Address, Speech

logger = logging.getLogger("gateway.routing.auditing")

PENDING_MAX = 4
ANSWERS_MAX = 3
CONTRADICTED = "two suppliers contradict a third"
Said = tuple[tuple[int, Speech, str], ...]
"""The choices of an answer, in order, and why each ended."""


def is_repeatable(relay: Relay) -> bool:
    """Whether a request asks for an answer that comes out the same again."""
    request = relay.request
    if request.is_stream or request.endpoint is Endpoint.EMBEDDINGS:
        return False
    members = orjson.loads(relay.body)
    return members.get("temperature") == 0 or members.get("seed") is not None


def read_said(answer: bytes) -> Said:
    """What an answer says, whatever else it holds."""
    choices = sorted(read_choices(answer, False).items())
    return tuple((index, each.speech, each.finish) for index, each in choices)


def find_odd(said: Mapping[Address, Said]) -> Address | None:
    """Who alone stands against at least two that agree; None where nobody does."""
    words = list(said.values())
    alone = [supplier for supplier, each in said.items() if words.count(each) == 1]
    return alone[0] if len(alone) == 1 and len(words) >= ANSWERS_MAX else None


@dataclass(slots=True)
class Auditor:
    """Repeats `share` of the answers it is shown that can be repeated."""

    upstream: Upstream
    standing: Standing
    observe: Observe
    owe: Callable[[Served], None]
    share: float
    rng: random.Random
    _audits: set[asyncio.Task[None]] = field(default_factory=set)

    def consider(self, served: Served) -> None:
        """Maybe repeat an answer that a client was given; never waits."""
        if self.share == 0 or self.rng.random() >= self.share or len(self._audits) >= PENDING_MAX:
            return
        if is_repeatable(served.relay):
            task = asyncio.ensure_future(self.audit(served))
            self._audits.add(task)
            task.add_done_callback(self._audits.discard)

    async def audit(self, served: Served) -> None:
        """Ask one other member, and where that one disagrees another, until one stands alone."""
        relay = replace(served.relay, id=os.urandom(16), key_id=AUDIT_KEY)
        said = {served.supplier: read_said(served.answer)}
        members = [each for each in relay.session.members if each.supplier not in said]
        for member in self.rng.sample(members, len(members)):
            if not self._is_askable(member, relay):
                continue
            again = await self._repeat(relay, member)
            if again is None:
                continue
            said[member.supplier] = read_said(again.answer)
            if len(set(said.values())) == 1 or len(said) == ANSWERS_MAX:
                break
        odd = find_odd(said)
        if odd is not None:
            logger.warning(CONTRADICTED, extra={"supplier": "0x" + odd.hex()})
            self.standing.doubt(odd)

    def _is_askable(self, member: Member, relay: Relay) -> bool:
        standing = self.standing
        if standing.is_out(member.supplier) or not self.upstream.is_reachable(member):
            return False
        return standing.is_good(member.supplier, relay.max_units)

    async def _repeat(self, relay: Relay, member: Member) -> Served | None:
        """The answer of another member, owed like any; None where it gave none."""
        loop, state = asyncio.get_running_loop(), self.standing.of(member.supplier)
        header, request_hash = self.upstream.signer.sign(relay, member)
        began, served, result, detail = loop.time(), None, Result.OK, ""
        state.in_flight += 1
        state.reserved += relay.max_units
        in_flight = state.in_flight
        try:
            served = _require_whole(
                await self.upstream.send_plain(relay, member, header, request_hash)
            )
            if served.added > 0:
                self.owe(served)
        except (UpstreamError, RejectedBySupplierError) as error:
            result, detail = RESULTS[type(error)], str(error)[:200]
        finally:
            state.in_flight -= 1
            state.reserved -= relay.max_units
        response = served.response if served is not None else None
        self.observe(
            Observation(
                supplier=member.supplier,
                session=relay.session.key,
                model=relay.request.model,
                key_id=AUDIT_KEY,
                result=result,
                is_stream=False,
                is_answer=False,
                latency_s=loop.time() - began,
                units=response.units if response else 0,
                input_tokens=response.input_tokens if response else 0,
                output_tokens=response.output_tokens if response else 0,
                detail=detail,
                price=member.terms.price,
                request=relay.id,
                request_hash=request_hash,
                owed=int(served is not None and served.added > 0),
                in_flight=in_flight,
                body_bytes=len(relay.body),
            )
        )
        return served


def _require_whole(served: Served) -> Served:
    if served.response.status not in SERVED:
        raise UpstreamBrokenError("the supplier ended a repetition without an answer")
    return served
