"""A whole market in one call, for the tests that need one."""

from collections.abc import Iterator

import pytest

from localnet import LocalMarket, MarketPlan


@pytest.fixture(scope="module")
def market() -> Iterator[LocalMarket]:
    """Two honest suppliers, one of which dials the gateway, and one that invents leaves."""
    with LocalMarket.start(MarketPlan(suppliers=2, dialling=1, cheats=("inventor",))) as running:
        yield running
