"""The way to the engine: relays in work are counted, others wait their turn, none for too long."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from supplier.errors import BusyError
from supplier.metrics import Metrics
from supplier.server.scheduling import AimdLimit, OutputPredictor, Priority, Ticket, Work, WorkQueue
from supplier.server.serving import OpenRelay
from supplier.settings import AdmissionSettings


class Gate:
    """Lets relays through to the engine in the queue's order, as many as the limit says."""

    def __init__(
        self, settings: AdmissionSettings, relays_open_max: int, metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._relays_open_max = relays_open_max
        self._limit = _limit_of(settings, relays_open_max)
        self._queue = WorkQueue(settings.deficit_units or None)
        self._predictor = OutputPredictor()
        self._waiters: dict[Ticket, asyncio.Future[None]] = {}
        self._wait_s_max = settings.wait_s_max
        self._metrics = metrics
        self._clock = clock
        self._active = 0
        self._show()

    def configure(self, settings: AdmissionSettings) -> None:
        """Go by other settings from now on; who waits keeps the place it has."""
        self._limit = _limit_of(settings, self._relays_open_max)
        self._queue.bound(settings.deficit_units or None)
        self._wait_s_max = settings.wait_s_max
        self._fill()

    @asynccontextmanager
    async def turn(self, relay: OpenRelay) -> AsyncIterator[None]:
        """Hold a place at the engine; raises BusyError where none comes free in time."""
        work = self._predict(relay)
        began = self._clock()
        if self._active < self._limit.value and not len(self._queue):
            self._active += 1
        else:
            await self._wait(work)
        self._metrics.queue_wait_s.labels(work.priority.name.lower()).observe(self._clock() - began)
        try:
            yield
        finally:
            self._active -= 1
            self._fill()

    def observe(self, relay: OpenRelay, output_tokens: int, seconds: float) -> None:
        """Take in a relay that ended by itself: what it came to, and how long the engine took."""
        if output_tokens:
            application = relay.book.key.application
            self._predictor.observe(application, relay.output_tokens_max, output_tokens)
            self._limit.observe(seconds / output_tokens, self._active + 1)
            self._fill()

    def can_make_room(self, priority: Priority) -> bool:
        """Whether a waiting batch relay can be sent away: in favour of an interactive one."""
        return priority is Priority.INTERACTIVE and self._queue.count(Priority.BATCH) > 0

    def make_room(self, priority: Priority) -> None:
        """Send a waiting batch relay away, where that can be done."""
        last = self._queue.last(Priority.BATCH)
        if last is None or priority is not Priority.INTERACTIVE:
            return
        turn = self._waiters[last]
        if not turn.done():  # one that gives up at this moment goes by itself
            turn.set_exception(BusyError("an interactive relay took its place"))
        self._queue.remove(last)

    def _predict(self, relay: OpenRelay) -> Work:
        application = relay.book.key.application
        tokens = self._predictor.predict(application, relay.output_tokens_max)
        units = relay.book.facts.weights.worst_case(relay.prompt_tokens, tokens)
        return Work(application, relay.priority, units)

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
                self._active -= 1  # called and given up at the same moment: the next one goes
            if isinstance(error, TimeoutError):
                raise BusyError(f"no place at the engine in {self._wait_s_max} s") from None
            raise
        finally:
            self._queue.remove(ticket)
            del self._waiters[ticket]
            self._fill()

    def _fill(self) -> None:
        """Call the next ones, as many as there are places."""
        while self._active < self._limit.value and (ticket := self._queue.pop()) is not None:
            turn = self._waiters[ticket]
            if not turn.done():
                turn.set_result(None)
                self._active += 1
        self._show()

    def _show(self) -> None:
        for priority in Priority:
            self._metrics.queue_waiting.labels(priority.name.lower()).set(
                self._queue.count(priority)
            )
        self._metrics.active_limit.set(self._limit.value)


def _limit_of(settings: AdmissionSettings, relays_open_max: int) -> AimdLimit:
    """The limit on relays in work, begun at the most that the settings allow."""
    most = min(settings.active_max or relays_open_max, relays_open_max)
    return AimdLimit(settings.active_min, most, settings.token_target_s)
