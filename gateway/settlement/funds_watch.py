"""Saying in time that money runs out: an application's escrow, and a session's cap.

A session is valid only where the escrow covers two sessions' caps when it opens, so an escrow below
that is served no more from the next session on. A cap that is spent ends its session early.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from contracts import ChainError, Market
from gateway.access.budgets import MILLIONTHS
from gateway.routing.observation import Event
from gateway.routing.sessions import SessionTable
from gateway.settlement.funds import sessions_left
from relay_mining import Address, SessionKey

logger = logging.getLogger("gateway.settlement.funds_watch")

SESSIONS_KEPT = 4
SESSIONS_LEFT_MIN = 3
"""Below which the operator is warned."""
USED_PERCENT_MAX = 80
"""Of a session's cap, from which on the operator is warned."""


@dataclass(slots=True)
class SessionSpending:
    """What each of the last sessions took as receipted, in millionths of a token base unit."""

    of: defaultdict[SessionKey, int] = field(default_factory=lambda: defaultdict(int))

    def observe(self, event: Event) -> None:
        """Add what a try cost, or take off what its recount found too much."""
        self.of[event.session] += event.cost

    def forget(self, before: int) -> None:
        """Drop sessions before a number."""
        for key in [each for each in self.of if each.number < before]:
            del self.of[key]

    def dearest(self, application: Address) -> int:
        """The most that one session of an application took over all services, rounded up."""
        sums: defaultdict[int, int] = defaultdict(int)
        for key, cost in self.of.items():
            if key.application == application:
                sums[key.number] += cost
        return -(-max(sums.values(), default=0) // MILLIONTHS)


@dataclass(frozen=True, slots=True)
class EscrowState:
    """An application's escrow as of one block, in token base units."""

    free: int
    needed: int
    """What the next session needs to be valid."""
    spent: int
    """What the dearest of the last sessions took."""

    @property
    def sessions(self) -> float:
        """Sessions that stay valid; endless where nothing is spent."""
        left = sessions_left(self.free, self.needed, self.spent)
        return float("inf") if left is None else left


Alarm = tuple[str, str]
"""Whom it is about, and what the operator should do."""


def find_alarms(
    escrows: Mapping[Address, EscrowState], table: SessionTable, spending: SessionSpending
) -> Iterator[Alarm]:
    """What is about to run out."""
    for application, state in escrows.items():
        who = "0x" + application.hex()
        if state.free < state.needed:
            yield (
                who,
                (
                    f"the escrow does not cover the next session: gateway fund "
                    f"{state.needed - state.free} --application {who}"
                ),
            )
        elif state.sessions < SESSIONS_LEFT_MIN:
            yield who, f"the escrow lasts for {state.sessions:.0f} sessions: gateway fund AMOUNT"
    for session in table.sessions.values():
        used = used_percent(spending, session.key, session.cap)
        if used >= USED_PERCENT_MAX:
            yield (
                f"{session.service.name} in session {session.key.number}",
                (
                    f"{used} % of the delegation is spent: gateway delegate "
                    f"0x{session.key.service.hex()} CAP"
                ),
            )


def used_percent(spending: SessionSpending, key: SessionKey, cap: int) -> int:
    """How much of a session's cap is spent, rounded down."""
    return 100 * spending.of.get(key, 0) // (MILLIONTHS * max(cap, 1))


@dataclass(slots=True)
class FundsWatch:
    """Reads escrows again and again, and says once what is about to run out."""

    market: Market
    table: SessionTable
    applications: Callable[[], Iterable[Address]]
    spending: SessionSpending
    pause_s: float
    escrows: dict[Address, EscrowState] = field(default_factory=dict)
    _said: set[Alarm] = field(default_factory=set)

    async def run(self) -> None:
        """Look until cancelled; a chain that cannot be read is asked again."""
        while True:
            try:
                await self.step()
            except ChainError as error:
                logger.debug("the escrows could not be read: %s", error)
            await asyncio.sleep(self.pause_s)

    async def step(self) -> None:
        """Look once; what was said and still holds is not said again."""
        self.spending.forget(self.table.number - SESSIONS_KEPT)
        self.escrows = {each: await self._read(each) for each in self.applications()}
        alarms = set(find_alarms(self.escrows, self.table, self.spending))
        for who, what in sorted(alarms - self._said):
            logger.warning("funds run out: %s", what, extra={"about": who})
        self._said = alarms

    async def _read(self, application: Address) -> EscrowState:
        account = await self.market.escrow.account(application)
        needed = 2 * (await self.market.escrow.cap_sum(application))[0]
        return EscrowState(
            account.balance - account.pending, needed, self.spending.dearest(application)
        )

    @property
    def sessions_min(self) -> float:
        """Sessions that the escrow lasts for, of the application that has least."""
        return min((each.sessions for each in self.escrows.values()), default=float("inf"))

    @property
    def used_max(self) -> float:
        """The share of its cap that the most used open session has spent."""
        used = (
            used_percent(self.spending, each.key, each.cap) for each in self.table.sessions.values()
        )
        return max(used, default=0) / 100
