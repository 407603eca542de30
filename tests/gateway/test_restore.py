"""Going back to a copy, as the docs say: what was changed since is gone, what was spent is not."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest

from gateway.access.api_keys import KeyStore, KeyTerms
from gateway.access.audit_log import read_actions
from gateway.access.database import Database
from gateway.access.deny_list import DenyList
from gateway.access.terms import Terms
from tests.databases import Postgres, postgres
from tests.factories import APPLICATION, SUPPLIER
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, Gateway, a_gateway
from tests.gateway.test_shared_tables import follow

__all__ = ["postgres"]

pytestmark = pytest.mark.anyio

Place = Path | str
REQUESTS_MAX = 500
"""Far more than the budget pays for."""


@dataclass(frozen=True)
class Keeping:
    """Tables that a copy can be made of."""

    place: Place
    copy: Callable[[], None]
    restore: Callable[[], Place]
    """Puts the copy where a gateway is to look for it, and returns that."""


def run(program: str, *arguments: object) -> None:
    """Run a program of the database's, skipping the test where there is none."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    subprocess.run([program, *map(str, arguments)], check=True, capture_output=True, timeout=60)


@pytest.fixture(params=["sqlite", "postgresql"])
def keeping(request: pytest.FixtureRequest, tmp_path: Path) -> Keeping:
    """Each kind of tables, copied and put back by the commands in the docs."""
    copy = tmp_path / "copy"
    if request.param == "sqlite":
        place = tmp_path / "tables" / "keys.db"
        return Keeping(
            place, lambda: run("sqlite3", place, f".backup {copy}"), lambda: copy.replace(place)
        )
    server: Postgres = request.getfixturevalue("postgres")
    url = server.create()

    def restore() -> str:
        anew = server.create()
        run("psql", "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--file={copy}", anew)
        return anew

    return Keeping(url, lambda: run("pg_dump", f"--file={copy}", url), restore)


def read(place: Place) -> dict[str, object]:
    """What is in the tables."""
    with Database(place) as tables:
        keys = KeyStore(tables)
        return {
            "keys": [each.model_dump() for each in keys.list()],
            "projects": [each.model_dump() for each in keys.projects.list()],
            "denied": DenyList(tables).rows(),
            "actions": read_actions(tables),
        }


@asynccontextmanager
async def serving(folder: Path, fake: FakeSupplier, place: Place) -> AsyncIterator[Gateway]:
    """A gateway on the logs of a folder and the tables of a place."""
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(a_gateway(folder, fake))
        await follow(stack, gateway, place)
        yield gateway


async def ask(gateway: Gateway, key: str) -> Any:
    async with gateway.client(key) as client:
        return await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "hi"}], max_tokens=50
        )


async def spend_all(gateway: Gateway, key: str) -> None:
    """Ask until a budget is spent."""
    with pytest.raises(openai.RateLimitError) as refused:
        for _ in range(REQUESTS_MAX):
            await ask(gateway, key)
    assert refused.value.code == "insufficient_quota"


async def test_from_a_copy_of_the_tables_a_gateway_goes_on_with_all_that_was_spent(
    tmp_path: Path, keeping: Keeping
) -> None:
    fake, logs = FakeSupplier("one"), tmp_path / "data"
    with Database(keeping.place) as tables:
        keys = KeyStore(tables)
        project = keys.projects.create("shop", Terms(monthly_budget=10**6))
        terms = KeyTerms(daily_budget=10)
        key, _ = keys.create("web", APPLICATION, terms, project.id)
        leaked, leaked_row = keys.create("leaked", APPLICATION)
        DenyList(tables).deny(SUPPLIER, "slow")
        async with serving(logs, fake, keeping.place) as gateway:
            await ask(gateway, key)
        before = read(keeping.place)
        await asyncio.to_thread(keeping.copy)
        late, late_row = keys.create("late", APPLICATION)
        keys.revoke(leaked_row.id)
        DenyList(tables).allow(SUPPLIER)
        async with serving(logs, fake, keeping.place) as gateway:
            await spend_all(gateway, key)
            await ask(gateway, late)
            await gateway.settled()
            books = gateway.ledger.summary()
            spent = gateway.accounts.project_spending()
        assert read(keeping.place) != before

    restored = await asyncio.to_thread(keeping.restore)
    assert read(restored) == before
    async with serving(logs, fake, restored) as gateway:
        assert gateway.ledger.summary() == books
        assert gateway.accounts.project_spending() == spent
        assert len(gateway.deliverer.outbox) == 0
        assert SUPPLIER in gateway.standing.denied
        with pytest.raises(openai.RateLimitError):
            await ask(gateway, key)  # what was spent since the copy counts
        with pytest.raises(openai.AuthenticationError):
            await ask(gateway, late)  # whose spending is in the books all the same
        assert gateway.ledger.totals.keys[late_row.id].requests == 1
        assert (await ask(gateway, leaked)).choices  # to be revoked again


async def test_an_older_copy_of_the_logs_delivers_again_and_forgets_what_came_since(
    tmp_path: Path,
) -> None:
    fake, copied, since = FakeSupplier("one", refuse_receipts=10**9), 3, 2
    async with a_gateway(tmp_path / "lost", fake) as gateway:
        for _ in range(copied):
            await ask(gateway, gateway.key)
        async with asyncio.timeout(60):
            while gateway.settler.waiting:
                await asyncio.sleep(0.01)
        await gateway.ledger.flush()
        books = gateway.ledger.summary()
        shutil.copytree(tmp_path / "lost", tmp_path / "copy")
        fake.refuse_receipts = 0
        for _ in range(since):
            await ask(gateway, gateway.key)
        await gateway.settled()
    receipts = dict(fake.receipts)
    assert len(receipts) == copied + since

    async with a_gateway(tmp_path / "copy", fake) as gateway:
        assert len(gateway.deliverer.outbox) == copied
        await gateway.settled()
        assert fake.receipts == receipts
        assert gateway.ledger.summary() == books
