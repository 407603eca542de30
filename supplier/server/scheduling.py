"""Which relay the engine works on next, and on how many at once. Pure.

* Interactive relays go before batch ones.
* Among equals the one predicted to need the fewest units goes first, which makes the mean wait the
  shortest there is; so that nobody who asks for much waits without end, an application that was
  passed over for more than a bound of units goes first (K. Ng and others, "Paella", SOSP 2023).
* The number in work moves towards a latency target by additive increase and multiplicative
  decrease (D. Crankshaw and others, "Clipper", NSDI 2017).
"""

from collections import OrderedDict
from dataclasses import dataclass
from enum import IntEnum

from relay_mining import Address

APPLICATIONS_MAX = 4096
"""Applications whose answers are remembered."""
RATIO_FIRST = 0.5
"""Supposed part of the allowed output that a stranger's relay takes."""
RATIO_STEP = 0.2
BACK_OFF = 0.9


class Priority(IntEnum):
    """Lower goes first."""

    INTERACTIVE = 0
    BATCH = 1


@dataclass(frozen=True, slots=True)
class Work:
    """A relay as it is waited with."""

    application: Address
    priority: Priority
    units: int
    """Predicted, in compute units."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A place in the queue."""

    number: int
    work: Work


class WorkQueue:
    """Relays that wait for the engine; whoever calls bounds its length.

    `deficit_units` is how many units an application is passed over for before it goes first; None
    never lets it. With the same prediction for all it is first in, first out.
    """

    def __init__(self, deficit_units: int | None) -> None:
        self._bound = deficit_units
        self._tickets: dict[int, Ticket] = {}
        self._deficits: dict[Address, int] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._tickets)

    def bound(self, deficit_units: int | None) -> None:
        """Let applications be passed over for another number of units."""
        self._bound = deficit_units

    def count(self, priority: Priority) -> int:
        """How many of one priority wait."""
        return sum(each.work.priority is priority for each in self._tickets.values())

    @property
    def urgent(self) -> Priority | None:
        """The priority of whoever goes next; None where nobody waits."""
        return min((each.work.priority for each in self._tickets.values()), default=None)

    def push(self, work: Work) -> Ticket:
        """Take a place."""
        ticket = Ticket(self._next, work)
        self._next += 1
        self._tickets[ticket.number] = ticket
        return ticket

    def remove(self, ticket: Ticket) -> None:
        """Give a place up; one that was popped is left alone."""
        if self._tickets.pop(ticket.number, None) is not None:
            self._forget_idle()

    def pop(self) -> Ticket | None:
        """The next one, taken out; None where nobody waits."""
        urgent = self.urgent
        if urgent is None:
            return None
        waiting = [each for each in self._tickets.values() if each.work.priority is urgent]
        applications = {each.work.application for each in waiting}
        chosen = min(self._neediest(waiting, applications), key=_by_units)
        self._charge(chosen.work, applications)
        del self._tickets[chosen.number]
        self._forget_idle()
        return chosen

    def last(self, priority: Priority) -> Ticket | None:
        """Who of a priority would go last; None where none waits."""
        waiting = (each for each in self._tickets.values() if each.work.priority is priority)
        return max(waiting, key=_by_units, default=None)

    def _neediest(self, waiting: list[Ticket], applications: set[Address]) -> list[Ticket]:
        """The relays of the application passed over for too long; all where there is none."""
        if self._bound is None:
            return waiting
        needy = max(sorted(applications), key=lambda each: self._deficits.get(each, 0))
        if self._deficits.get(needy, 0) < self._bound:
            return waiting
        return [each for each in waiting if each.work.application == needy]

    def _charge(self, work: Work, applications: set[Address]) -> None:
        """Everybody who waits is owed an equal part (rounded down) of what one is given."""
        part = work.units // len(applications)
        for each in applications:
            self._deficits[each] = self._deficits.get(each, 0) + part
        self._deficits[work.application] -= work.units

    def _forget_idle(self) -> None:
        """Who waits for nothing saves nothing up."""
        waiting = {each.work.application for each in self._tickets.values()}
        self._deficits = {each: owed for each, owed in self._deficits.items() if each in waiting}


def _by_units(ticket: Ticket) -> tuple[int, int]:
    return ticket.work.units, ticket.number


class OutputPredictor:
    """How much of the output that they allow the relays of each application take."""

    def __init__(self) -> None:
        self._ratios: OrderedDict[Address, float] = OrderedDict()

    def predict(self, application: Address, output_max: int) -> int:
        """Output tokens of a relay that allows `output_max`, rounded down."""
        return int(self._ratios.get(application, RATIO_FIRST) * output_max)

    def observe(self, application: Address, output_max: int, output: int) -> None:
        """Learn from a relay that ended by itself; the newest count most."""
        if output_max <= 0:
            return
        before = self._ratios.get(application, RATIO_FIRST)
        seen = min(1.0, output / output_max)
        self._ratios[application] = before + RATIO_STEP * (seen - before)
        self._ratios.move_to_end(application)
        if len(self._ratios) > APPLICATIONS_MAX:
            self._ratios.popitem(last=False)


class AimdLimit:
    """How many relays the engine works on at once: between `least` and `most`, begun at `most`.

    A target of 0 keeps it at `most`.
    """

    def __init__(self, least: int, most: int, target_s: float) -> None:
        self._least, self._most = min(least, most), most
        self._target_s = target_s
        self._value = float(most)
        self._settling = 0
        """Observations of relays begun under a limit that was lowered since."""

    @property
    def value(self) -> int:
        """The limit now, rounded down."""
        return int(self._value)

    def observe(self, token_s: float, active: int) -> None:
        """Take in a relay's seconds per output token, `active` in work when it ended.

        The limit grows by one after as many good relays as it lets in, and only while it binds; it
        shrinks by a tenth at most once for as many bad ones.
        """
        if not self._target_s:
            return
        if token_s <= self._target_s:
            if active >= self.value:
                self._value = min(float(self._most), self._value + 1 / self._value)
        elif self._settling <= 0:
            self._value = max(float(self._least), self._value * BACK_OFF)
            self._settling = self.value
        self._settling -= 1
