"""The way to one engine: relays in work are counted, others wait their turn, none for too long."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from supplier.engines.capacity import Capacity
from supplier.errors import BusyError
from supplier.metrics import Metrics
from supplier.server.scheduling import AimdLimit, OutputPredictor, Priority, Ticket, Work, WorkQueue
from supplier.server.serving import OpenRelay
from supplier.settings import AdmissionSettings


class MovedError(Exception):
    """The engine takes no more relays: one that waits for it is to look for another."""


@dataclass(frozen=True, slots=True)
class Post:
    """Where a gate stands."""

    engine: str
    """Its name, in the metrics."""
    capacity: Capacity
    relays_open_max: int


class Gate:
    """Lets relays through to one engine in the queue's order, as many as the limit says.

    Where the engine preempts, interactive relays count among themselves only: one that comes while
    batch relays have every place goes through, and the engine puts one of those aside. Where it has
    slots beyond the limit, those are for interactive relays.
    """

    def __init__(
        self, settings: AdmissionSettings, post: Post, metrics: Metrics, predictor: OutputPredictor,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._post = post
        self._limit = compute_limit(settings, post)
        self._queue = WorkQueue(settings.deficit_units or None)
        self._predictor = predictor
        self._waiters: dict[Ticket, asyncio.Future[None]] = {}
        self._wait_s_max = settings.wait_s_max
        self._metrics = metrics
        self._clock = clock
        self._active = dict.fromkeys(Priority, 0)
        self._is_closed = True
        """Until the engine is there."""

    @property
    def limit(self) -> int:
        """How many relays the engine works on at once now."""
        return self._limit.value

    def configure(self, settings: AdmissionSettings) -> None:
        """Go by other settings from now on; who waits keeps the place it has."""
        self._limit = compute_limit(settings, self._post)
        self._queue.bound(settings.deficit_units or None)
        self._wait_s_max = settings.wait_s_max
        self._fill()

    def close(self) -> None:
        """Let nobody through any more: who waits gets a MovedError, who is in work goes on."""
        for ticket, turn in self._waiters.items():
            if not turn.done():
                turn.set_exception(MovedError())
            self._queue.remove(ticket)
        self._show()
        self._is_closed = True

    def open(self) -> None:
        """Let relays through, again."""
        self._is_closed = False
        self._show()

    @asynccontextmanager
    async def turn(self, work: Work) -> AsyncIterator[None]:
        """Hold a place at the engine; raises BusyError where none comes free in time.

        Raises MovedError where the gate is closed first.
        """
        if self._is_closed:
            raise MovedError
        began, priority = self._clock(), work.priority
        is_passed = any(self._queue.count(each) for each in Priority if each <= priority)
        if self._has_place(priority) and not is_passed:
            self._active[priority] += 1
        else:
            await self._wait(work)
        self._metrics.queue_wait_s.labels(priority.name.lower()).observe(self._clock() - began)
        try:
            yield
        finally:
            self._active[priority] -= 1
            self._fill()

    def observe(self, relay: OpenRelay, output_tokens: int, seconds: float) -> None:
        """Take in a relay that ended by itself: what it came to, and how long the engine took."""
        if output_tokens:
            application = relay.book.key.application
            self._predictor.observe(application, relay.output_tokens_max, output_tokens)
            self._limit.observe(seconds / output_tokens, sum(self._active.values()) + 1)
            self._fill()

    @property
    def batch_waiting(self) -> int:
        """Waiting batch relays, which can be sent away in favour of an interactive one."""
        return self._queue.count(Priority.BATCH)

    def send_away(self) -> None:
        """Send the batch relay away that would go last, where one waits."""
        last = self._queue.last(Priority.BATCH)
        if last is None:
            return
        turn = self._waiters[last]
        if not turn.done():  # one that gives up at this moment goes by itself
            turn.set_exception(BusyError("an interactive relay took its place"))
        self._queue.remove(last)

    def predict(self, relay: OpenRelay) -> Work:
        """What a relay is supposed to take."""
        application = relay.book.key.application
        tokens = self._predictor.predict(application, relay.output_tokens_max)
        units = relay.book.facts.weights.worst_case(relay.prompt_tokens, tokens)
        return Work(application, relay.priority, units)

    def _has_place(self, priority: Priority) -> bool:
        capacity, active, limit = self._post.capacity, sum(self._active.values()), self._limit.value
        if priority is Priority.INTERACTIVE and self._active[priority] < limit:
            return capacity.preempts or active < max(limit, capacity.slots or 0)
        return active < limit

    async def _wait(self, work: Work) -> None:
        ticket = self._queue.push(work)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[ticket] = turn
        self._show()
        try:
            async with asyncio.timeout(self._wait_s_max):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._active[work.priority] -= 1  # called and given up at once: the next one goes
            if isinstance(error, TimeoutError):
                raise BusyError(f"no place at the engine in {self._wait_s_max} s") from None
            raise
        finally:
            self._queue.remove(ticket)
            del self._waiters[ticket]
            self._fill()

    def _fill(self) -> None:
        """Call the next ones, as many as there are places."""
        while (urgent := self._queue.urgent) is not None and self._has_place(urgent):
            ticket = self._queue.pop()
            if ticket is not None and not (turn := self._waiters[ticket]).done():
                turn.set_result(None)
                self._active[urgent] += 1
        self._show()

    def _show(self) -> None:
        if self._is_closed:
            return  # the name is another's, who shows its own
        name = self._post.engine
        for priority in Priority:
            self._metrics.queue_waiting.labels(name, priority.name.lower()).set(
                self._queue.count(priority)
            )
        self._metrics.active_limit.labels(name).set(self._limit.value)


def compute_limit(settings: AdmissionSettings, post: Post) -> AimdLimit:
    """The limit on relays in work, begun at the most that the settings and the engine allow.

    Unset it is what the engine has slots for, and all that may be open where that is not known.
    """
    slots, most = post.capacity.slots, post.relays_open_max
    most = min(most, settings.active_max or slots or most)
    if post.capacity.is_bound and slots is not None:
        most = min(most, slots)
    return AimdLimit(settings.active_min, most, settings.token_target_s)
