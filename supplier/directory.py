"""The sessions this supplier serves: looked up once, kept, and bounded against strangers."""

import asyncio
import time
from collections import OrderedDict

from relay_mining import Hash32, SessionKey, Signer
from supplier.books import Books, SessionBook
from supplier.errors import BusyError, RelayRefusedError, WrongSessionError
from supplier.facts import MarketView

REFUSALS_KEPT_MAX = 4096
REFUSAL_KEPT_S = 2.0
SESSIONS_OPEN_MAX = 65_536


class SessionDirectory:
    """Finds the book of a session, asking the chain at most once for each.

    A stranger who invents sessions costs at most `lookups_max` questions at a time, and each
    invented session one in a while: a refusal is remembered for REFUSAL_KEPT_S seconds.
    """

    def __init__(
        self, market: MarketView, books: Books, signer: Signer, services: frozenset[Hash32],
        lookups_max: int,
    ) -> None:  # fmt: skip
        self._market = market
        self._books = books
        self._signer = signer
        self._services = services
        self._lookups_max = lookups_max
        self._asking: dict[Hash32, asyncio.Task[SessionBook]] = {}
        self._refused: OrderedDict[Hash32, tuple[RelayRefusedError, float]] = OrderedDict()

    async def find(self, key: SessionKey) -> SessionBook:
        """The book of a current session of a service served here; raises RelayRefusedError."""
        if key.service not in self._services:
            raise WrongSessionError("the service is not served here")
        if not await self._market.is_current(key.number):
            raise WrongSessionError(f"session {key.number} is not current")
        session_id = key.id
        book = self._books.sessions.get(session_id)
        if book is not None:
            return book
        refused = self._refused.get(session_id)
        if refused is not None:
            if time.monotonic() < refused[1]:
                raise type(refused[0])(*refused[0].args)
            del self._refused[session_id]
        task = self._asking.get(session_id)
        if task is None:
            task = self._ask(key, session_id)
        return await asyncio.shield(task)

    def _ask(self, key: SessionKey, session_id: Hash32) -> asyncio.Task[SessionBook]:
        if len(self._asking) >= self._lookups_max:
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
        except RelayRefusedError as error:
            if error.status != 503:
                self._refused[session_id] = (error, time.monotonic() + REFUSAL_KEPT_S)
                if len(self._refused) > REFUSALS_KEPT_MAX:
                    self._refused.popitem(last=False)
            raise
        return self._books.open(facts, self._signer.session_salt(session_id))
