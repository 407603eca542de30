"""The sessions this supplier serves: looked up once, kept, and bounded against strangers."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Container
from dataclasses import dataclass

from relay_mining import Hash32, SessionKey
from supplier.errors import BusyError, FeeTooHighError, RelayRefusedError, WrongSessionError
from supplier.mining.alone import ALONE, Sharding
from supplier.mining.books import Books
from supplier.mining.facts import MarketView, SessionFacts
from supplier.mining.receipt_log import Log
from supplier.mining.records import Opened
from supplier.mining.session_book import SessionBook
from supplier.server.serving import SignerOf

REFUSALS_KEPT_MAX = 4096
REFUSAL_KEPT_S = 2.0
SESSIONS_OPEN_MAX = 65_536
NOT_REMEMBERED = (421, 503)
"""Refusals by the state of this server rather than of the session."""


@dataclass(frozen=True, slots=True)
class DirectoryRules:
    """The supplier's own bounds on the sessions it serves."""

    lookups_max: int
    """Sessions looked up at once."""
    gateway_fee_bps_max: int
    """The highest gateway fee of a delegation that is served; it comes out of the ask."""


class SessionDirectory:
    """Finds the book of a session, asking the chain at most once for each.

    A stranger who invents sessions costs at most `lookups_max` questions at a time, and each
    invented session one in a while: a refusal is remembered for REFUSAL_KEPT_S seconds. A session
    is in the receipt log before its first relay, so that receipts find it after any stop. What is
    among `services` may change.
    """

    def __init__(
        self, market: MarketView, books: Books, log: Log, signer_of: SignerOf,
        services: Container[Hash32], rules: DirectoryRules, sharding: Sharding = ALONE,
    ) -> None:  # fmt: skip
        self._market = market
        self._books = books
        self._log = log
        self._signer_of = signer_of
        self._services = services
        self._rules = rules
        self._sharding = sharding
        self._asking: dict[Hash32, asyncio.Task[SessionBook]] = {}
        self._refused: OrderedDict[Hash32, tuple[RelayRefusedError, float]] = OrderedDict()

    async def find(self, key: SessionKey) -> SessionBook:
        """The book of a current session of a service and gateway served here.

        One that was served while it ran is served a little longer, for gateways that see the
        chain's head later. Raises RelayRefusedError.
        """
        if key.service not in self._services:
            raise WrongSessionError("the service is not served here")
        session_id = key.id
        book = self._books.sessions.get(session_id)
        is_open = await self._market.is_current(key.number)
        if not is_open and not (book and self._market.has_just_ended(key.number)):
            raise WrongSessionError(f"session {key.number} is not current")
        if book is not None and self._sharding.owns(key.gateway):
            return book
        refused = self._refused.get(session_id)
        if refused is not None:
            if time.monotonic() < refused[1]:
                raise type(refused[0])(*refused[0].args)
            del self._refused[session_id]
        self._sharding.verify_not_elsewhere(key.gateway)  # costs no place among the lookups
        task = self._asking.get(session_id)
        if task is None:
            task = self._ask(key, session_id)
        return await asyncio.shield(task)

    def _ask(self, key: SessionKey, session_id: Hash32) -> asyncio.Task[SessionBook]:
        if len(self._asking) >= self._rules.lookups_max:
            raise BusyError("too many sessions are being looked up; try again")
        if len(self._books.sessions) >= SESSIONS_OPEN_MAX:
            raise BusyError("too many sessions are open")
        task = asyncio.create_task(self._look_up(key, session_id))
        self._asking[session_id] = task
        task.add_done_callback(lambda _: self._asking.pop(session_id, None))
        return task

    async def _look_up(self, key: SessionKey, session_id: Hash32) -> SessionBook:
        try:
            facts = await self._market.session_facts(key)
            self._check_fee(facts)
            await self._sharding.require(key.gateway)
        except RelayRefusedError as error:
            if error.status not in NOT_REMEMBERED:
                self._refused[session_id] = (error, time.monotonic() + REFUSAL_KEPT_S)
                if len(self._refused) > REFUSALS_KEPT_MAX:
                    self._refused.popitem(last=False)
            raise
        known = self._books.sessions.get(session_id)  # its gateway may just have been taken over
        if known is not None:
            return known
        salt = self._signer_of(key.number).session_salt(session_id)
        await self._log.append([Opened(facts, salt)])
        return self._books.open(facts, salt)

    def _check_fee(self, facts: SessionFacts) -> None:
        fee, most = facts.fee_bps, self._rules.gateway_fee_bps_max
        if fee > most:
            raise FeeTooHighError(
                f"the delegation gives its gateway {fee} basis points of this supplier's ask, "
                f"more than the {most} accepted here"
            )
