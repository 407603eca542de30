"""The requests of late, kept in memory for the applications that made them."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from gateway.books.lines import Line, show_request, write_began, write_ended, write_event
from gateway.books.stories import tell
from gateway.routing.observation import Began, Ended, Event, Observation, Recount
from gateway.settlement.outbox import OwedReceipt


@dataclass(slots=True)
class _Recent:
    key_id: str
    events: list[tuple[int, Event | Began | Ended]] = field(default_factory=list)


@dataclass(slots=True)
class History:
    """What happened to the last `size` requests of known keys; older ones are in the logs."""

    size: int = 4096
    now: Callable[[], float] = time.time
    _requests: OrderedDict[bytes, _Recent] = field(default_factory=OrderedDict)

    def observe(self, event: Event) -> None:
        """Keep a try or a recount."""
        self._keep(event)

    def record(self, event: Began | Ended) -> None:
        """Keep a beginning or an end."""
        if event.key_id:
            self._keep(event)

    def find(self, request: bytes, key_id: str) -> dict[str, Any] | None:
        """The story of a key's own request; None where it is not known or another's."""
        found = self._requests.get(request)
        if found is None or found.key_id != key_id:
            return None
        return tell(show_request(request), [_write(event, at) for at, event in found.events])

    def receipts(self, request: bytes) -> list[OwedReceipt]:
        """The receipts of a request so far, in the order they were recounted."""
        events = self._requests[request].events
        return [each.receipt for _, each in events if isinstance(each, Recount) and each.receipt]

    def latest(self, count: int) -> list[dict[str, Any]]:
        """The stories of the newest requests, of every key, the newest first."""
        newest = islice(reversed(self._requests.items()), count)
        stories = (
            tell(show_request(request), [_write(event, at) for at, event in found.events])
            for request, found in newest
        )
        return [each for each in stories if each is not None]

    def all_receipts(self) -> list[OwedReceipt]:
        """The receipts of all requests that are kept."""
        return [receipt for request in self._requests for receipt in self.receipts(request)]

    def _keep(self, event: Event | Began | Ended) -> None:
        found = self._requests.get(event.request)
        if found is None:
            found = self._requests[event.request] = _Recent(event.key_id)
            if len(self._requests) > self.size:
                self._requests.popitem(last=False)
        found.events.append((int(self.now()), event))


def _write(event: Event | Began | Ended, at: int) -> Line:
    if isinstance(event, Observation | Recount):
        return write_event(event, at)
    return write_began(event, at) if isinstance(event, Began) else write_ended(event, at)
