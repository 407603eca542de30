"""A chain for the session, with and without a market, put back to where it was after each test."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from contracts import Chain
from tests.contracts.anvil import Anvil, start_anvil
from tests.contracts.world import World, build


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def running_anvil() -> Iterator[Anvil]:
    anvil = start_anvil()
    yield anvil
    anvil.stop()


@pytest.fixture(scope="session")
def running_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Anvil, Path]]:
    anvil = start_anvil()
    book = tmp_path_factory.mktemp("market") / "addressbook.json"
    anyio.run(build, anvil, book)
    yield anvil, book
    anvil.stop()


@contextmanager
def restored(anvil: Anvil) -> Iterator[Anvil]:
    """The chain, mining a block for each transaction unless a test changes that."""
    snapshot = anvil.rpc("evm_snapshot")
    yield anvil
    anvil.rpc("evm_setAutomine", True)
    anvil.rpc("anvil_dropAllTransactions")
    anvil.rpc("evm_revert", snapshot)


@pytest.fixture
def anvil(running_anvil: Anvil) -> Iterator[Anvil]:
    with restored(running_anvil) as anvil:
        yield anvil


@pytest.fixture
async def chain(anvil: Anvil) -> AsyncIterator[Chain]:
    async with await Chain.connect([anvil.url]) as chain:
        yield chain


@pytest.fixture
async def world(running_world: tuple[Anvil, Path]) -> AsyncIterator[World]:
    """A market whose first session with a roster, 2, is about to be served."""
    with restored(running_world[0]) as anvil:
        world = await World.open(anvil, running_world[1])
        yield world
        await world.market.close()
