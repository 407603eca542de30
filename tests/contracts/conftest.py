"""A chain for the session, put back to where it was after each test."""

from collections.abc import AsyncIterator, Iterator

import pytest

from contracts import Chain
from tests.contracts.anvil import Anvil, start_anvil


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def running_anvil() -> Iterator[Anvil]:
    anvil = start_anvil()
    yield anvil
    anvil.stop()


@pytest.fixture
def anvil(running_anvil: Anvil) -> Iterator[Anvil]:
    """The chain, mining a block for each transaction unless a test changes that."""
    snapshot = running_anvil.rpc("evm_snapshot")
    yield running_anvil
    running_anvil.rpc("evm_setAutomine", True)
    running_anvil.rpc("anvil_dropAllTransactions")
    running_anvil.rpc("evm_revert", snapshot)


@pytest.fixture
async def chain(anvil: Anvil) -> AsyncIterator[Chain]:
    async with await Chain.connect([anvil.url]) as chain:
        yield chain
