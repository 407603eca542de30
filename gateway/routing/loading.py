"""What the chain says of the sessions of a number: who serves them, where, under what terms."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from contracts import Market, Service, SessionState
from gateway.errors import UpstreamError
from gateway.routing.sessions import Member, ServiceView, Session
from gateway.routing.specs import SpecLibrary
from gateway.settlement.delivery import SupplierAddress
from node.http import line_url
from relay_mining import DIALS_OUT, Address, Hash32, SessionKey, Verifier

logger = logging.getLogger("gateway.routing.loading")

KEPT_SESSIONS = 3
"""Sessions for which supplier addresses are remembered: while their receipts can be claimed."""


@dataclass(slots=True)
class SessionLoader:
    """Reads the sessions delegated to one gateway; each read may raise ChainError."""

    market: Market
    library: SpecLibrary
    gateway: Address
    models: dict[str, Hash32] = field(default_factory=dict)
    """Names for services; where empty, every service is called by its own name."""
    _services: dict[Hash32, Service] = field(default_factory=dict)
    _places: dict[tuple[Address, int], SupplierAddress] = field(default_factory=dict)
    _rosters: dict[int, frozenset[Address]] = field(default_factory=dict)

    async def load(
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

    def forget(self, number: int) -> None:
        """Drop what is of no use any more once session `number` is open."""
        oldest = number - KEPT_SESSIONS + 1
        self._places = {place: at for place, at in self._places.items() if place[1] >= oldest}
        self._rosters = {each: found for each, found in self._rosters.items() if each >= oldest}

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


def place_of(supplier: Address, url: str, operators: frozenset[Address]) -> SupplierAddress:
    """Where a supplier is by the URL on the chain; whoever dials is found on its own lines only."""
    if url.lower().startswith(DIALS_OUT):
        return SupplierAddress(line_url(supplier.hex()), operators, dials_out=True)
    return SupplierAddress(url.rstrip("/"), operators)
