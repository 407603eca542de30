"""The usage ledger: durable lines of every try, recount and end, written after the client's answer.

It reads events only. A budget is charged at once; all else that an event says is counted with those
of the same moment, which costs half of counting each alone. Lines are JSON; those of one moment are
written and synced together.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field

import orjson

from gateway.access.budgets import Spending
from gateway.books.dispositions import Dispositions
from gateway.books.lines import (
    Line,
    cost_of,
    count_request,
    is_refusal,
    show_request,
    write_began,
    write_ended,
    write_event,
    write_refusals,
)
from gateway.books.totals import Totals, add_up
from gateway.routing.observation import Began, Ended, Event
from node.append_log import AppendLog

FLUSH_S = 0.2
HEARD_MAX = 1_000
"""Events that are counted together at most."""
PENDING_MAX = 100_000
LINES_MAX = 500
"""Lines of one record."""
REFUSALS_MAX = 2
"""Lines of their own that a key's refused requests have in one flush; more are counted."""


@dataclass(slots=True)
class Ledger:
    """Durable lines and running totals; `observe` and `record` never wait."""

    log: AppendLog
    spending: defaultdict[str, Spending] = field(default_factory=lambda: defaultdict(Spending))
    """Of each key, what its budgets are held against."""
    now: Callable[[], float] = time.time
    dropped: int = 0
    """Lines lost to a disk that cannot keep up."""
    _totals: Totals = field(default_factory=Totals)
    _requests: Dispositions = field(default_factory=Dispositions)
    _heard: list[tuple[Event | Began | Ended, int]] = field(default_factory=list)
    """Events not counted yet, and when they came in Unix seconds."""
    _pending: list[Line] = field(default_factory=list)
    _begun: dict[bytes, tuple[Began, int]] = field(default_factory=dict)
    """Requests that began since lines were last written, and have not ended."""
    _refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Refusals since then without lines of their own, by key (empty for a stranger's) and code."""
    _told: Counter[str] = field(default_factory=Counter)
    """Refusals since then that have one, by key."""

    def observe(self, event: Event) -> None:
        """Charge a try or a recount; have it counted and written soon."""
        now = int(self.now())
        self.spending[event.key_id].charge(event.cost, now)
        self._hear(event, now)

    def record(self, event: Began | Ended) -> None:
        """Have a request that begins or ends counted and written soon."""
        self._hear(event, int(self.now()))

    @property
    def totals(self) -> Totals:
        """The books of tries and recounts."""
        self._take_in()
        return self._totals

    @property
    def requests(self) -> Dispositions:
        """The count of requests."""
        self._take_in()
        return self._requests

    def replay(self, records: Iterable[bytes]) -> None:
        """Rebuild the totals from a log's records."""
        for record in records:
            for line in orjson.loads(record):
                self._count(line)
                if line["kind"] in ("try", "recount"):
                    self.spending[line["key"]].charge(cost_of(line), line["time"])

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_S)
            await self.flush()

    async def flush(self) -> None:
        """Make everything observed so far durable."""
        self._take_in()
        begun = [write_began(event, at) for event, at in self._begun.values()]
        lines = [*begun, *self._pending, *self._take_refused()]
        self._pending = []
        self._begun.clear()
        if lines:
            await self.log.append_many(
                [orjson.dumps(lines[i : i + LINES_MAX]) for i in range(0, len(lines), LINES_MAX)]
            )

    def forget_days(self, before: int) -> None:
        """Show use by day from a day on, counted from 1970: of earlier ones no lines are kept."""
        self.totals.forget_days(before)

    def summary(self) -> dict[str, object]:
        """Totals by supplier and by key, and over all; what each key has spent lately."""
        books = self.totals
        return {
            "suppliers": {name: asdict(each) for name, each in sorted(books.suppliers.items())},
            "keys": {name: asdict(each) for name, each in sorted(books.keys.items())},
            "total": asdict(add_up(books.suppliers.values())),
            "requests": self.requests.summary(),
            "days": books.show_days(),
            "spending": {
                name: each.shown(int(self.now())) for name, each in sorted(self.spending.items())
            },
        }

    def _hear(self, event: Event | Began | Ended, now: int) -> None:
        self._heard.append((event, now))
        if len(self._heard) >= HEARD_MAX:
            self._take_in()

    def _take_in(self) -> None:
        """Count what was heard; written is a request's end, and a beginning that lasts."""
        heard, self._heard = self._heard, []
        for event, now in heard:
            if isinstance(event, Began):
                self._begun[event.request] = event, now
                self._requests.begin(show_request(event.request), event.key_id)
            elif isinstance(event, Ended):
                self._end(event, now)
            else:
                self._add(write_event(event, now))

    def _end(self, event: Ended, now: int) -> None:
        self._begun.pop(event.request, None)
        if self._is_told(event):
            self._add(write_ended(event, now))
        else:
            self._refused[event.key_id, event.code] += 1
            self._requests.refuse(1)

    def _is_told(self, event: Ended) -> bool:
        """Whether an end has a line of its own; of refusals before any work few have."""
        if not event.key_id:
            return False
        if not is_refusal(event) or show_request(event.request) in self._requests.open:
            return True
        self._told[event.key_id] += 1
        return self._told[event.key_id] <= REFUSALS_MAX

    def _take_refused(self) -> list[Line]:
        refused, self._refused = self._refused, Counter()
        self._told.clear()
        now = int(self.now())
        return [write_refusals(*whose, count, now) for whose, count in refused.items()]

    def _add(self, line: Line) -> None:
        self._count(line)
        if len(self._pending) >= PENDING_MAX:
            self.dropped += 1
            return
        self._pending.append(line)

    def _count(self, line: Line) -> None:
        if line["kind"] in ("try", "recount"):
            self._totals.add(line)
        count_request(self._requests, line)
