"""Gateways on one PostgreSQL see each other's changes, and serve on while it is away."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from gateway.access.api_keys import KeyStore, KeyTerms
from gateway.access.database import Database
from gateway.access.deny_list import DenyList
from gateway.access.limits import SECOND_NS
from gateway.access.table_reload import TableReload
from gateway.cli import app
from gateway.errors import DatabaseError
from gateway.settings import Settings
from node.errors import SettingsError
from tests.clis import CommandLine
from tests.databases import Postgres, postgres
from tests.factories import APPLICATION, SUPPLIER
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, Clock, Gateway, a_gateway

__all__ = ["postgres"]

pytestmark = pytest.mark.anyio

HI: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hi"}]


async def follow(stack: AsyncExitStack, gateway: Gateway, place: Path | str) -> TableReload:
    """Have a gateway follow tables elsewhere."""
    tables = stack.enter_context(Database(place))
    reload = TableReload(
        tables, KeyStore(tables), DenyList(tables), gateway.accounts, gateway.standing
    )
    await reload.step()
    return reload


async def test_gateways_follow_each_other_and_keep_known_keys_while_the_tables_are_away(
    tmp_path: Path, postgres: Postgres
) -> None:
    url = postgres.create()
    async with AsyncExitStack() as stack:
        one, other = [
            await stack.enter_async_context(a_gateway(tmp_path / name, FakeSupplier(name)))
            for name in ("one", "other")
        ]
        reloads = [await follow(stack, each, url) for each in (one, other)]
        key, row = reloads[0].keys.create("shop", APPLICATION)
        reloads[0].denied.deny(SUPPLIER, "slow")
        await reloads[1].step()
        assert SUPPLIER in other.standing.denied
        async with other.client(key) as client:
            ask = client.chat.completions.create
            assert (await ask(model=MODEL, messages=HI)).choices
            with pytest.raises(openai.AuthenticationError):
                await client.with_options(api_key="lode_sk_none").models.list()
            postgres.kill()
            for each in reloads:
                await each.step()
            assert (await ask(model=MODEL, messages=HI)).choices
            with pytest.raises(openai.InternalServerError) as refused:
                await client.with_options(api_key="lode_sk_none").models.list()
            assert refused.value.code == "database_unavailable"
            assert refused.value.response.headers["retry-after"] == "1"
            with pytest.raises(DatabaseError, match="cannot be used now"):
                reloads[0].keys.revoke(row.id)
            postgres.start()
            reloads[0].keys.revoke(row.id)
            await reloads[1].step()
            with pytest.raises(openai.AuthenticationError):
                await client.models.list()


async def test_a_gateway_that_starts_without_its_tables_refuses_nobody_for_good(
    tmp_path: Path, postgres: Postgres
) -> None:
    url = postgres.create()
    with Database(url) as tables:
        key, _ = KeyStore(tables).create("shop", APPLICATION)
    postgres.stop()
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(a_gateway(tmp_path, FakeSupplier("one")))
        reload = await follow(stack, gateway, url)
        async with gateway.client(key) as client:
            with pytest.raises(openai.InternalServerError):
                await client.models.list()
            postgres.start()
            await reload.step()
            assert (await client.models.list()).data


async def test_a_revoked_key_works_on_only_for_as_long_as_the_operator_lets_it(
    tmp_path: Path, postgres: Postgres
) -> None:
    clock, url = Clock(), postgres.create()
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(
            a_gateway(tmp_path, FakeSupplier("one"), clock=clock)
        )
        gateway.accounts.age_ns_max = 60 * SECOND_NS
        reload = await follow(stack, gateway, url)
        key, row = reload.keys.create("shop", APPLICATION)
        await reload.step()
        async with gateway.client(key) as client:
            postgres.stop()
            clock.passed = 59.0
            await reload.step()
            assert (await client.models.list()).data
            clock.passed = 61.0
            with pytest.raises(openai.InternalServerError) as refused:
                await client.models.list()
            assert refused.value.code == "database_unavailable"
            postgres.start()
            await reload.step()
            assert (await client.models.list()).data
            reload.keys.revoke(row.id)
            await reload.step()
            with pytest.raises(openai.AuthenticationError):
                await client.models.list()


async def test_no_change_is_lost_while_the_server_is_restarted(postgres: Postgres) -> None:
    """Every change that was acknowledged is there, whenever the server was killed."""
    url = postgres.create()
    made: list[str] = []

    def work(stop: asyncio.Event) -> None:
        with Database(url) as tables:
            keys = KeyStore(tables)
            while not stop.is_set():
                try:
                    made.append(keys.create("shop", APPLICATION, KeyTerms(daily_budget=1))[1].id)
                except DatabaseError:
                    continue

    stop = asyncio.Event()
    workers = [asyncio.create_task(asyncio.to_thread(work, stop)) for _ in range(3)]
    try:
        for end in (postgres.kill, postgres.stop):
            before = len(made)
            while len(made) < before + 20:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(end)
            await asyncio.to_thread(postgres.start)
        before = len(made)
        while len(made) < before + 5:
            await asyncio.sleep(0.01)
    finally:
        stop.set()
        await asyncio.gather(*workers)
    with Database(url) as tables:
        assert set(made) <= {each.id for each in KeyStore(tables).list()}


def test_the_command_line_works_on_shared_tables(tmp_path: Path, postgres: Postgres) -> None:
    url = postgres.create()
    environment = {
        "GATEWAY_DATABASE_URL": url,
        "GATEWAY_DATA_DIR": str(tmp_path),
        "GATEWAY_APPLICATION": "0x" + APPLICATION.hex(),
    }
    cli = CommandLine(app, environment)
    made = cli.run("keys", "create", "shop", "--rpm", 5)
    assert cli.run("keys", "update", made["id"], "--rpm", 6)["requests_per_minute"] == 6
    assert [each["id"] for each in cli.run("keys", "list")["keys"]] == [made["id"]]
    assert cli.run("suppliers", "deny", "0x" + SUPPLIER.hex())["denied"]
    assert cli.run("suppliers", "allow", "0x" + SUPPLIER.hex())["was_denied"]
    assert cli.run("keys", "revoke", made["id"])["revoked_at"]
    assert len(cli.run("audit")["actions"]) == 5
    assert list(tmp_path.iterdir()) == []
    postgres.stop()
    try:
        assert cli.refuse("keys", "list").startswith("database_unavailable: ")
    finally:
        postgres.start()


@pytest.mark.parametrize("url", ["mysql://root:secret@host/db", "nonsense secret", "sqlite:///x"])
def test_what_is_no_postgresql_is_refused_without_its_password(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_DATABASE_URL", url)
    with pytest.raises(SettingsError, match=r"database_url: .*postgresql://") as refused:
        Settings.load(None)
    assert "secret" not in str(refused.value)
