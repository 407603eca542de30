"""How long the logs go back: a segment a day, removed whole once it is old enough."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from gateway.access.budgets import DAY_S
from gateway.settlement.outbox import Outbox, encode_owed, encode_removed, read_last_session
from node.append_log import AppendLog

TURN_S = 600.0
PREFIX = "on-"
"""Sorts behind `main`, the one segment of logs from before there was one a day."""


def name_segment(now: float, newest: str = "") -> str:
    """The segment that takes records now: this UTC day's, or a later one that is there already."""
    return max(newest, PREFIX + datetime.fromtimestamp(now, UTC).strftime("%Y%m%d"))


def open_daily(path: Path, now: float) -> AppendLog:
    """A log whose records of today go to a segment of today's."""
    newest = max((each.stem for each in path.glob(PREFIX + "*.log")), default="")
    return AppendLog(path, name_segment(now, newest))


@dataclass(frozen=True, slots=True)
class Retention:
    """Turns the segments of both logs, and removes those last written `kept_days` ago.

    Nothing is removed while the clock may be wrong, and no line of use while there may be a debt
    that it was written for: a restart would take that for one that was never charged.
    """

    receipts: AppendLog
    usage: AppendLog
    outbox: Outbox
    data_dir: Path
    kept_days: int
    on_gone: Callable[[int], None] = lambda day: None
    """Told the first day, counted from 1970, whose lines are kept."""
    is_clock_right: Callable[[], bool] = lambda: True
    now: Callable[[], float] = time.time

    async def run(self) -> None:
        """Turn now and then, until cancelled."""
        while True:
            await self.turn()
            await asyncio.sleep(TURN_S)

    async def turn(self) -> None:
        """Begin the segments of a new day; what is still owed outlives the segment it was in.

        So does the last session that a removed segment had receipts of.
        """
        for log in (self.usage, self.receipts):  # so that no line is older than its debt
            name = name_segment(self.now(), log.segment)
            if name != log.segment:
                await log.rotate(name)
        if self.is_clock_right():
            await self._remove_old()

    async def _remove_old(self) -> None:
        old = await asyncio.to_thread(self._find_old, "receipts", self.receipts)
        if old:
            last = await asyncio.to_thread(self._read_last_session, old)
            removed = [encode_removed(last)] if last >= 0 else []
            carried = [replace(each, bill=None) for each in self.outbox]  # it was charged
            await self.receipts.append_many([*removed, *map(encode_owed, carried)])
        for name in old:
            await asyncio.to_thread(self.receipts.delete, name)
        oldest = min(self.receipts.segments())
        for name in await asyncio.to_thread(self._find_old, "usage", self.usage):
            if name < oldest:
                await asyncio.to_thread(self.usage.delete, name)
        self.on_gone(int(self._limit() // DAY_S))

    def _limit(self) -> float:
        """When what is removed now was written last, or before; Unix seconds."""
        return self.now() - self.kept_days * DAY_S

    def _read_last_session(self, names: list[str]) -> int:
        records = chain.from_iterable(self.receipts.replay(each) for each in names)
        return read_last_session(records)

    def _find_old(self, folder: str, log: AppendLog) -> list[str]:
        limit = self._limit()
        return [
            path.stem
            for path in sorted((self.data_dir / folder).glob("*.log"))
            if path.stem != log.segment and path.stat().st_mtime < limit
        ]
