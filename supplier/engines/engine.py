"""The engine behind a supplier: one that already runs at a URL, or one started as a child."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from node.errors import OperatorError
from node.http import ClientPool
from supplier.engines.openai_http import EngineMismatchError, read_facts, verify_engine
from supplier.engines.process import Check, EngineProcess, wait_healthy
from supplier.engines.spec import ServiceSpec
from supplier.settings import EngineSettings

Changed = Callable[[str | None], None]
"""Told where the engine is now, None while it is down."""


class Engine(Protocol):
    """What the node needs of either."""

    restarts: int

    @property
    def url(self) -> str | None:
        """Where it is, without `/v1`; None while there is none."""
        ...

    async def start(self) -> str:
        """Its URL once it is healthy and checked; raises OperatorError."""
        ...

    async def watch(self, changed: Changed) -> None:
        """Keep it running until cancelled."""
        ...

    async def stop(self) -> None:
        """Let go of it."""
        ...


class RemoteEngine:
    """An engine somebody else runs: waited for and checked, never started or stopped."""

    def __init__(self, pool: ClientPool, settings: EngineSettings, url: str, check: Check) -> None:
        self.url: str | None = url.rstrip("/").removesuffix("/v1")
        self.restarts = 0
        self._pool = pool
        self._timeout_s = settings.start_timeout_s
        self._check = check

    async def start(self) -> str:
        """Its URL once it is healthy and checked; raises OperatorError."""
        url = str(self.url)
        await wait_healthy(self._pool, url, self._timeout_s)
        await self._check(url)
        return url

    async def watch(self, changed: Changed) -> None:
        """Nothing to do but to be cancelled: the monitor sees whether it is healthy."""
        await asyncio.Event().wait()

    async def stop(self) -> None:
        """It is not ours to stop."""


def build_engine(settings: EngineSettings, pool: ClientPool, spec: ServiceSpec) -> Engine:
    """The engine of the settings, to be started; it must serve what `spec` says."""

    async def check(url: str) -> None:
        try:
            verify_engine(await read_facts(pool, url), spec)
        except EngineMismatchError as error:
            raise OperatorError(str(error)) from error

    if settings.url is not None:
        return RemoteEngine(pool, settings, settings.url, check)
    return EngineProcess(settings, pool, check)
