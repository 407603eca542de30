"""Looking at the engine every so often: whether it is up, and how busy it is."""

import asyncio
from dataclasses import asdict
from typing import Any

from node.http import ClientPool
from supplier.engines.engine import Changed, Engine
from supplier.engines.openai_http import EngineLoad, is_healthy, read_load
from supplier.metrics import Metrics

SILENT_LOOKS_MAX = 2
"""A busy engine may miss one look; after so many it is held to be down."""


class EngineMonitor:
    """The engine as last seen, in the metrics and for whoever asks."""

    def __init__(self, name: str, engine: Engine, pool: ClientPool, metrics: Metrics) -> None:
        self._name = name
        self._engine = engine
        self._pool = pool
        self._metrics = metrics
        self._silent_looks = 0
        self.load: EngineLoad | None = None

    @property
    def is_up(self) -> bool:
        """Whether relays can be served."""
        return self._engine.url is not None and self._silent_looks < SILENT_LOOKS_MAX

    async def run(self, interval_s: float, changed: Changed) -> None:
        """Look until cancelled; `changed` is told when the engine falls silent or is back."""
        while True:
            was_up = self.is_up
            await self.look()
            if self.is_up != was_up:
                changed(self._engine.url if self.is_up else None)
            await asyncio.sleep(interval_s)

    async def look(self) -> None:
        """Look once."""
        url = self._engine.url
        self.load = None
        if url is not None and await is_healthy(self._pool, url):
            self._silent_looks = 0
            self.load = await read_load(self._pool, url)
        elif url is not None:
            self._silent_looks += 1
        self._show()

    def summary(self) -> dict[str, Any]:
        """The engine in the words of the health page; no load where the engine does not say."""
        load = {} if self.load is None else asdict(self.load)
        state = {"name": self._name, "up": self.is_up, "restarts": self._engine.restarts}
        return state | load

    def _show(self) -> None:
        load = self.load or EngineLoad(0, 0, 0.0)
        metrics, name = self._metrics, self._name
        metrics.engine_up.labels(name).set(self.is_up)
        metrics.engine_restarts.labels(name).set(self._engine.restarts)
        metrics.engine_requests.labels(name, "running").set(load.running)
        metrics.engine_requests.labels(name, "waiting").set(load.waiting)
        metrics.engine_kv_cache_used.labels(name).set(load.kv_cache_used)
