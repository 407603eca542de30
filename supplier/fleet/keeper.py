"""One engine in the supplier's hands: started, watched, shown, let go of."""

import asyncio
from dataclasses import dataclass
from typing import Any

from node.http import ClientPool
from node.settings import parse_hex
from supplier.engines.capacity import read_capacity
from supplier.engines.engine import build_engine
from supplier.engines.monitor import EngineMonitor
from supplier.engines.spec import ServiceSpec, hash_service_spec
from supplier.fleet.assignment import Offer
from supplier.metrics import Metrics
from supplier.server.endpoints import ServiceFace
from supplier.server.gate import Gate, Post
from supplier.server.scheduling import OutputPredictor
from supplier.server.stations import Station
from supplier.settings import AdmissionSettings, EngineSettings


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every engine of a node has around it."""

    pool: ClientPool
    metrics: Metrics
    predictor: OutputPredictor
    relays_open_max: int


@dataclass(frozen=True, slots=True)
class Model:
    """What an engine serves: how it shows itself, and its spec."""

    face: ServiceFace
    spec: ServiceSpec


class Keeper:
    """Keeps one engine running; relays reach it through its station."""

    def __init__(
        self, settings: EngineSettings, model: Model, around: Surroundings,
        admission: AdmissionSettings, *, is_port_taken: bool = False,
    ) -> None:  # fmt: skip
        """`is_port_taken`: by the engine in whose stead this one comes."""
        self.settings = settings
        self.model = model
        launched = settings.model_copy(update={"port": 0}) if is_port_taken else settings
        self.engine = build_engine(launched, around.pool, model.spec)
        capacity = read_capacity(settings, model.spec.task)
        post = Post(settings.name, capacity, around.relays_open_max)
        gate = Gate(admission, post, around.metrics, around.predictor)
        self.station = Station(
            settings.name,
            gate,
            settings.timeout_s,
            capacity.takes_priorities,
            model=model.spec.name,
        )
        self.monitor = EngineMonitor(settings.name, self.engine, around.pool, around.metrics)
        self.phase = "starting"
        self.task: asyncio.Task[None] | None = None
        self._metrics = around.metrics

    @property
    def name(self) -> str:
        """As in metrics and commands."""
        return self.settings.name

    @property
    def is_started(self) -> bool:
        """Whether it took relays since it was last let go of."""
        return self.phase == "serving"

    async def start(self) -> None:
        """Have it take relays, once it is healthy and checked; raises OperatorError."""
        self.phase = "starting"
        url = await self.engine.start()
        station = self.station
        self._metrics.engine_relays.labels(self.name).set_function(lambda: station.relays)
        self.station.reopen()
        self.station.move(url)
        self.phase = "serving"

    async def keep(self) -> None:
        """Keep a started one running, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.engine.watch(self.station.move))
            tasks.create_task(self.monitor.run(self.settings.watch_interval_s, self.station.move))

    async def drain(self) -> int:
        """Let what it has in hand end; returns how many relays did not in time."""
        self.phase = "draining"
        return await self.station.drain(self.settings.drain_s)

    async def stop(self) -> None:
        """Let go of it."""
        self.station.move(None)
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait({self.task})
            self.task = None
        await self.engine.stop()
        self.phase = "stopped"

    def summary(self) -> dict[str, Any]:
        """The engine in the words of the health page."""
        return self.monitor.summary() | {
            "phase": self.phase,
            "services": sorted("0x" + each.hex() for each in self.station.services),
            "model": self.model.spec.name,
            "relays": self.station.relays,
            "limit": self.station.gate.limit,
        }


def offer_of(settings: EngineSettings, model: Model) -> Offer:
    """What an engine of these settings, with this model, can serve."""
    meant = frozenset(parse_hex("engines.services", each, 32) for each in settings.services)
    return Offer(settings.name, hash_service_spec(model.spec), model.face.spec, meant)
