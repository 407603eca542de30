"""How far each supplier is trusted right now: load, faults, credit used, evidence.

Fed by observations and receipts. A fault sets a supplier aside for a while that doubles with each
further one, a contradiction by others for longer; evidence of an over-claim drops it until the
operator removes the evidence file. Who comes back is asked for one answer at a time until it gives
one, and from then on, as a new supplier, for one more at a time with each. No fault is what nobody
can help: a client that leaves, a request the engine rejects, a short answer, one of mere thoughts.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.routing.observation import Event, Observation, Result
from relay_mining import Address

SET_ASIDE_S = 1.0
SET_ASIDE_S_MAX = 60.0
REFUSED_S = 2.0
WINDOW_NEW = 4
WINDOW_AGAIN = 1
"""Requests in flight that a supplier begins with: a new one, and one that comes back."""
WINDOW_OPEN = 64
"""From which on it may have any number."""
DOUBT_S = 60.0
DOUBT_S_MAX = 3600.0
"""How long a contradicted supplier is set aside: at first, doubling with each, and at most."""


@dataclass(slots=True)
class SupplierState:
    """The gateway's running view of one supplier."""

    in_flight: int = 0
    reserved: int = 0
    """Units that relays in flight may still take."""
    owed: int = 0
    """Units served, whose receipts are not acknowledged yet."""
    receipted: int = 0
    """Units receipted and acknowledged, ever."""
    faults: int = 0
    """Faults in a row."""
    aside_until: float = 0.0
    doubts: int = 0
    """How often others contradicted it."""
    window: int = WINDOW_NEW
    """Requests that it may have in flight while others have room; grows with every answer."""
    is_dropped: bool = False


@dataclass(slots=True)
class Standing:
    """All suppliers' states; `clock` is monotonic seconds."""

    clock: Callable[[], float]
    credit_units: int = 200_000
    credit_growth_ppm: int = 500_000
    states: dict[Address, SupplierState] = field(default_factory=dict)
    denied: frozenset[Address] = frozenset()
    """Suppliers that the operator does not want asked."""

    def of(self, supplier: Address) -> SupplierState:
        """The state of a supplier, new where nothing is known."""
        state = self.states.get(supplier)
        if state is None:
            state = self.states[supplier] = SupplierState()
        return state

    def peek(self, supplier: Address) -> SupplierState:
        """The state of a supplier; of a stranger a new one that is not kept."""
        return self.states.get(supplier) or SupplierState()

    def is_out(self, supplier: Address) -> bool:
        """Whether a supplier is not to be asked at all."""
        return supplier in self.denied or self.of(supplier).is_dropped

    def credit(self, supplier: Address) -> int:
        """Units that a supplier serves ahead of receipts, as far as can be told from here."""
        receipted = self.peek(supplier).receipted
        return self.credit_units + self.credit_growth_ppm * receipted // 1_000_000

    def word(self, supplier: Address) -> str:
        """The standing of a supplier: `good`, `set aside`, `dropped` or `denied`."""
        state = self.peek(supplier)
        if supplier in self.denied:
            return "denied"
        if state.is_dropped:
            return "dropped"
        return "set aside" if state.aside_until > self.clock() else "good"

    def is_good(self, supplier: Address, max_units: int) -> bool:
        """Whether a relay of `max_units` is worth trying there before trying elsewhere."""
        return self.judge(supplier, max_units)[1]

    def judge(self, supplier: Address, max_units: int) -> tuple[int, bool, bool]:
        """Requests in flight, whether a relay is worth trying, and whether there is room for it.

        A supplier that begins slowly has room for as many as it has given answers, and a few.
        """
        state = self.of(supplier)
        in_flight = state.in_flight
        has_room = in_flight < state.window or state.window >= WINDOW_OPEN
        if state.aside_until > self.clock() or (state.faults and in_flight):
            return in_flight, False, has_room
        credit = self.credit_units + self.credit_growth_ppm * state.receipted // 1_000_000
        is_good = state.owed + state.reserved + max_units <= credit
        return in_flight, is_good, has_room

    def doubt(self, supplier: Address) -> None:
        """Set a supplier aside whose answer others contradict, for longer each time."""
        state = self.of(supplier)
        self._set_aside(state, min(DOUBT_S * 2.0 ** min(state.doubts, 10), DOUBT_S_MAX))
        state.doubts += 1

    def _set_aside(self, state: SupplierState, pause_s: float) -> None:
        state.aside_until = max(state.aside_until, self.clock() + pause_s)

    def observe(self, event: Event) -> None:
        """Take note of one try or one recount."""
        if not isinstance(event, Observation):
            if event.is_overclaim:
                self.of(event.supplier).is_dropped = True
            return
        state = self.of(event.supplier)
        if event.result is Result.OK:
            state.faults = 0
            if state.window < WINDOW_OPEN:
                state.window += 1
        elif event.result is Result.REFUSED:
            self._set_aside(state, REFUSED_S)
        elif event.result.is_fault:
            pause = min(SET_ASIDE_S * 2.0 ** min(state.faults, 10), SET_ASIDE_S_MAX)
            state.faults += 1
            state.window = WINDOW_AGAIN
            self._set_aside(state, pause)
