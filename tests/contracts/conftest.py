"""A chain for the session, with and without a market, put back to where it was after each test."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from contracts import Call, Chain, SendPolicy, TxSender
from contracts.abi import load_abi
from tests.contracts.anvil import KEYS, Anvil, start_anvil
from tests.contracts.cases import Harness
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
    base_fee = anvil.rpc("eth_feeHistory", 1, "latest", [])["baseFeePerGas"][-1]
    snapshot = anvil.rpc("evm_snapshot")
    yield anvil
    anvil.rpc("evm_setAutomine", True)
    anvil.rpc("anvil_dropAllTransactions")
    anvil.rpc("evm_revert", snapshot)
    anvil.rpc("anvil_setNextBlockBaseFeePerGas", base_fee)


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


@pytest.fixture
async def harness(anvil: Anvil, chain: Chain) -> Harness:
    """Calls a function of the libraries and returns its result."""
    abi = load_abi("test/Harness")
    receipt = await TxSender(chain, KEYS[0], SendPolicy(poll_s=0.005)).send(
        Call(None, abi.encode_deployment())
    )

    async def call(function: str, *arguments: object) -> Any:
        data = abi.encode_call(function, *arguments)
        result = abi.decode_result(function, await chain.read(Call(receipt.contract_address, data)))
        return result[0] if len(result) == 1 else result

    return call
