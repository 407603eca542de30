"""How many requests run at a time, and who waits: a bounded, fair queue before the suppliers.

While there is room a request passes with a comparison; else it waits for its turn, for a bounded
time and in a bounded queue. Whoever is shed is told when to come back: what waits before it, times
what a request takes as measured, over how many run at a time.
"""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Protocol

from gateway.errors import GatewayBusyError
from gateway.routing.fair_queue import FairQueue
from gateway.routing.sessions import Session
from relay_mining import Hash32

Turn = asyncio.Future[bool]
"""True once it is one's turn, False where one is shed."""
FADE = 0.05
"""Part of the newest measurement in the mean."""


@dataclass(frozen=True, slots=True)
class WaitingRules:
    """How many may run and wait."""

    in_flight_per_supplier: int = 256
    length_max: int = 1024
    """Requests that wait for one service."""
    wait_s: float = 10.0


class Waiter(Protocol):
    """Somebody who may leave while waiting."""

    @property
    def disconnected(self) -> asyncio.Future[None]:
        """Done once nobody waits any more."""


@dataclass(slots=True)
class Gate:
    """The room of one service."""

    limit: int = 0
    in_flight: int = 0
    service_s: float = 0.0
    """What a request takes once it runs, as a fading mean."""
    shed: int = 0
    queue: FairQueue[Turn] = field(default_factory=FairQueue)

    def retry_after_s(self) -> int:
        """Seconds, rounded up, until one more could run; at least 1."""
        return max(1, -int(-(self.queue.size + 1) * self.service_s // max(self.limit, 1)))

    def leave(self, seconds: float) -> None:
        """Make room for another after a request that took so long."""
        self.service_s += (seconds - self.service_s) * (FADE if self.service_s else 1.0)
        self.in_flight -= 1
        self.admit()

    def admit(self) -> None:
        """Let in whoever is next while there is room."""
        while self.queue.size and self.in_flight < self.limit:
            self.in_flight += 1
            self.queue.pop().set_result(True)


@dataclass(slots=True)
class WaitingRoom:
    """The gates of all services."""

    rules: WaitingRules = field(default_factory=WaitingRules)
    _gates: defaultdict[Hash32, Gate] = field(default_factory=lambda: defaultdict(Gate))

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return sum(each.queue.size for each in self._gates.values())

    @property
    def running(self) -> int:
        """Requests that have had their turn and are not answered."""
        return sum(each.in_flight for each in self._gates.values())

    def gate(self, session: Session) -> Gate:
        """The room of a session's service, as wide as the session has members."""
        gate = self._gates[session.key.service]
        limit = self.rules.in_flight_per_supplier * len(session.members)
        if limit != gate.limit:
            gate.limit = limit
            gate.admit()
        return gate

    async def enter(self, gate: Gate, client: Waiter, key: str, cost: int, is_batch: bool) -> bool:
        """Wait for one's turn; False where the client left. Raises GatewayBusyError.

        Whoever had a turn gives it back to `Gate.leave`.
        """
        if gate.in_flight < gate.limit and not gate.queue.size:
            gate.in_flight += 1
            return True
        turn: Turn = asyncio.get_running_loop().create_future()
        if gate.queue.size >= self.rules.length_max:
            self._shed(gate, gate.queue.make_room(key, is_batch))
        gate.queue.of(is_batch).push(key, cost, turn)
        try:
            waits = (turn, client.disconnected)
            await asyncio.wait(
                waits, timeout=self.rules.wait_s, return_when=asyncio.FIRST_COMPLETED
            )
        except asyncio.CancelledError:
            self._withdraw(gate, turn, key, is_batch)
            raise
        if turn.done() and not client.disconnected.done():
            if not turn.result():
                raise _busy(gate)
            return True
        self._withdraw(gate, turn, key, is_batch)
        if client.disconnected.done():
            return False
        gate.shed += 1
        raise _busy(gate)

    def _withdraw(self, gate: Gate, turn: Turn, key: str, is_batch: bool) -> None:
        """Leave the queue, or give back a turn that is wanted no more."""
        if not turn.done():
            gate.queue.of(is_batch).remove(key, turn)
        elif turn.result():
            gate.in_flight -= 1
            gate.admit()

    def _shed(self, gate: Gate, turn: Turn | None) -> None:
        gate.shed += 1
        if turn is None:
            raise _busy(gate)
        turn.set_result(False)


def _busy(gate: Gate) -> GatewayBusyError:
    after = gate.retry_after_s()
    return GatewayBusyError(
        f"{gate.in_flight} requests run and {gate.queue.size} wait; try again in {after} s", after
    )
