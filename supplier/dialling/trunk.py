"""The lines to one gateway: as many idle ones as busy ones, dialled again when they are lost."""

import asyncio
import logging
import random
from dataclasses import dataclass, field

from contracts import ChainError
from node.http import Handler, Limits, Request, Response, Server
from node.http.connection import Answer
from relay_mining import Address
from supplier.dialling.handshake import Caller, DialFailedError
from supplier.errors import PathNotServedError
from supplier.metrics import Metrics
from supplier.server.endpoints import RELAY_PATHS

log = logging.getLogger(__name__)

CONTROL_FOLDER = b"/lode/v1/"
DIALS_AT_ONCE_MAX = 16
RETRY_S_MIN = 0.5
LOOK_S = 1.0
"""Lost lines are missed after so long at most."""


@dataclass(frozen=True, slots=True)
class TrunkRules:
    """How many lines are kept to one gateway, and how often it is dialled."""

    spare: int = 4
    lines_max: int = 288
    retry_s_max: float = 30.0


def compute_wanted(busy: int, rules: TrunkRules) -> int:
    """Lines to have while `busy` are: so many idle ones again, and `spare` at least."""
    return min(busy + max(busy, rules.spare), rules.lines_max)


def compute_missing(lines: int, busy: int, rules: TrunkRules) -> int:
    """Lines to dial now."""
    return max(0, compute_wanted(busy, rules) - lines)


def only_relays(handler: Handler) -> Handler:
    """A handler that shows gateways nothing but what they need of a supplier."""

    async def handle(request: Request) -> Answer:
        path = request.path
        if path.startswith(CONTROL_FOLDER) or path.decode("latin-1") in RELAY_PATHS:
            return await handler(request)
        error = PathNotServedError("there is nothing here for a gateway")
        return Response(error.status, error.body())

    return handle


@dataclass(slots=True)
class Trunk:
    """Serves one gateway on lines that it keeps open; `run` until cancelled."""

    gateway: Address
    url: str
    caller: Caller
    handler: Handler
    limits: Limits
    rules: TrunkRules
    metrics: Metrics
    last_error: str = ""
    """Why the last attempt to open a line failed; empty since one did not."""
    server: Server = field(init=False)
    _busy: int = 0
    _retry_s: float = RETRY_S_MIN
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _hurried: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.server = Server(self._handle, self.limits)

    @property
    def lines(self) -> int:
        """How many are open."""
        return self.server.connections

    async def run(self) -> None:
        """Keep the lines open; a gateway that refuses is asked again after ever longer pauses."""
        while True:
            missing = compute_missing(self.lines, self._busy, self.rules)
            self._show()
            if missing and not await self._dial_some(min(missing, DIALS_AT_ONCE_MAX)):
                pause_s = self._retry_s * random.uniform(0.5, 1.0)
                self._retry_s = min(self._retry_s * 2, self.rules.retry_s_max)
                await _wait(self._hurried, pause_s)
            elif not missing:
                await _wait(self._wake, LOOK_S)

    def hurry(self) -> None:
        """Dial again now, and soon after: whom a gateway refused it may take in a new session."""
        self._retry_s = RETRY_S_MIN
        self._hurried.set()

    async def close(self, drain_s: float) -> None:
        """Finish what is being served, then close the lines."""
        await self.server.close(drain_s)
        self._show()

    async def _dial_some(self, count: int) -> bool:
        """Open lines side by side; whether all came about."""
        opened = await asyncio.gather(*(self._dial() for _ in range(count)))
        if any(opened):
            self._retry_s = RETRY_S_MIN
        return all(opened)

    async def _dial(self) -> bool:
        outcome = "opened"
        try:
            upgraded = await self.caller.dial(self.gateway, self.url)
        except DialFailedError as error:
            outcome, self.last_error = error.outcome, str(error)
        except ChainError as error:
            outcome, self.last_error = "no_chain", str(error)
        else:
            self.server.adopt(upgraded.transport, upgraded.take_rest())
            self.last_error = ""
        self.metrics.dials.labels(self._name, outcome).inc()
        if outcome != "opened":
            log.info("a gateway takes no line", extra={"url": self.url, "why": self.last_error})
        return outcome == "opened"

    async def _handle(self, request: Request) -> Answer:
        """Answer a relay, or the question whether the line works: one that is not needed closes."""
        if request.path == b"*":
            request.keep_alive = self.lines <= compute_wanted(self._busy, self.rules)
            return Response(204, b"", (), None)
        self._busy += 1
        if compute_missing(self.lines, self._busy, self.rules):
            self._wake.set()
        try:
            return await self.handler(request)
        finally:
            self._busy -= 1

    def _show(self) -> None:
        self.metrics.lines.labels(self._name, "busy").set(self._busy)
        self.metrics.lines.labels(self._name, "idle").set(max(0, self.lines - self._busy))

    @property
    def _name(self) -> str:
        return "0x" + self.gateway.hex()


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Until the event, which is over then, or for so long."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
    event.clear()
