"""Taking up what the command line or another gateway changed in the tables."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from gateway.access.accounts import Accounts
from gateway.access.api_keys import KeyStore
from gateway.access.database import Database
from gateway.access.deny_list import DenyList
from gateway.access.revision import read_revision
from gateway.errors import DatabaseError
from gateway.routing.standing import Standing

logger = logging.getLogger("gateway.tables")

POLL_S = 1.0


@dataclass(slots=True)
class TableReload:
    """Looks at the tables; while they cannot be read, what was read before goes on to hold.

    For how long it may is the accounts' `age_ns_max`.
    """

    database: Database
    keys: KeyStore
    denied: DenyList
    accounts: Accounts
    standing: Standing
    on_change: Callable[[], None] = lambda: None
    """Told once the accounts are as the tables say."""
    _seen: int = -1

    async def run(self) -> None:
        """Look once a second, until cancelled."""
        while True:
            await self.step()
            await asyncio.sleep(POLL_S)

    async def step(self) -> None:
        """Look once."""
        began_ns = self.accounts.monotonic_ns()
        try:
            await self._read()
        except DatabaseError as error:
            if self.accounts.is_current:
                logger.warning("keys stay as they were", extra={"why": str(error)})
            self.accounts.is_current = False
        else:
            if not self.accounts.is_current:
                logger.info("the tables are read")
            self.accounts.is_current, self.accounts.read_ns = True, began_ns

    async def _read(self) -> None:
        revision = await asyncio.to_thread(read_revision, self.database)
        if revision == self._seen:
            return
        keys = await asyncio.to_thread(self.keys.list)
        denied = await asyncio.to_thread(self.denied.rows)
        projects = await asyncio.to_thread(self.keys.projects.list)
        self.accounts.load(keys, projects)
        self.standing.denied = frozenset(denied)
        self._seen = revision
        self.on_change()
