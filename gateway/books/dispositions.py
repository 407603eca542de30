"""What became of every request: paid, refunded, refused, failed, or still in flight; pure.

`requests = paid + refunded + refused + failed + in flight` always holds. A request leaves the last
only when it has ended and each of the responses accepted for it has been recounted.
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum


class Disposition(Enum):
    """Where a request that is over, and everything counted for it, belongs."""

    PAID = "paid"
    """Some of it is receipted, whether the client got all of its answer or not."""
    REFUNDED = "refunded"
    """Nothing is charged, though nobody failed: its client left first, or nothing was counted."""
    REFUSED = "refused"
    """The client was told no before any work."""
    FAILED = "failed"
    """Nobody answered well, and nothing is charged."""


IN_FLIGHT = "in_flight"


def judge_status(status: int) -> Disposition:
    """What an answer that is an error amounts to where nothing is paid."""
    return Disposition.REFUSED if status < 500 or status == 503 else Disposition.FAILED


@dataclass(slots=True)
class OpenRequest:
    """A request that is not over, or not counted to its end."""

    key_id: str = ""
    owed: int = 0
    """Responses accepted so far."""
    recounted: int = 0
    units: int = 0
    answer: Disposition = Disposition.REFUNDED
    """What its last try amounts to where nothing is paid."""
    end: Disposition | None = None
    is_given_up: bool = False
    """Whether no more will be recounted."""

    @property
    def disposition(self) -> Disposition | None:
        """None while it is in flight."""
        if self.end is None or (self.recounted < self.owed and not self.is_given_up):
            return None
        return Disposition.PAID if self.units else self.end


@dataclass(slots=True)
class Dispositions:
    """The running count; every method is told of a request by its id."""

    requests: int = 0
    ended: Counter[Disposition] = field(default_factory=Counter)
    open: dict[str, OpenRequest] = field(default_factory=dict)

    def begin(self, request: str, key_id: str) -> None:
        """A request was let in; to hear so twice changes nothing."""
        self._find(request, key_id)

    def take_try(self, request: str, key_id: str, owed: int, answer: Disposition) -> None:
        """A try has ended, `owed` of whose responses were accepted."""
        state = self._find(request, key_id)
        state.owed += owed
        state.answer = answer
        self._close(request, state)

    def take_recount(self, request: str, key_id: str, units: int) -> None:
        """An accepted response was recounted, before its try has ended or after."""
        state = self._find(request, key_id)
        state.recounted += 1
        state.units += units
        self._close(request, state)

    def end(self, request: str, key_id: str, end: Disposition | None) -> None:
        """The client was answered; None is however the last try ended."""
        state = self._find(request, key_id)
        state.end = end or state.answer
        self._close(request, state)

    def give_up(self, request: str, key_id: str, end: Disposition) -> None:
        """A kill was its end, unless it had one: what is not recounted by now was lost."""
        state = self._find(request, key_id)
        state.end = state.end or end
        state.is_given_up = True
        self._close(request, state)

    def refuse(self, count: int) -> None:
        """So many requests were refused without being let in."""
        self.requests += count
        self.ended[Disposition.REFUSED] += count

    def summary(self) -> dict[str, int]:
        """The two sides of the identity."""
        ended = {each.value: self.ended[each] for each in Disposition}
        return {"requests": self.requests, **ended, IN_FLIGHT: len(self.open)}

    def _find(self, request: str, key_id: str) -> OpenRequest:
        state = self.open.get(request)
        if state is None:
            state = self.open[request] = OpenRequest(key_id)
            self.requests += 1
        return state

    def _close(self, request: str, state: OpenRequest) -> None:
        disposition = state.disposition
        if disposition is not None:
            del self.open[request]
            self.ended[disposition] += 1
