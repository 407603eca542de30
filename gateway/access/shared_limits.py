"""The limits of keys and projects, kept together by replicas in Redis.

All that is to be said is said in turns, by one task and over one connection: what changed here,
then who asks to be let in. A request waits for the turn under way and for its own. While Redis
does not answer, each replica goes by its share of what was left.
"""

import asyncio
import logging
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from gateway.access.budgets import end_of_day, end_of_month
from gateway.access.limit_scripts import (
    ABSENT,
    ADMITTED,
    REPEAT_US,
    UNSETTLED,
    US_NS,
    Verdict,
    Words,
    admit_arguments,
    publish_arguments,
)
from gateway.access.limits import Demand, Grant, Limit, Limiter, Limits, Refusal, admit_all
from gateway.access.sharing import Holdings, mirror, see_all, share_of

logger = logging.getLogger("gateway.limits")

BEAT_S = 0.5
"""How often Redis is spoken to where nothing happens, and looked for while it is away."""
CORRECTIONS_MAX = 1000
"""Of one limiter, kept for a turn at most; what is dropped drains by itself in a minute."""


class StoreAwayError(Exception):
    """Redis did not answer in time, or not as it should."""


class LimitStore(Protocol):
    """Where replicas meet."""

    async def exchange(
        self, published: Sequence[tuple[str, Words]],
        asked: Sequence[tuple[list[str], Words]],
    ) -> list[Verdict]:  # fmt: skip
        """Publish limiters by name, then ask; a verdict for each (else StoreAwayError)."""

    async def close(self) -> None:
        """Let go of it."""


@dataclass(slots=True)
class _Ask:
    limiters: Sequence[Limiter]
    demand: Demand
    done: asyncio.Future[tuple[Grant, ...] | Refusal]


@dataclass(slots=True)
class SharedLimits:
    """Lets requests in for one replica of several; `run` has to run."""

    store: LimitStore
    replica: str
    replicas: int
    every_limiter: Callable[[], Iterable[Limiter]]
    monotonic_ns: Callable[[], int] = time.monotonic_ns
    now: Callable[[], float] = time.time
    clock_us: Callable[[], int] = lambda: 0
    """The store's clock; 0 leaves it to the store."""
    is_away: bool = True
    _born: bytes = b""
    _repeated_ns: int = 0
    """When all that is reserved was last said."""
    _asks: list[_Ask] = field(default_factory=list)
    _changed: dict[str, Limiter] = field(default_factory=dict)
    _unused: defaultdict[str, list[tuple[int, int]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """Of each limiter, tokens that requests did not use and when they had taken them."""
    _known: set[str] = field(default_factory=set)
    """Limiters of which this Redis has heard from here."""
    _heard: dict[str, Holdings] = field(default_factory=dict)
    _alone: dict[str, tuple[Limits, Limiter]] = field(default_factory=dict)
    """What each limiter goes by while Redis is away, and of which limits that is a share."""
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def admit(
        self, limiters: Sequence[Limiter], demand: Demand
    ) -> tuple[Grant, ...] | Refusal:
        """Take all that a request may need from each limiter, or from none."""
        if self.is_away:
            return self._admit_alone(limiters, demand)
        ask = _Ask(limiters, demand, asyncio.get_running_loop().create_future())
        self._asks.append(ask)
        self._wake.set()
        try:
            return await ask.done
        except asyncio.CancelledError:
            if ask.done.done() and not ask.done.cancelled():
                self._undo(ask.done.result())
            raise

    def leave(self, grants: Iterable[Grant], used: int) -> None:
        """Hear of a request that has ended and given back what it did not use of its tokens."""
        for each in grants:
            limiter = each.limiter.share_of or each.limiter
            unused = self._unused[limiter.name]
            is_shared = limiter is each.limiter and each.tokens is not None
            if is_shared and len(unused) < CORRECTIONS_MAX:
                unused.append((each.demand.tokens - used, each.at_ns))
            self._changed[limiter.name] = limiter
        self._wake.set()

    def note(self, limiters: Iterable[Limiter]) -> None:
        """Hear that something was charged to limiters."""
        for each in limiters:
            self._changed[each.name] = each

    def publish_all(self) -> None:
        """Say everything anew at the next turn."""
        self.note(self.every_limiter())

    async def run(self) -> None:
        """Take turns until cancelled."""
        while True:
            try:
                async with asyncio.timeout(BEAT_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            await self.turn()

    async def turn(self) -> None:
        """Say what is to be said, and let in or refuse who asks."""
        self._repeat()
        asks, self._asks = self._asks, []
        changed, self._changed = self._changed, {}
        for limiter in (each for ask in asks for each in ask.limiters):
            if limiter.name not in self._known:
                changed[limiter.name] = limiter
        unused = {name: self._unused.pop(name, []) for name in changed}
        try:
            published = [self._publish(each, unused[name]) for name, each in changed.items()]
            beat, *verdicts = await self.store.exchange(
                published, [self._ask((), Demand(0, 0)), *(self._ask(*_of(each)) for each in asks)]
            )
        except StoreAwayError as error:
            self._changed = changed | self._changed
            self._go_away(str(error))
            verdicts = [Verdict(b"", UNSETTLED)] * len(asks)
        else:
            self._known |= changed.keys()
            self._meet(beat)
        for ask, verdict in zip(asks, verdicts, strict=True):
            self._decide(ask, verdict)

    def _repeat(self) -> None:
        """Now and then say what is reserved though it did not change, lest it be given up."""
        at_ns = self.monotonic_ns()
        if at_ns - self._repeated_ns >= REPEAT_US * US_NS:
            self._repeated_ns = at_ns
            self.note(each for each in self.every_limiter() if each.spending.reserved)

    def _publish(self, limiter: Limiter, unused: list[tuple[int, int]]) -> tuple[str, Words]:
        limiter.spending.turn(int(self.now()))
        at_ns = self.monotonic_ns()
        ages = [(tokens, (at_ns - taken_ns) // US_NS) for tokens, taken_ns in unused]
        return limiter.name, publish_arguments(limiter, self.replica, ages, self.clock_us())

    def _ask(self, limiters: Sequence[Limiter], demand: Demand) -> tuple[list[str], Words]:
        now = int(self.now())
        stamps = end_of_day(now), end_of_month(now)
        names = [each.name for each in limiters]
        return names, admit_arguments(limiters, self.replica, demand, stamps, self.clock_us())

    def _meet(self, beat: Verdict) -> None:
        if beat.born != self._born:  # it has begun, or begun anew and knows nothing
            self._born = beat.born
            self._known.clear()
            self.publish_all()
            self._wake.set()
        is_away = beat.word == UNSETTLED
        if self.is_away and not is_away:
            logger.info("limits are shared")
            self._alone.clear()
            self.publish_all()
        self.is_away = is_away

    def _go_away(self, why: str) -> None:
        if not self.is_away:
            logger.warning("limits are not shared now", extra={"why": why})
        self.is_away = True

    def _decide(self, ask: _Ask, verdict: Verdict) -> None:
        if ask.done.done():  # nobody waits any more: what was taken goes back at the next turn
            self.note(ask.limiters)
            return
        if verdict.word in (UNSETTLED, ABSENT):
            self.note(ask.limiters)
            ask.done.set_result(self._admit_alone(ask.limiters, ask.demand))
            return
        at_ns = self.monotonic_ns()
        for limiter, seen in zip(ask.limiters, verdict.seen, strict=True):
            self._heard[limiter.name] = seen.others
            mirror(limiter, seen.debts, at_ns)
        if verdict.word == ADMITTED:
            ask.done.set_result(_take(ask, at_ns))
        else:
            ask.done.set_result(self._refuse(ask, verdict, at_ns))

    def _refuse(self, ask: _Ask, verdict: Verdict, at_ns: int) -> Refusal:
        refusals: list[Refusal] = []
        for limiter, seen in zip(ask.limiters, verdict.seen, strict=True):
            whole = see_all(limiter, seen.mine, seen.others, seen.debts, at_ns)
            refusals += whole.refusals(ask.demand, at_ns, int(self.now()))
        tokens = ask.demand.tokens
        rounded = Refusal(Limit.TOKENS, tokens, tokens, 1)  # only where a script's doubles round
        return max(refusals, key=lambda each: each.wait, default=rounded)

    def _admit_alone(
        self, limiters: Sequence[Limiter], demand: Demand
    ) -> tuple[Grant, ...] | Refusal:
        at_ns = self.monotonic_ns()
        alone = [self._share(each, at_ns) for each in limiters]
        self.note(limiters)
        return admit_all(alone, demand, at_ns, int(self.now()))

    def _undo(self, decision: tuple[Grant, ...] | Refusal) -> None:
        """Give back what a request that is gone was granted."""
        if isinstance(decision, Refusal):
            return
        for each in decision:
            each.limiter.release(each, 0, self.monotonic_ns())
        self.leave(decision, 0)

    def _share(self, limiter: Limiter, at_ns: int) -> Limiter:
        limits, share = self._alone.get(limiter.name, (None, limiter))
        if limits != limiter.limits:
            others = self._heard.get(limiter.name, Holdings())
            share = share_of(limiter, others, self.replicas, at_ns)
            self._alone[limiter.name] = limiter.limits, share
        return share


def _take(ask: _Ask, at_ns: int) -> tuple[Grant, ...]:
    """Take here what was taken there, the buckets aside, which show it already."""
    grants = []
    for limiter in ask.limiters:
        limiter.spending.reserved += ask.demand.cost
        grants.append(Grant(limiter, ask.demand, at_ns, limiter.tokens))
    return tuple(grants)


def _of(ask: _Ask) -> tuple[Sequence[Limiter], Demand]:
    return ask.limiters, ask.demand


def load_replica(data_dir: Path) -> str:
    """What a replica is called, the same as long as its data directory is kept."""
    path = data_dir / "replica"
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(secrets.token_hex(8))
    return path.read_text().strip()
