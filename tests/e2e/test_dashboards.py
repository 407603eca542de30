"""Every panel of the dashboards has an answer: a real Prometheus scrapes a real market."""

from collections.abc import Iterator

import pytest

from localnet import LocalMarket, MarketPlan
from localnet.processes import wait_until
from tests.compose.panels import unanswered
from tests.compose.traffic import Traffic
from tests.prometheus import scraping

pytestmark = [pytest.mark.long, pytest.mark.anvil]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Prometheus that scrapes a market which is asked for answers all the time."""
    with (
        LocalMarket.start(MarketPlan(suppliers=2)) as market,
        scraping(market, tmp_path_factory.mktemp("prometheus")) as found,
        Traffic(market.base_url, market.api_key),
    ):
        yield found.url


def test_every_panel_is_answered_by_a_prometheus_that_scrapes_a_market(prometheus: str) -> None:
    left: list[str] = []

    def all_answered() -> bool:
        left[:] = unanswered(prometheus)
        return not left

    try:
        wait_until(all_answered, "some panel has no data", 150.0, pause_s=2.0)
    finally:
        assert left == []
