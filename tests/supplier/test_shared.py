"""Relay servers over one real PostgreSQL: leases, the log, seals, and who serves whom."""

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr

from node.append_log import LogFailed
from node.errors import OperatorError
from relay_mining import SessionKey
from supplier.errors import BusyError, MisdirectedError
from supplier.metrics import Metrics
from supplier.mining.chain_view import ChainView
from supplier.mining.postgres import CONNECT_S, KEEPALIVE_S
from supplier.mining.receipt_log import SessionSealedError
from supplier.mining.records import Closed, Opened, Receipted, Sealed, Served
from supplier.settings import Settings, SharedSettings
from supplier.shared import Database, FencedError, SharedReader, Sharing
from supplier.shared.database import Connection
from supplier.shared.membership import Membership
from tests.databases import Postgres, postgres
from tests.factories import DOMAIN, SUPPLIER, a_hash, a_session
from tests.supplier.market import FakeMarket, RelayWorld, a_body, facts_of, relay_world
from tests.supplier.sharing import LEASE_S, Server, a_server, let_lease_pass

__all__ = ["postgres"]
pytestmark = pytest.mark.anyio

SALT = a_hash("salt")


def a_key(gateway: int = 1, number: int = 7) -> SessionKey:
    key = a_session()
    return SessionKey(key.application, bytes([gateway]) * 20, key.service, number)


def a_receipt(key: SessionKey, name: object) -> Receipted:
    return Receipted(
        key.id, a_hash(f"q{name}"), a_hash(f"r{name}"), a_hash("secret"), 1000, bytes(65), ()
    )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def test_the_oldest_server_leads_and_hands_over_when_it_leaves(postgres: Postgres) -> None:
    url = postgres.create()
    async with a_server(url, "a") as first, a_server(url, "b") as second:
        await first.membership.beat()
        assert (first.membership.is_leader, second.membership.is_leader) == (True, False)

        await first.membership.leave()
        await second.membership.beat()

        assert (first.membership.is_leader, second.membership.is_leader) == (False, True)


async def test_a_server_that_was_silent_is_fenced_and_writes_nothing(postgres: Postgres) -> None:
    url, key = postgres.create(), a_key()
    async with a_server(url, "a") as stopped, a_server(url, "b") as other:
        await stopped.log.append([Opened(facts_of(key), SALT)])
        let_lease_pass(url, stopped)
        assert not stopped.membership.is_leader

        await other.membership.beat()

        assert other.membership.is_leader
        with pytest.raises(FencedError):
            await stopped.log.append([a_receipt(key, 1)])
        with pytest.raises(FencedError):
            await stopped.log.seal(key.id)
        with pytest.raises(FencedError):
            await stopped.membership.beat()
        assert [type(each) for each in other.log.read([key.id])] == [Opened]


async def test_who_was_late_himself_judges_nobody(postgres: Postgres) -> None:
    """As when the database was away for longer than a lease: everybody's row is overdue."""
    url = postgres.create()
    async with a_server(url, "a") as first, a_server(url, "b") as second:
        let_lease_pass(url, first)
        let_lease_pass(url, second)

        await second.membership.beat()
        await first.membership.beat()

        assert first.membership.servers == {1: "http://a", 2: "http://b"}
        assert first.membership.is_leader


async def test_who_was_late_himself_waits_for_those_who_come_back_later(postgres: Postgres) -> None:
    """Neither the beats after the first one nor a gateway that asks may end them."""
    url, key = postgres.create(), a_key()
    async with a_server(url, "a") as first, a_server(url, "b") as second:
        await second.shards.require(key.gateway)
        let_lease_pass(url, first)
        let_lease_pass(url, second)

        await first.membership.beat()
        await first.membership.beat()
        with pytest.raises(BusyError):
            await first.shards.require(key.gateway)
        await second.membership.beat()
        assert second.shards.owns(key.gateway)

        let_lease_pass(url, second)
        first.clock.ahead += LEASE_S - 1
        await first.membership.beat()
        first.clock.ahead += CONNECT_S + 1
        await first.membership.beat()
        with pytest.raises(FencedError):
            await second.membership.beat()


async def test_a_restarted_server_takes_its_own_place_at_once(postgres: Postgres) -> None:
    url, key = postgres.create(), a_key()
    async with a_server(url, "a") as before:
        await before.shards.require(key.gateway)
        async with a_server(url, "a") as after:
            await after.shards.require(key.gateway)

            assert after.shards.owns(key.gateway)
            assert after.membership.servers == {2: "http://a"}
            with pytest.raises(FencedError):
                await before.membership.beat()


async def test_a_database_of_another_supplier_is_refused(postgres: Postgres) -> None:
    url = postgres.create()
    async with a_server(url, "a"):
        database = Database(url)
        with pytest.raises(OperatorError, match="another supplier"):
            await Membership(database, "http://c", LEASE_S).join(bytes(20))
        await database.close()


async def test_receipts_are_in_the_log_in_their_order_when_they_are_acknowledged(
    postgres: Postgres,
) -> None:
    url, key = postgres.create(), a_key()
    async with a_server(url, "a") as server:
        await server.log.append([Opened(facts_of(key), SALT)])
        await asyncio.gather(*(server.log.append([a_receipt(key, n)]) for n in range(200)))
        server.log.note(Served(key.id, a_hash("q"), a_hash("r"), 5))
        await server.log.close()

        assert list(server.log.receipts(7, key.id)) == [a_receipt(key, n) for n in range(200)]
        replayed = list(SharedReader(Database(url)).replay())
        assert len(replayed) == 202
        assert replayed[-1] == Served(key.id, a_hash("q"), a_hash("r"), 5)


async def test_nothing_is_acknowledged_behind_a_seal(postgres: Postgres) -> None:
    """Another server seals while receipts stream in: what was acknowledged is what is claimed."""
    url, key = postgres.create(), a_key()
    async with a_server(url, "a") as leader, a_server(url, "b") as serving:
        await serving.log.append([Opened(facts_of(key), SALT)])
        acknowledged: list[Receipted] = []
        refused = asyncio.Event()

        async def deliver(lane: int) -> None:
            number = 0
            while not refused.is_set():
                number += 1
                receipt = a_receipt(key, (lane, number))
                try:
                    await serving.log.append([receipt])
                except SessionSealedError as error:
                    assert error.sessions == {key.id}
                    refused.set()
                else:
                    acknowledged.append(receipt)

        lanes = [asyncio.create_task(deliver(lane)) for lane in range(8)]
        await until(lambda: len(acknowledged) > 100)
        await leader.log.seal(key.id)
        claimed = set(leader.log.receipts(7, key.id))
        await asyncio.gather(*lanes)

        assert claimed == set(acknowledged)
        assert set(leader.log.receipts(7, key.id)) == claimed
        await leader.log.seal(key.id)
        seals = [each for each in leader.log.read([key.id]) if isinstance(each, Sealed)]
        assert seals == [Sealed(key.id)]


async def test_a_database_that_is_killed_keeps_what_was_acknowledged(postgres: Postgres) -> None:
    """Once: what is sent again after the connection was lost is not in the log twice."""
    url, key = postgres.create(), a_key()
    async with a_server(url, "a") as server:
        await server.log.append([Opened(facts_of(key), SALT)])
        done: list[Receipted] = []

        async def deliver(lane: int) -> None:
            for number in range(40):
                receipt = a_receipt(key, (lane, number))
                await server.log.append([receipt])
                done.append(receipt)

        lanes = [asyncio.create_task(deliver(lane)) for lane in range(4)]
        await until(lambda: len(done) > 20)
        await asyncio.to_thread(postgres.kill)
        before = list(done)
        await asyncio.to_thread(postgres.start)
        await asyncio.gather(*lanes)

        found = [each for each in server.log.read([key.id]) if isinstance(each, Receipted)]
        assert len(found) == len(set(found)) == 160
        assert set(before) <= set(found)


async def test_a_server_started_without_its_database_waits_for_it(
    postgres: Postgres, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shared = SharedSettings(database_url=SecretStr(postgres.create()), url="http://a")
    view = ChainView(FakeMarket(), SUPPLIER, 0, 0.01)  # type: ignore[arg-type]
    postgres.stop()
    sharing = Sharing.open(Settings(data_dir=tmp_path, shared=shared), view, DOMAIN, Metrics())
    running = asyncio.create_task(sharing.run())
    await until(lambda: "waiting for the shared database" in caplog.text)

    await asyncio.to_thread(postgres.start)
    async with asyncio.timeout(30):
        await sharing.started()

    assert sharing.store.history() == {}
    assert sharing.membership.is_leader
    running.cancel()
    await sharing.close()


async def test_a_database_that_takes_no_records_fails_whoever_waits(postgres: Postgres) -> None:
    url, key = postgres.create(), a_key()
    async with a_server(url, "a") as server:
        await server.databases[0].run(lambda link: link.execute("DROP TABLE relay_record"))
        async with asyncio.timeout(20):
            with pytest.raises(LogFailed, match="relay_record"):
                await server.log.append([Opened(facts_of(key), SALT)])


async def test_a_connection_asks_whether_a_silent_machine_is_there(postgres: Postgres) -> None:
    def idle_s(link: Connection) -> int:
        with socket.socket(fileno=os.dup(link.fileno())) as held:
            return held.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)

    database = Database(postgres.create())
    assert await database.run(idle_s) == KEEPALIVE_S
    await database.close()


async def test_gateways_are_given_to_whoever_serves_the_fewest(postgres: Postgres) -> None:
    url = postgres.create()
    async with a_server(url, "a") as first, a_server(url, "b") as second:
        for gateway in range(1, 7):
            for server in (first, second):
                try:
                    await server.shards.require(a_key(gateway).gateway)
                except MisdirectedError as error:
                    assert error.url in (first.url, second.url) != server.url

        assert len(first.shards.owned) == len(second.shards.owned) == 3
        assert not first.shards.owned & second.shards.owned


async def test_of_a_stranger_that_brings_receipts_nothing_is_kept(postgres: Postgres) -> None:
    url = postgres.create()
    async with a_server(url, "a") as server:
        await server.shards.require_known(bytes(20))
        assert not server.shards.owned


async def test_a_dead_servers_gateways_are_taken_over_with_their_books(postgres: Postgres) -> None:
    url, key = postgres.create(), a_key()
    async with a_server(url, "a") as heir, a_server(url, "b") as dead:
        await dead.shards.require(key.gateway)
        await dead.log.append([Opened(facts_of(key), SALT)])
        await dead.log.append([a_receipt(key, n) for n in range(5)])
        with pytest.raises(MisdirectedError, match="http://b"):
            await heir.shards.require(key.gateway)

        let_lease_pass(url, dead)
        assert not dead.shards.owns(key.gateway)
        with pytest.raises(BusyError):
            await dead.shards.require(key.gateway)
        heir.clock.ahead += 1  # what it had heard of the other is forgotten
        await heir.shards.require_known(key.gateway)

        assert heir.shards.owns(key.gateway)
        totals = heir.books.sessions[key.id].totals
        assert (totals.receipts, totals.receipted) == (5, 5000)


async def test_past_sessions_are_forgotten_once_they_are_sealed(postgres: Postgres) -> None:
    url, key = postgres.create(), a_key()
    async with a_server(url, "a") as server:
        await server.log.append([Opened(facts_of(key), SALT)])
        server.books.open(facts_of(key), SALT)
        await server.shards.tidy(8)
        assert key.id in server.books.sessions

        await server.log.seal(key.id)
        await server.shards.tidy(7)
        assert not server.books.sessions[key.id].is_sealed
        await server.shards.tidy(9)
        assert server.books.sessions[key.id].is_sealed
        await server.shards.tidy(10)
        assert key.id not in server.books.sessions


async def test_closed_sessions_leave_the_log(postgres: Postgres) -> None:
    url, old, new = postgres.create(), a_key(number=7), a_key(number=8)
    async with a_server(url, "a") as server:
        for key in (old, new):
            await server.log.append([Opened(facts_of(key), SALT)])
            await server.log.append([Closed(key.id, "settled")])
        assert list(SharedReader(Database(url)).replay()) == []
        server.log.drop_before(9)
        await server.log.append([Opened(facts_of(a_key(number=9)), SALT)])
        await server.log.close()

        assert list(server.log.read([old.id])) == []
        assert len(list(server.log.read([new.id]))) == 2


async def two_worlds(stack: AsyncExitStack, url: str, folder: Path) -> list[RelayWorld]:
    """Two relay servers that take relays, each with an engine; the newer one is free."""
    worlds = []
    for name in "ab":
        server = await stack.enter_async_context(a_server(url, name))
        worlds.append(await stack.enter_async_context(relay_world(folder / name, shared=server)))
    return worlds


def shared_of(world: RelayWorld) -> Server:
    assert world.shared is not None
    return world.shared


async def test_a_misdirected_relay_is_told_where_to_go(postgres: Postgres, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        other, owner = await two_worlds(stack, postgres.create(), tmp_path)
        body = a_body()

        answer = await other.post(body, other.sign(body))

        assert (answer.status, b'"misdirected"' in answer.body) == (421, True)
        assert answer.headers.get(b"lode-server") == shared_of(owner).url.encode()
        signed, response = await owner.relay(body)
        receipt = owner.receipt(signed, response)
        misdirected = await other.deliver(receipt)
        assert misdirected.status == 421
        assert misdirected.headers.get(b"lode-server") == shared_of(owner).url.encode()
        assert (await owner.deliver(receipt)).status == 200


async def test_who_is_served_elsewhere_costs_no_look_at_the_chain(
    postgres: Postgres, tmp_path: Path
) -> None:
    """A stranger may repeat a session key that he saw: others' lookups are not his to fill."""
    async with AsyncExitStack() as stack:
        other, _ = await two_worlds(stack, postgres.create(), tmp_path)
        shared_of(other).shards._clock = lambda: 0.0  # what it heard of the owner stays true
        body = a_body()
        for _ in range(5):
            assert (await other.post(body, other.sign(body))).status == 421
        assert other.market.asked == 1


async def test_the_heir_of_a_dead_server_takes_its_receipts_and_relays(
    postgres: Postgres, tmp_path: Path
) -> None:
    """What was signed and logged is owed to the heir; nothing acknowledged is missing there."""
    url = postgres.create()
    async with AsyncExitStack() as stack:
        heir, dead = await two_worlds(stack, url, tmp_path)
        done, owed = await dead.relay(), await dead.relay()
        assert (await dead.deliver(dead.receipt(*done))).status == 200
        await shared_of(dead).log.close()
        let_lease_pass(url, shared_of(dead))

        assert (await dead.post(a_body(), dead.sign(a_body()))).status == 503
        assert (await heir.deliver(heir.receipt(*owed))).status == 200
        assert (await heir.deliver(heir.receipt(*done))).status == 200
        await heir.relay()

        book = heir.books.sessions[done[0].session.id]
        assert book.totals.receipts == 2
        assert len(list(shared_of(heir).log.receipts(7, book.session_id))) == 2


async def test_receipts_of_a_session_that_another_server_sealed_are_refused_and_forgotten(
    postgres: Postgres, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        leader, owner = await two_worlds(stack, postgres.create(), tmp_path)
        first, second = await owner.relay(), await owner.relay()
        assert (await owner.deliver(owner.receipt(*first))).status == 200
        session_id = first[0].session.id
        await shared_of(leader).log.seal(session_id)

        late = owner.receipt(*second)
        assert (await owner.deliver(late)).status == 503
        assert not owner.desk.has_failed
        assert (await owner.deliver(late)).status == 422
        assert (await owner.deliver(owner.receipt(*first))).status == 200
        assert len(list(shared_of(leader).log.receipts(7, session_id))) == 1
