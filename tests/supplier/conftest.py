from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clis import MarketOnChain, market_on_chain
from tests.supplier.operating import Operating, operating


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def operator_market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MarketOnChain]:
    """One chain for every test of an operator's commands; see `tests.contracts.world`."""
    with market_on_chain(tmp_path_factory.mktemp("market")) as market:
        yield market


@pytest.fixture
def operator(operator_market: MarketOnChain, tmp_path: Path) -> Iterator[Operating]:
    with operating(operator_market, tmp_path) as running:
        yield running
