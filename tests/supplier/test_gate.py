"""Relays that wait for the engine, over real sockets: their order, their bound, their leaving."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from relay_mining import SessionKey, Status
from supplier.server.scheduling import Priority
from supplier.settings import AdmissionSettings, ServerSettings
from tests.factories import OPERATOR_SIGNER, a_session, an_address
from tests.supplier.market import (
    FakeEngine,
    RelayWorld,
    a_body,
    read_response,
    relay_world,
    until,
)

pytestmark = pytest.mark.anyio

ONE = AdmissionSettings(active_max=1, active_min=1, wait_s_max=5.0)


def busy_engine() -> FakeEngine:
    """An engine that answers when its gate is opened."""
    return FakeEngine(gate=asyncio.Event())


class Clients:
    """Relays sent one after the other, each seen waiting before the next is sent."""

    def __init__(self, world: RelayWorld) -> None:
        self.world = world
        self.done: list[str] = []
        self.tasks: dict[str, asyncio.Task[Any]] = {}

    async def send(self, name: str, session: SessionKey | None = None, **body: Any) -> None:
        before = len(self.world.relays.open)
        data = a_body(user=name, **body)
        signed = self.world.sign(data, session=session, max_units=50_000)

        async def ask() -> Any:
            answer = await self.world.post(data, signed)
            self.done.append(name)
            return signed, answer

        self.tasks[name] = asyncio.create_task(ask())
        await until(lambda: len(self.world.relays.open) == before + 1 or self.tasks[name].done())

    def served(self) -> list[str]:
        """Whom the engine worked for, in order."""
        return [orjson.loads(each)["user"] for each in self.world.engine.bodies]


async def test_the_engine_works_on_one_and_takes_the_shortest_next(tmp_path: Path) -> None:
    engine = busy_engine()
    async with relay_world(tmp_path, engine=engine, admission=ONE) as world:
        clients = Clients(world)
        await clients.send("first", max_tokens=8)
        await clients.send("batch", max_tokens=1, service_tier="flex")
        await clients.send("long", max_tokens=64)
        await clients.send("short", max_tokens=2)
        assert clients.served() == ["first"]
        assert engine.gate is not None
        engine.gate.set()
        await asyncio.gather(*clients.tasks.values())

        assert clients.served() == ["first", "short", "long", "batch"]
        assert {each.result()[1].status for each in clients.tasks.values()} == {200}
        assert world.relays.open == {}


async def test_a_relay_that_is_passed_over_too_long_goes_first(tmp_path: Path) -> None:
    settings = ONE.model_copy(update={"deficit_units": 200})
    other = a_session(application=an_address("another"))
    engine = busy_engine()
    async with relay_world(tmp_path, engine=engine, admission=settings) as world:
        clients = Clients(world)
        await clients.send("first")
        await clients.send("long", session=other, max_tokens=64)
        for number in range(5):
            await clients.send(f"short {number}", max_tokens=4)
        assert engine.gate is not None
        engine.gate.set()
        await asyncio.gather(*clients.tasks.values())

        assert clients.served().index("long") == 4  # after three that gave it 90 units each


async def test_who_finds_no_place_in_time_is_refused_unpaid_and_owes_nothing(
    tmp_path: Path,
) -> None:
    impatient = ONE.model_copy(update={"wait_s_max": 0.05})
    async with relay_world(tmp_path, engine=busy_engine(), admission=impatient) as world:
        clients = Clients(world)
        await clients.send("first")
        await clients.send("second")
        signed, answer = await clients.tasks["second"]

        assert (answer.status, b"supplier_busy" in answer.body) == (503, True)
        response = read_response(signed, answer.headers.get(b"lode-response"), answer.body)
        assert (response.response.status, response.response.units) == (Status.REFUSED, 0)
        book = world.books.sessions[a_session().id]
        assert list(book.relays) == list(world.relays.open)  # the first one's alone
        assert world.engine.gate is not None
        world.engine.gate.set()
        assert (await clients.tasks["first"])[1].status == 200
        assert clients.served() == ["first"]


async def test_a_client_that_leaves_the_queue_frees_its_place(tmp_path: Path) -> None:
    engine = busy_engine()
    async with relay_world(tmp_path, engine=engine, admission=ONE) as world:
        clients = Clients(world)
        for name in ("first", "second", "third"):
            await clients.send(name)
        clients.tasks["second"].cancel()
        await until(lambda: len(world.relays.open) == 2)
        assert engine.gate is not None
        engine.gate.set()
        await clients.tasks["third"]

        assert clients.served() == ["first", "third"]
        assert world.books.sessions[a_session().id].meter.reserved > 0  # two receipts to come
        await clients.send("fourth")
        assert (await clients.tasks["fourth"])[1].status == 200  # no place was lost on the way


async def test_a_full_house_sends_a_batch_relay_away_for_an_interactive_one(
    tmp_path: Path,
) -> None:
    engine = busy_engine()
    async with relay_world(tmp_path, engine=engine, admission=ONE, relays_open_max=2) as world:
        clients = Clients(world)
        await clients.send("first")
        await clients.send("batch", service_tier="batch")
        await clients.send("more batch", service_tier="batch")
        assert (await clients.tasks["more batch"])[1].status == 503
        await clients.send("urgent")
        _, answer = await clients.tasks["batch"]
        assert (answer.status, b"took its place" in answer.body) == (503, True)
        await clients.send("another")  # nobody is left to send away
        assert (await clients.tasks["another"])[1].status == 503
        assert engine.gate is not None
        engine.gate.set()
        assert (await clients.tasks["urgent"])[1].status == 200
        assert clients.served() == ["first", "urgent"]


async def test_one_gateway_leaves_room_for_others(tmp_path: Path) -> None:
    engine = busy_engine()
    async with relay_world(
        tmp_path, engine=engine, admission=ONE, relays_open_max=3, gateway_relays_max=2
    ) as world:
        clients, other = Clients(world), replace(a_session(), gateway=an_address("another"))
        for name in ("first", "second", "third"):
            await clients.send(name)
        _, answer = await clients.tasks["third"]
        assert (answer.status, b"as many relays open here as one may" in answer.body) == (503, True)
        await clients.send("of another", session=other)
        assert not clients.tasks["of another"].done()
        assert engine.gate is not None
        engine.gate.set()
        assert (await clients.tasks["of another"])[1].status == 200
        await clients.tasks["second"]
        await clients.send("fourth")
        assert (await clients.tasks["fourth"])[1].status == 200


@pytest.mark.parametrize(("most", "percent", "found"), [(256, 75, 192), (1, 75, 1), (3, 34, 2)])
def test_what_one_gateway_may_have_is_rounded_up(most: int, percent: int, found: int) -> None:
    settings = ServerSettings(relays_open_max=most, gateway_percent_max=percent)
    assert settings.gateway_relays_max == found


async def test_a_relay_that_is_refused_sends_nobody_away(tmp_path: Path) -> None:
    engine = busy_engine()
    async with relay_world(tmp_path, engine=engine, admission=ONE, relays_open_max=2) as world:
        clients = Clients(world)
        await clients.send("first")
        await clients.send("batch", service_tier="batch")
        data = a_body()
        forged = await world.post(data, world.sign(data, signer=OPERATOR_SIGNER))
        scanty = await world.post(data, world.sign(data, max_units=1))

        assert (forged.status, b"wrong_signer" in forged.body) == (401, True)
        assert (scanty.status, b"max_units_too_small" in scanty.body) == (422, True)
        assert not clients.tasks["batch"].done()
        assert engine.gate is not None
        engine.gate.set()
        assert (await clients.tasks["batch"])[1].status == 200


async def test_a_relay_that_gives_up_at_that_moment_makes_room_by_itself(tmp_path: Path) -> None:
    engine = busy_engine()
    async with relay_world(tmp_path, engine=engine, admission=ONE) as world:
        clients, stations = Clients(world), world.relays.stations
        await clients.send("first")
        await clients.send("batch", service_tier="batch")
        (batch,) = (each for each in world.relays.open.values() if each.priority is Priority.BATCH)
        batch.stop()
        stations.make_room(Priority.INTERACTIVE)
        assert not stations.can_make_room(Priority.INTERACTIVE)
        await clients.tasks["batch"]
        await clients.send("next")
        assert engine.gate is not None
        engine.gate.set()
        assert (await clients.tasks["next"])[1].status == 200
        assert clients.served() == ["first", "next"]


async def test_many_clients_over_few_places_all_get_through(tmp_path: Path) -> None:
    few = AdmissionSettings(active_max=3, wait_s_max=30.0)
    async with relay_world(tmp_path, admission=few, relays_open_max=64) as world:

        async def ask(stream: bool) -> int:
            data = a_body(stream=stream)
            return (await world.post(data, world.sign(data, max_units=1_000))).status

        statuses = await asyncio.gather(*(ask(bool(each % 2)) for each in range(60)))

        assert set(statuses) == {200}
        page = world.relays.metrics.render().decode()
        assert 'supplier_queue_waiting{engine="engine",priority="interactive"} 0.0' in page
        assert 'supplier_active_relays_limit{engine="engine"} 3.0' in page


async def test_other_settings_count_from_now_on(tmp_path: Path) -> None:
    engine = busy_engine()
    async with relay_world(tmp_path, engine=engine, admission=ONE) as world:
        clients = Clients(world)
        for name in ("first", "second", "third"):
            await clients.send(name)
        assert clients.served() == ["first"]
        world.relays.stations.configure(
            ONE.model_copy(update={"active_max": 2, "deficit_units": 0})
        )
        await until(lambda: len(clients.served()) == 2)
        assert engine.gate is not None
        engine.gate.set()
        assert {(await each)[1].status for each in clients.tasks.values()} == {200}
