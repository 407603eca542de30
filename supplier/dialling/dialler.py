"""Keeps a trunk to every gateway that may send this supplier relays."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from contracts import ChainError
from supplier.dialling.gateways import GatewayFinder, Place
from supplier.dialling.trunk import Trunk
from supplier.errors import BusyError, MisdirectedError
from supplier.mining.alone import ALONE, Sharding
from supplier.mining.chain_view import ChainView

log = logging.getLogger(__name__)

KEPT_SESSIONS = 2
"""A gateway without delegations is dialled so much longer: it may still owe receipts."""
TURN_S = 1.0
"""How often it is asked whether a gateway of another relay server is this one's now."""


class Dialler:
    """Looks once a session which gateways there are; `run` until cancelled, then `close`."""

    def __init__(
        self, view: ChainView, finder: GatewayFinder, open_trunk: Callable[[Place], Trunk],
        poll_s: float, sharding: Sharding = ALONE,
    ) -> None:  # fmt: skip
        self._view = view
        self._finder = finder
        self._open_trunk = open_trunk
        self._poll_s = poll_s
        self._sharding = sharding
        self._looked = -1
        self._wanted: dict[Place, int] = {}
        """The last session in which it was to be dialled."""
        self._trunks: dict[Place, Trunk] = {}
        """To the gateways that are served here."""

    async def run(self) -> None:
        """Follow the delegations; a chain that does not answer leaves the trunks as they are."""
        async with asyncio.TaskGroup() as tasks:
            running: dict[Place, asyncio.Task[None]] = {}
            while True:
                await self._look(tasks, running)
                await asyncio.sleep(self._poll_s)

    async def close(self, drain_s: float) -> None:
        """Finish what is being served and hang up."""
        await asyncio.gather(*(each.close(drain_s) for each in self._trunks.values()))
        self._trunks.clear()

    def summary(self) -> list[dict[str, Any]]:
        """What `/lode/v1/health` shows of each gateway."""
        return [
            {
                "gateway": "0x" + each.gateway.hex(),
                "url": each.url,
                "lines": each.lines,
                "error": each.last_error,
            }
            for each in self._trunks.values()
        ]

    async def _look(
        self, tasks: asyncio.TaskGroup, running: dict[Place, asyncio.Task[None]]
    ) -> None:
        number = self._view.current
        if number == self._looked:
            return
        try:
            found = await self._finder.find(number, self._view.head)
        except ChainError as error:
            log.info("the gateways to dial could not be read", extra={"why": str(error)})
            return
        self._looked = number
        self._wanted |= dict.fromkeys(found, number)
        for trunk in self._trunks.values():
            trunk.hurry()
        for place in [each for each in running if self._wanted[each] < number - KEPT_SESSIONS]:
            running.pop(place).cancel()
            del self._wanted[place]
            if place in self._trunks:
                tasks.create_task(self._trunks.pop(place).close(0.0))
        for place in found:
            if place not in running:
                running[place] = tasks.create_task(self._keep(place))

    async def _keep(self, place: Place) -> None:
        """Dial a gateway once it is this relay server's, which it is to the server's end."""
        while True:
            if await self._is_ours(place):
                break
            await asyncio.sleep(TURN_S)
        trunk = self._trunks[place] = self._open_trunk(place)
        await trunk.run()

    async def _is_ours(self, place: Place) -> bool:
        try:
            await self._sharding.require(place.gateway)
        except (MisdirectedError, BusyError):
            return False
        return True
