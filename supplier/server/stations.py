"""The engines as relays see them: who serves what, with how much work in hand, and who is next.

A relay goes to the engine of its service that has the least predicted work a place in hand. One
that waits at an engine which stops taking relays looks for another, and so does one whose engine
dies before anything was sent: the engines of a service stand in for each other.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

from node.http import Timeout
from relay_mining import Hash32
from supplier.errors import BusyError
from supplier.server.gate import Gate, MovedError
from supplier.server.scheduling import Priority
from supplier.server.serving import OpenRelay
from supplier.settings import AdmissionSettings

CONNECT_S_MAX = 5.0


@dataclass(slots=True, eq=False)
class Station:
    """One engine, and the way to it."""

    name: str
    gate: Gate
    timeout_s: float
    """Of a whole relay."""
    takes_priorities: bool = False
    services: frozenset[Hash32] = frozenset()
    model: str = ""
    """The served name."""
    url: str | None = None
    """Where the engine is, without `/v1`; None while it is down."""
    is_draining: bool = False
    relays: int = 0
    """In hand: those that wait for it, and those in work."""
    units: int = 0
    """What they are predicted to take together."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_open(self) -> bool:
        """Whether it takes relays."""
        return self.url is not None and not self.is_draining

    @property
    def timeout(self) -> Timeout:
        """Deadlines of one relay."""
        whole = self.timeout_s
        return Timeout(min(CONNECT_S_MAX, whole), first_byte=whole, read=whole, total=whole)

    def move(self, url: str | None) -> None:
        """Send relays to the engine at `url`; None sends none until there is one again."""
        self.url = url
        self._open_or_close()

    @asynccontextmanager
    async def turn(self, relay: OpenRelay) -> AsyncIterator[None]:
        """Hold a place; raises BusyError or MovedError."""
        work = self.gate.predict(relay)
        self.relays += 1
        self.units += work.units
        try:
            async with self.gate.turn(work):
                yield
        finally:
            self.relays -= 1
            self.units -= work.units
            self._changed.set()

    async def drain(self, bound_s: float) -> int:
        """Take no new relay, and return when none is in hand or `bound_s` is over.

        Returns how many were still in work, which end with their engine. Who waits goes elsewhere.
        """
        self.is_draining = True
        self._open_or_close()
        with suppress(TimeoutError):
            async with asyncio.timeout(bound_s):
                while self.relays:
                    self._changed.clear()
                    await self._changed.wait()
        return self.relays

    def reopen(self) -> None:
        """Take relays again."""
        self.is_draining = False
        self._open_or_close()

    def _open_or_close(self) -> None:
        """Who waits for an engine that takes nothing goes elsewhere, or is refused unpaid."""
        if self.is_open:
            self.gate.open()
        else:
            self.gate.close()


class Stations:
    """All engines of a supplier."""

    def __init__(self) -> None:
        self._all: list[Station] = []

    def __iter__(self) -> Iterator[Station]:
        return iter(self._all)

    def add(self, station: Station) -> None:
        """Send relays to one more."""
        self._all.append(station)

    def remove(self, station: Station) -> None:
        """Send it none any more; those in hand go on."""
        self._all.remove(station)

    def replace(self, old: Station, new: Station) -> None:
        """Send relays to `new` instead of `old`, from one relay to the next."""
        self._all[self._all.index(old)] = new

    @property
    def is_open(self) -> bool:
        """Whether any engine takes relays."""
        return any(each.is_open for each in self._all)

    def serves(self, service: Hash32) -> bool:
        """Whether an engine takes relays of a service now."""
        return any(self._open(service))

    def choose(self, service: Hash32, tried: Collection[Station] = ()) -> Station:
        """The engine with the least work a place in hand; raises BusyError where none is up."""
        left = [each for each in self._open(service) if each not in tried]
        if not left:
            raise BusyError("the engine is down, and being waited for")
        return min(left, key=lambda each: (each.units / each.gate.limit, each.relays))

    @asynccontextmanager
    async def turn(
        self, relay: OpenRelay, tried: Collection[Station] = ()
    ) -> AsyncIterator[Station]:
        """Hold a place at an engine for a relay, one of those not tried; raises BusyError."""
        while True:
            station = self.choose(relay.book.key.service, tried)
            async with AsyncExitStack() as stack:
                try:
                    await stack.enter_async_context(station.turn(relay))
                except MovedError:
                    continue
                yield station
                return

    def can_make_room(self, priority: Priority) -> bool:
        """Whether a waiting batch relay can be sent away: in favour of an interactive one."""
        return priority is Priority.INTERACTIVE and self._most_crowded() is not None

    def make_room(self, priority: Priority) -> None:
        """Send a waiting batch relay away, where that can be done."""
        crowded = self._most_crowded()
        if crowded is not None and priority is Priority.INTERACTIVE:
            crowded.gate.send_away()

    def configure(self, settings: AdmissionSettings) -> None:
        """Go by other settings from now on."""
        for each in self._all:
            each.gate.configure(settings)

    def _open(self, service: Hash32) -> Iterator[Station]:
        return (each for each in self._all if each.is_open and service in each.services)

    def _most_crowded(self) -> Station | None:
        """Where the most batch relays wait; None where none does."""
        found = [each for each in self._all if each.gate.batch_waiting]
        return max(found, key=lambda each: each.gate.batch_waiting, default=None)
