"""All engines of a supplier: kept running side by side, restarted, changed without a gap.

An engine that is to be another one is loaded beside the old one and checked; then relays go to the
new one, what the old one has in hand ends, and it is let go of. So a service is served at every
instant, at the price of room for both; without it (`in_place`) the old one goes first.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence, Set
from contextlib import contextmanager
from typing import Any

from contracts import ChainError
from node.errors import OperatorError
from node.http import ClientPool
from node.settings import parse_hex
from relay_mining import Hash32
from supplier.engines.process import BACK_OFF_S_MAX, BACK_OFF_S_MIN, EngineKilledError
from supplier.fleet.assignment import assign_services
from supplier.fleet.keeper import Keeper, Model, Surroundings, offer_of
from supplier.fleet.plan import Change, plan_change
from supplier.metrics import Metrics
from supplier.server.endpoints import ServiceFace
from supplier.server.scheduling import OutputPredictor
from supplier.server.services import build_face
from supplier.server.stations import Stations
from supplier.settings import AdmissionSettings, EngineSettings, Settings

log = logging.getLogger(__name__)

NEEDED_PAUSE_S = 2.0

Listed = Callable[[Hash32], Awaitable[Hash32]]
"""The spec hash that a service is listed with; raises OperatorError or ChainError."""
IsNeeded = Callable[[Hash32], Awaitable[bool]]
"""Whether a service that is offered no more still has sessions to serve or to claim."""
Say = Callable[[str], None]


class Fleet:
    """Every engine of a node; relays find them in `stations`, services their faces in `faces`."""

    def __init__(self, models: dict[str, Model], settings: Settings, around: Surroundings) -> None:
        self.stations = Stations()
        self.faces: dict[Hash32, ServiceFace] = {}
        self._around = around
        self._admission = settings.admission
        self._keepers = {
            each.name: Keeper(each, models[each.name], around, settings.admission)
            for each in settings.all_engines
        }
        for keeper in self._keepers.values():
            self.stations.add(keeper.station)
        self._leaving: list[Keeper] = []
        self._tasks: asyncio.TaskGroup
        self._is_changing = False
        self._proposed: Settings | None = None
        self._listed: Listed = _refuse
        self._is_needed: IsNeeded = _refuse
        self.is_up = asyncio.Event()
        """Set when the first engine takes relays."""

    @property
    def urls(self) -> list[str]:
        """Where the engines are that take relays."""
        return [each.url for each in self.stations if each.is_open and each.url is not None]

    def summary(self) -> list[dict[str, Any]]:
        """Every engine in the words of the health page."""
        return [each.summary() for each in (*self._keepers.values(), *self._leaving)]

    async def assign(self, services: list[str], listed: Listed, is_needed: IsNeeded) -> None:
        """Have every engine serve what is listed for its model; raises OperatorError."""
        self._listed, self._is_needed = listed, is_needed
        offers = [offer_of(each.settings, each.model) for each in self._keepers.values()]
        for name, found in assign_services(offers, await self._read_listed(services)).items():
            self._give(self._keepers[name], found)

    def configure(self, admission: AdmissionSettings) -> None:
        """Go by other settings of admission from now on."""
        self._admission = admission
        self.stations.configure(admission)

    async def run(self) -> None:
        """Start every engine and keep it running, until cancelled.

        Raises OperatorError where the only engine cannot be started; one of several, or one that
        was killed at its start, is tried again.
        """
        async with asyncio.TaskGroup() as self._tasks:
            for keeper in self._keepers.values():
                self._around.metrics.engine_up.labels(keeper.name).set(0)
                self._launch(keeper)
            await asyncio.Event().wait()

    async def close(self) -> None:
        """Stop every engine."""
        keepers = (*self._keepers.values(), *self._leaving)
        await asyncio.gather(*(each.stop() for each in keepers))

    async def restart(self, name: str, say: Say) -> None:
        """Let what an engine has in hand end, then start it anew; raises OperatorError."""
        keeper = self._keepers.get(name)
        if keeper is None:
            raise OperatorError(f"no engine is named {name}: there are {', '.join(self._keepers)}")
        if keeper.settings.url is not None:
            raise OperatorError(f"engine {name} runs by itself at a URL: restart it there")
        with self._changing():
            await self._unload(keeper, say)
            say(f"{name}: loading")
            try:
                await keeper.start()
            finally:
                self._launch(keeper)  # one that failed is tried again
            say(f"{name}: serving")

    async def apply(self, settings: Settings, say: Say, in_place: bool = False) -> None:
        """Make the engines those of the settings; raises OperatorError, the old ones serving on.

        An engine of a service that is offered no more serves until its last session is claimed.
        """
        with self._changing():
            wanted = {each.name: each for each in settings.all_engines}
            change = plan_change({n: k.settings for n, k in self._keepers.items()}, wanted)
            listed = await self._read_listed(settings.services)
            newcomers = [
                await self._hire(wanted[name]) for name in (*change.begin, *change.replace)
            ]
            models = {n: k.model for n, k in self._keepers.items()}
            models |= {each.name: each.model for each in newcomers}
            offers = [offer_of(each, models[name]) for name, each in wanted.items()]
            assigned = assign_services(offers, listed)
            dropped = self.faces.keys() - listed.keys()
            await self._refuse_gap(dropped, change)
            for keeper in newcomers:
                keeper.station.services = assigned[keeper.name]
                await self._bring_in(keeper, say, in_place)
            for name, keeper in self._keepers.items():
                if name in wanted:
                    keeper.settings = wanted[name]
                    kept = keeper.station.services & dropped
                    self._give(keeper, assigned[name] | kept)
            retired = [self._keepers.pop(name) for name in change.retire]
            self._leaving += retired
            self._tasks.create_task(self._let_go(frozenset(dropped), retired))

    def propose(self, settings: Settings) -> None:
        """Apply settings in the background, once; those that do not work change nothing."""
        if settings is self._proposed:
            return
        self._proposed = settings
        self._tasks.create_task(self._apply_proposed(settings))

    async def _apply_proposed(self, settings: Settings) -> None:
        try:
            await self.apply(settings, log.info)
        except (OperatorError, ChainError) as error:
            log.error("the engines stay as they are: %s", error)  # noqa: TRY400

    @contextmanager
    def _changing(self) -> Iterator[None]:
        if self._is_changing:
            raise OperatorError("the engines are being changed: wait until that is done")
        self._is_changing = True
        try:
            yield
        finally:
            self._is_changing = False

    async def _read_listed(self, services: list[str]) -> dict[Hash32, Hash32]:
        keys = [parse_hex("services", each, 32) for each in services]
        return {key: await self._listed(key) for key in keys}

    async def _hire(self, settings: EngineSettings) -> Keeper:
        """The keeper of an engine that is not started yet; its weights are hashed meanwhile."""
        if settings.name in {each.name for each in self._leaving}:
            raise OperatorError(f"engine {settings.name} is still leaving: give the new one a name")
        model = Model(*await asyncio.to_thread(build_face, settings))
        old = self._keepers.get(settings.name)
        is_port_taken = old is not None and old.engine.url is not None
        return Keeper(settings, model, self._around, self._admission, is_port_taken=is_port_taken)

    async def _refuse_gap(self, dropped: Collection[Hash32], change: Change) -> None:
        """Refuse to put another model in the place of one that is still needed."""
        for service in dropped:
            left = [
                keeper for name, keeper in self._keepers.items()
                if service in keeper.station.services and name not in change.replace
            ]  # fmt: skip
            if not left and await self._is_needed(service):
                raise OperatorError(
                    f"service 0x{service.hex()} still has sessions, and its engine would be "
                    "another: name the new one beside it in [[engines]], and take the old one out"
                )

    async def _bring_in(self, new: Keeper, say: Say, in_place: bool) -> None:
        """Have a newcomer serve, in the stead of the one of its name where there is one."""
        old = self._keepers.get(new.name)
        if old is not None and in_place:
            await self._unload(old, say)
        say(f"{new.name}: loading")
        try:
            await new.start()
        except BaseException:
            await new.stop()
            if old is not None and in_place:
                self._launch(old)
            raise
        if old is None:
            self.stations.add(new.station)
        else:
            self.stations.replace(old.station, new.station)
        self._keepers[new.name] = new
        self._give(new, new.station.services)
        self._launch(new)
        say(f"{new.name}: serving")
        if old is not None and not in_place:
            await self._unload(old, say)

    async def _unload(self, keeper: Keeper, say: Say) -> None:
        """Let what an engine has in hand end within the bound, then stop it."""
        say(f"{keeper.name}: {keeper.station.relays} relays in hand, ending them")
        left = await keeper.drain()
        if left:
            bound_s = keeper.settings.drain_s
            say(f"{keeper.name}: {left} did not end in {bound_s} s, and are broken off")
        await keeper.stop()
        say(f"{keeper.name}: unloaded")

    async def _let_go(self, dropped: Set[Hash32], retired: Sequence[Keeper]) -> None:
        """Retire engines, those of services that are still needed once they are not."""
        for keeper in retired:
            if not keeper.station.services & dropped:
                await self._dismiss(keeper)
        for service in dropped:
            while await self._is_needed(service):  # noqa: ASYNC110  the chain is asked
                await asyncio.sleep(NEEDED_PAUSE_S)
            self.faces.pop(service, None)
            for station in self.stations:
                station.services -= {service}
        for keeper in retired:
            if keeper in self._leaving:
                await self._dismiss(keeper)

    async def _dismiss(self, keeper: Keeper) -> None:
        await self._unload(keeper, log.info)
        self.stations.remove(keeper.station)
        self._leaving.remove(keeper)
        self._around.metrics.forget_engine(keeper.name)

    def _give(self, keeper: Keeper, services: frozenset[Hash32]) -> None:
        """Have an engine serve some services, and show them."""
        keeper.station.services = services
        for service in services:
            self.faces.setdefault(service, keeper.model.face)

    def _launch(self, keeper: Keeper) -> None:
        keeper.task = self._tasks.create_task(self._run(keeper))

    async def _run(self, keeper: Keeper) -> None:
        """Keep an engine running until cancelled, once it could be started."""
        pause_s = BACK_OFF_S_MIN
        while not keeper.is_started:
            try:
                await keeper.start()
            except OperatorError as error:
                is_hopeless = not isinstance(error, EngineKilledError)
                if is_hopeless and len(self._keepers) == 1 and not self.is_up.is_set():
                    raise
                log.error("engine %s: %s", keeper.name, error)  # noqa: TRY400
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, BACK_OFF_S_MAX)
        self.is_up.set()
        await keeper.keep()


async def _refuse(service: Hash32) -> Any:
    """What stands where the chain will, until it is reached."""
    raise OperatorError("the node waits for the chain, which says what services are of: ask again")


def open_fleet(settings: Settings, pool: ClientPool, metrics: Metrics) -> Fleet:
    """The engines of the settings, to be run; raises OperatorError where a model is not there."""
    around = Surroundings(pool, metrics, OutputPredictor(), settings.server.relays_open_max)
    models = {each.name: Model(*build_face(each)) for each in settings.all_engines}
    return Fleet(models, settings, around)
