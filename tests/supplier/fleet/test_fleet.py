"""Engines as real processes: changed, restarted and killed under relays that never stop."""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from localnet.injector import engines_of
from node.errors import OperatorError
from node.http import ClientPool
from relay_mining import Status
from supplier.engines.process import EngineProcess
from supplier.engines.spec import hash_service_spec
from supplier.fleet import Fleet, open_fleet
from supplier.metrics import Metrics
from supplier.server.services import compute_spec
from supplier.settings import EngineSettings, Settings
from tests.factories import SERVICE
from tests.supplier.market import RelayWorld, a_body, read_response, relay_world

pytestmark = pytest.mark.anyio

DEMO = Path(__file__).parents[3] / "models" / "demo"
NAME = "0x" + SERVICE.hex()
SECOND = b"\x02" * 32


def engine(name: str = "engine", *arguments: str, **more: Any) -> dict[str, Any]:
    values = {"name": name, "model": str(DEMO), "watch_interval_s": 0.05, "drain_s": 20.0}
    return {**values, "arguments": list(arguments), **more}


def settings_of(*engines: dict[str, Any], **more: Any) -> Settings:
    one, several = {"engine": engines[0]}, {"engines": list(engines)}
    values: dict[str, Any] = {"services": [NAME], **(one if len(engines) == 1 else several)}
    return Settings.model_validate({**values, **more})


async def until(predicate: Any) -> None:
    async with asyncio.timeout(60):
        while not predicate():
            await asyncio.sleep(0.01)


@dataclass
class Running:
    """A fleet under a relay server; the listing is a dictionary."""

    fleet: Fleet
    world: RelayWorld
    metrics: Metrics
    listed: dict[bytes, bytes]
    needed: set[bytes] = field(default_factory=set)
    steps: list[str] = field(default_factory=list)

    async def apply(self, *engines: dict[str, Any], in_place: bool = False, **more: Any) -> None:
        await self.fleet.apply(settings_of(*engines, **more), self.steps.append, in_place)

    def states(self) -> dict[str, tuple[bool, str]]:
        return {each["name"]: (each["up"], each["phase"]) for each in self.fleet.summary()}

    def pid(self, name: str) -> int:
        process = self.fleet._keepers[name].engine
        assert isinstance(process, EngineProcess)
        assert process._process is not None
        return process._process.pid


@asynccontextmanager
async def running(folder: Path, settings: Settings) -> AsyncIterator[Running]:
    metrics = Metrics()
    listed = {SERVICE: hash_service_spec(compute_spec(EngineSettings(model=str(DEMO))))}
    needed: set[bytes] = set()

    async def spec_hash_of(service: bytes) -> bytes:
        return listed[service]

    async def is_needed(service: bytes) -> bool:
        return service in needed

    async with ClientPool() as pool:
        fleet = open_fleet(settings, pool, metrics)
        await fleet.assign(settings.services, spec_hash_of, is_needed)
        task = asyncio.create_task(fleet.run())
        try:
            async with relay_world(folder, stations=fleet.stations, engine_timeout_s=60) as world:
                await until(lambda: fleet.is_up.is_set() or task.done())
                yield Running(fleet, world, metrics, listed, needed)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await fleet.close()


class Traffic:
    """Relays that never stop, two plain ones and two streams at a time, or only plain ones."""

    def __init__(self, world: RelayWorld) -> None:
        self.world = world
        self.statuses: list[Status] = []
        self.failed: list[bytes] = []
        self.streams = True
        self._is_over = False

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator["Traffic"]:
        async with asyncio.TaskGroup() as tasks:
            for number in range(4):
                tasks.create_task(self._flow(number))
            try:
                yield self
            finally:
                self._is_over = True

    async def _flow(self, number: int) -> None:
        while not self._is_over:
            stream = number % 2 == 0 and self.streams
            body = a_body(max_tokens=24, stream=stream, model="lode-demo", temperature=0)
            signed = self.world.sign(body)
            answer = await self.world.post(body, signed)
            if answer.status != 200 or b'"error"' in answer.body:
                self.failed.append(answer.body)
            elif not stream:
                header = answer.headers.get(b"lode-response")
                self.statuses.append(read_response(signed, header, answer.body).response.status)
            else:
                self.statuses.append(Status.OK)

    async def more(self, count: int = 12) -> None:
        """Return after so many more answers."""
        goal = len(self.statuses) + count
        await until(lambda: len(self.statuses) >= goal or self.failed)


async def test_engines_are_changed_restarted_and_killed_and_every_relay_is_answered(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, settings_of(engine())) as now:
        async with Traffic(now.world).flowing() as traffic:
            await traffic.more()
            first = now.pid("engine")
            await now.apply(engine("a"), engine("b"))
            await traffic.more()
            assert now.states() == {"a": (True, "serving"), "b": (True, "serving")}
            await until(lambda: not runs(first))

            before = now.pid("a"), now.pid("b")
            flags = ("--max-num-seqs", "4")
            await now.apply(engine("a", *flags), engine("b", *flags))
            assert now.pid("a") not in before
            assert now.pid("b") not in before
            assert not any(runs(each) for each in before)
            assert {each["limit"] for each in now.fleet.summary()} == {4}
            await traffic.more()

            await now.fleet.restart("a", now.steps.append)
            await traffic.more()

            traffic.streams = False
            await traffic.more(20)
            killed = now.pid("b")
            os.kill(killed, signal.SIGKILL)
            await traffic.more()
            await until(lambda: now.states()["b"][0] and now.pid("b") != killed)
            await traffic.more()

        assert traffic.failed == []
        assert set(traffic.statuses) <= {Status.OK, Status.LENGTH}
        page = now.metrics.render().decode()
        assert 'supplier_engine_restarts{engine="b"} 1.0' in page
        assert 'engine="engine"' not in page
        loaded = [each for each in now.steps if each.endswith("loading")]
        assert loaded == [f"{name}: loading" for name in ("a", "b", "a", "b", "a")]


def runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_one_that_cannot_be_the_new_one_changes_nothing(tmp_path: Path) -> None:
    other = tmp_path / "model"
    shutil.copytree(DEMO, other)
    (other / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 3]}))
    async with running(tmp_path, settings_of(engine())) as now:
        first = now.pid("engine")
        for wrong, says in (
            (engine("engine", "--no-such-flag"), "ended with 2 before it was ready"),
            (engine("engine", model=str(other)), "has the spec hash"),
            (engine("engine", model=str(tmp_path)), "model's directory"),
        ):
            with pytest.raises(OperatorError, match=says):
                await now.apply(wrong)
            assert (now.pid("engine"), now.states()) == (first, {"engine": (True, "serving")})
        with pytest.raises(OperatorError, match="no engine is named b: there are engine"):
            await now.fleet.restart("b", now.steps.append)
        await now.world.relay(a_body(model="lode-demo"))


async def test_the_only_engine_is_started_again_where_it_was_killed_at_its_start(
    tmp_path: Path,
) -> None:
    async def kill_the_first() -> None:
        await until(lambda: bool(engines_of(os.getpid())))
        os.kill(engines_of(os.getpid())[0], signal.SIGKILL)

    killing = asyncio.create_task(kill_the_first())
    async with running(tmp_path, settings_of(engine())) as now:
        await killing
        assert now.states() == {"engine": (True, "serving")}
        await now.world.relay(a_body(model="lode-demo"))


async def test_in_place_the_old_one_goes_first_and_comes_back_where_the_new_one_fails(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, settings_of(engine())) as now:
        first = now.pid("engine")
        await now.apply(engine("engine", "--max-queue", "3"), in_place=True)
        assert not runs(first)
        assert [each.partition(": ")[2] for each in now.steps] == [
            "0 relays in hand, ending them", "unloaded", "loading", "serving",
        ]  # fmt: skip
        with pytest.raises(OperatorError):
            await now.apply(engine("engine", "--no-such-flag"), in_place=True)
        await until(lambda: now.states() == {"engine": (True, "serving")})
        await now.world.relay(a_body(model="lode-demo"))


async def test_other_weights_are_served_beside_the_old_until_those_are_needed_no_more(
    tmp_path: Path,
) -> None:
    other = tmp_path / "model"
    shutil.copytree(DEMO, other)
    (other / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 3]}))
    new, name = engine("new", model=str(other)), "0x" + SECOND.hex()
    async with running(tmp_path, settings_of(engine("old"))) as now:
        now.listed[SECOND] = hash_service_spec(compute_spec(EngineSettings(**new)))
        now.needed.add(SERVICE)
        with pytest.raises(OperatorError, match="still has sessions"):
            await now.apply(engine("old", model=str(other)), services=[name])
        await now.apply(engine("old"), new, services=[NAME, name])
        assert {each["name"]: each["services"] for each in now.fleet.summary()} == {
            "old": [NAME], "new": [name],
        }  # fmt: skip
        await now.apply(new, services=[name])
        await now.world.relay(a_body(model="lode-demo"))  # of the old service
        with pytest.raises(OperatorError, match="still leaving"):
            await now.apply(new, engine("old"), services=[NAME, name])
        assert set(now.fleet.faces) == {SERVICE, SECOND}
        now.needed.clear()
        await until(lambda: list(now.states()) == ["new"])
        assert set(now.fleet.faces) == {SECOND}


async def test_an_only_engine_that_cannot_start_ends_the_node_one_of_several_does_not(
    tmp_path: Path,
) -> None:
    broken = engine("broken", "--no-such-flag")
    metrics = Metrics()
    async with ClientPool() as pool:
        fleet = open_fleet(settings_of(broken), pool, metrics)
        with pytest.raises(ExceptionGroup) as raised:
            await fleet.run()
        assert isinstance(raised.value.exceptions[0], OperatorError)
        await fleet.close()
    async with running(tmp_path, settings_of(engine("good"), broken)) as now:
        await now.world.relay(a_body(model="lode-demo"))
        assert now.states() == {"good": (True, "serving"), "broken": (False, "starting")}
