"""The requests of late, kept in memory for the applications that made them."""

import time
from collections import OrderedDict, deque
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
class _Shares:
    """Whose the requests are that are kept, each key's in the order they came."""

    _kept: dict[str, deque[bytes]] = field(default_factory=dict)
    _holders: dict[int, OrderedDict[str, None]] = field(default_factory=dict)
    """The keys that have so many, in the order they came to it."""
    _most: int = 0

    def add(self, key_id: str, request: bytes) -> None:
        """Keep a request, a key's newest."""
        kept = self._kept.get(key_id)
        if kept is None:
            kept = self._kept[key_id] = deque()
        kept.append(request)
        self._move(key_id, len(kept) - 1, len(kept))
        self._most = max(self._most, len(kept))

    def drop(self) -> bytes:
        """Let go of the oldest request of whoever has the most, and first had so many."""
        key_id = next(iter(self._holders[self._most]))
        kept = self._kept[key_id]
        request = kept.popleft()
        self._move(key_id, len(kept) + 1, len(kept))
        if self._most not in self._holders:
            self._most -= 1
        if not kept:
            del self._kept[key_id]
        return request

    def _move(self, key_id: str, before: int, after: int) -> None:
        if before:
            del self._holders[before][key_id]
            if not self._holders[before]:
                del self._holders[before]
        if after:
            self._holders.setdefault(after, OrderedDict())[key_id] = None


@dataclass(slots=True)
class History:
    """What happened to `size` requests of known keys; of others only the logs tell.

    Where there are more, the oldest of the key that has the most goes: no key crowds out another's.
    """

    size: int = 4096
    now: Callable[[], float] = time.time
    _requests: dict[bytes, _Recent] = field(default_factory=dict)
    """In the order they came."""
    _shares: _Shares = field(default_factory=_Shares)

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
            self._shares.add(event.key_id, event.request)
            if len(self._requests) > self.size:
                del self._requests[self._shares.drop()]
        found.events.append((int(self.now()), event))


def _write(event: Event | Began | Ended, at: int) -> Line:
    if isinstance(event, Observation | Recount):
        return write_event(event, at)
    return write_began(event, at) if isinstance(event, Began) else write_ended(event, at)
