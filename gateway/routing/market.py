"""The chain as the gateway needs it: which sessions are open, who serves them, under what terms.

The next session is fetched ahead, so that the switch at its first block is one assignment; once
it is open the chain is asked whether it is valid, and what is not is dropped. While the chain is
not seen a session is served for as long as it lasts by the pace of the last blocks, and no longer:
whatever is served after it may be claimed by nobody.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from contracts import Market, Pace, Service, SessionState, SkewWatch, read_block_time
from contracts.errors import ChainError, ChainUnavailableError
from gateway.errors import UpstreamError
from gateway.routing.sessions import Member, ServiceView, Session, SessionTable
from gateway.routing.specs import SpecLibrary
from gateway.settlement.delivery import SupplierAddress
from node.http import line_url
from relay_mining import DIALS_OUT, Address, Clock, Hash32, SessionKey, Verifier

logger = logging.getLogger("gateway.routing.market")

KEPT_SESSIONS = 3
"""Sessions for which supplier addresses are remembered: while their receipts can be claimed."""


@dataclass(slots=True)
class Refresher:
    """Keeps the session table current; `step` is one look at the chain."""

    market: Market
    table: SessionTable
    library: SpecLibrary
    gateway: Address
    applications: Callable[[], Iterable[Address]]
    models: dict[str, Hash32] = field(default_factory=dict)
    """Names for services; where empty, every service is called by its own name."""
    poll_s: float = 0.5
    on_session: Callable[[int], None] = lambda number: None
    head_block: int = -1
    skew: SkewWatch = field(default_factory=SkewWatch)
    pace: Pace = field(default_factory=Pace)
    """Of blocks in this session, by the loop's clock."""
    _clock: Clock | None = None
    _confirmed: int = -1
    """The session that the chain was asked about when it was open."""
    _services: dict[Hash32, Service] = field(default_factory=dict)
    _next: tuple[int, list[Session], dict[str, ServiceView]] | None = None
    _places: dict[tuple[Address, int], SupplierAddress] = field(default_factory=dict)
    _applications: frozenset[Address] = frozenset()
    _rosters: dict[int, frozenset[Address]] = field(default_factory=dict)

    async def run(self) -> None:
        """Look until cancelled; a chain that cannot be reached leaves the table while it lasts."""
        while True:
            try:
                await self.step()
            except ChainError as error:
                is_away = isinstance(error, ChainUnavailableError)
                what = "the chain cannot be reached" if is_away else "the chain could not be read"
                logger.warning(what, extra={"why": str(error)})
                self.end_unseen(asyncio.get_running_loop().time())
            await asyncio.sleep(self.poll_s)

    def rename(self, models: dict[str, Hash32]) -> None:
        """Call services by other names from the next look on."""
        self.models, self._applications, self._next = models, frozenset(), None

    def end_unseen(self, now: float) -> None:
        """Close a session that is over by all that is known, though the chain is not seen."""
        if self._clock is None or not self.table.is_ready:
            return
        if self.pace.is_past(self._clock.start(self.table.number + 1), now):
            logger.warning(
                "the session is over by its pace and the chain is not seen: nothing is served",
                extra={"session": self.table.number, "seen": self.head_block},
            )
            self.table.close()

    async def step(self) -> None:
        """Look at the head once: switch, prepare or complete sessions as it says."""
        clock = self._clock = await self.market.sessions.clock()
        head = await self.market.chain.head()
        self.head_block = head.number
        self.skew.see(head)
        self.pace.see(head.number, asyncio.get_running_loop().time())
        number = clock.session_at(head.number)
        wanted = frozenset(self.applications())
        if number != self._confirmed:
            await self._switch(number, wanted)
        elif wanted != self._applications or not self.table.sessions:
            await self._load_current(number, wanted)
        await self._drop_outdated()
        if self._is_preparing_due(clock, number, head.number):
            sessions, models = await self._load(number + 1, wanted)
            if sessions:
                self._next = (number + 1, sessions, models)

    async def _drop_outdated(self) -> None:
        """Forget a prepared session that another key signs for by now, as after a rotation."""
        if self._next is None:
            return
        number, sessions, _ = self._next
        signer = await self.market.registry.gateway_key(self.gateway, number)
        if any(each.signer != signer for each in sessions):
            self._next = None

    def _is_preparing_due(self, clock: Clock, number: int, block: int) -> bool:
        if self._next is not None and self._next[0] == number + 1:
            return False
        return block > clock.seed_block(number)

    async def _switch(self, number: int, wanted: frozenset[Address]) -> None:
        """Open a new session: at once where it was prepared, then with the chain's word on it."""
        if self._next is not None and self._next[0] == number:
            _, sessions, models = self._next
            self.table.replace(number, sessions, models)
        self.pace.begin((await read_block_time(self.market.chain)).block_s)
        await self._load_current(number, wanted)
        self._next, self._confirmed = None, number
        self._places = {
            place: at for place, at in self._places.items() if place[1] > number - KEPT_SESSIONS
        }
        self._rosters = {
            each: listed for each, listed in self._rosters.items() if each > number - KEPT_SESSIONS
        }
        self.on_session(number)

    async def _load_current(self, number: int, wanted: frozenset[Address]) -> None:
        sessions, models = await self._load(number, wanted, is_open=True)
        self.table.replace(number, sessions, models)
        self._applications = wanted

    async def _load(
        self, number: int, wanted: Iterable[Address], *, is_open: bool = False
    ) -> tuple[list[Session], dict[str, ServiceView]]:
        """The sessions of a number that can be served; valid ones only where it is open."""
        block = (await self.market.chain.head()).number
        keys = await self._delegated(number, wanted, block)
        states = await asyncio.gather(
            *(self.market.sessions.session(key, block=block) for key in keys)
        )
        self._rosters[number] = frozenset(
            entry.supplier for state in states for entry in state.roster
        )
        sessions: list[Session] = []
        views: dict[Hash32, ServiceView] = {}
        for state in states:
            if state.cap == 0 or not state.members or (is_open and not state.is_valid):
                continue
            session = await self._open(state)
            if session is not None:
                sessions.append(session)
                views[session.service.id] = session.service
        return sessions, self._name(views)

    async def _delegated(
        self, number: int, wanted: Iterable[Address], block: int
    ) -> list[SessionKey]:
        """The sessions that some application has delegated funds to."""
        if not self.models or not self._services:
            self._services = await self.market.registry.services(block=block)
        services = self.models.values() if self.models else self._services
        keys = [
            SessionKey(application, self.gateway, service, number)
            for application in wanted
            for service in services
            if service in self._services
        ]
        read = self.market.escrow.delegation
        found = await asyncio.gather(
            *(read(k.application, k.gateway, k.service, k.number, block=block) for k in keys)
        )
        return [key for key, each in zip(keys, found, strict=True) if each.cap > 0]

    def _name(self, views: dict[Hash32, ServiceView]) -> dict[str, ServiceView]:
        """Views by the name clients use; of two services of one name, the one listed first."""
        if self.models:
            return {name: views[each] for name, each in self.models.items() if each in views}
        named: dict[str, ServiceView] = {}
        for service_id, service in self._services.items():
            if service_id in views:
                named.setdefault(service.name, views[service_id])
        return named

    async def _open(self, state: SessionState) -> Session | None:
        """The session of a state with its members' addresses; None where it cannot be served."""
        if state.gateway_signer is None:
            return None
        key = state.key
        entries = [state.roster[each.index] for each in state.members]
        places = await asyncio.gather(*(self.locate(each.supplier, key.number) for each in entries))
        try:
            service = await self.library.view(
                key.service, self._services[key.service], [place.url for place in places]
            )
        except UpstreamError as error:
            logger.warning(
                "a service is not served", extra={"service": key.service, "why": str(error)}
            )
            return None
        members = tuple(
            Member(
                entry.supplier, operator, place.url, state.terms(drawn), Verifier(operator),
                place.dials_out, place.owner,
            )
            for drawn, entry, place in zip(state.members, entries, places, strict=True)
            for operator in place.operators
        )  # fmt: skip
        return Session(key, service, state.cap, members, state.gateway_signer)

    def is_listed(self, supplier: Address) -> bool:
        """Whether a supplier is in a roster that members are drawn from, or lately was."""
        return any(supplier in roster for roster in self._rosters.values())

    async def locate(self, supplier: Address, number: int) -> SupplierAddress:
        """Where a supplier is and the key it signs with in a session; empty without one."""
        place = self._places.get((supplier, number))
        if place is None:
            account, operator = await asyncio.gather(
                self.market.registry.supplier(supplier),
                self.market.registry.operator(supplier, number),
            )
            operators = frozenset() if operator is None else frozenset({operator})
            place = replace(place_of(supplier, account.url, operators), owner=account.owner)
            self._places[(supplier, number)] = place
        return place


def place_of(supplier: Address, url: str, operators: frozenset[Address]) -> SupplierAddress:
    """Where a supplier is by the URL on the chain; whoever dials is found on its own lines only."""
    if url.lower().startswith(DIALS_OUT):
        return SupplierAddress(line_url(supplier.hex()), operators, dials_out=True)
    return SupplierAddress(url.rstrip("/"), operators)
