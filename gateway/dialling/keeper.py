"""Keeping the lines that work and belong to somebody who may serve, and ending the others."""

import asyncio
import logging
from dataclasses import dataclass

from contracts.errors import ChainError
from gateway.dialling.door import Sessions
from node.http import Lines

logger = logging.getLogger("gateway.dialling")


@dataclass(slots=True)
class LineKeeper:
    """Asks idle lines whether they work; in each new session, the chain whose they are."""

    lines: Lines
    sessions: Sessions
    _checked: int = -1

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(self.lines.rules.beat_s / 3)
            await self.lines.beat()
            await self.check_holders()

    async def check_holders(self) -> None:
        """End lines whose operator is no more on record, or whose supplier is in no roster."""
        number = self.sessions.number
        if number == self._checked:
            return
        try:
            for name in self.lines.names:
                self.lines.retire(name, await self._holders(name, number))
        except ChainError as error:
            logger.info("whose the lines are is not known", extra={"why": str(error)})
        else:
            self._checked = number

    async def _holders(self, name: str, number: int) -> frozenset[bytes]:
        supplier = bytes.fromhex(name)
        if not self.sessions.is_listed(supplier):
            return frozenset()
        place = await self.sessions.locate(supplier, number)
        return frozenset(place.operators) if place.dials_out else frozenset()
