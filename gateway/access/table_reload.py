"""Taking up what the command line changed in the gateway's own tables."""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from gateway.access.accounts import Accounts
from gateway.access.api_keys import KeyStore
from gateway.access.deny_list import DenyList
from gateway.routing.standing import Standing

logger = logging.getLogger("gateway.tables")

POLL_S = 1.0


@dataclass(slots=True)
class TableReload:
    """Looks at the file; while it cannot be read, what was read before goes on to hold."""

    path: Path
    keys: KeyStore
    denied: DenyList
    accounts: Accounts
    standing: Standing
    _seen: int = 0

    async def run(self) -> None:
        """Look once a second, until cancelled."""
        while True:
            await self.step()
            await asyncio.sleep(POLL_S)

    async def step(self) -> None:
        """Look once."""
        try:
            changed = (await asyncio.to_thread(self.path.stat)).st_mtime_ns
            if changed == self._seen:
                return
            keys = await asyncio.to_thread(self.keys.list)
            denied = await asyncio.to_thread(self.denied.rows)
        except (OSError, SQLAlchemyError) as error:
            logger.warning("the tables cannot be read; keys stay as they were: %s", error)
            return
        self.accounts.load(keys)
        self.standing.denied = frozenset(denied)
        self._seen = changed
