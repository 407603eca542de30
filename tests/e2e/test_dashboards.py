"""Every panel of the dashboards has an answer: a real Prometheus scrapes a real market."""

import json
import shutil
from collections.abc import Iterator

import httpx
import pytest
import yaml

from localnet import LocalMarket, MarketPlan
from localnet.chain import free_port
from localnet.processes import ROOT, Node, wait_until
from tests.compose.panels import unanswered
from tests.compose.traffic import Traffic

pytestmark = [pytest.mark.long, pytest.mark.anvil]

CONFIG = ROOT / "compose" / "prometheus"


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Prometheus that scrapes a market which is asked for answers all the time."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("no prometheus is installed")
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    with LocalMarket.start(MarketPlan(suppliers=2)) as market:
        config = folder / "prometheus.yml"
        config.write_text(scrape_config(market))
        address = f"127.0.0.1:{port}"
        node = Node.start(
            "prometheus",
            [
                program, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={address}",
            ],
            folder,
        )  # fmt: skip
        try:
            ready = f"http://{address}/-/ready"
            node.wait_ready(lambda: is_ready(ready))
            with Traffic(market.base_url, market.api_key):
                yield f"http://{address}"
        finally:
            node.stop()


def scrape_config(market: LocalMarket) -> str:
    """As compose's, with this market's addresses and the same rules."""
    config = yaml.safe_load((CONFIG / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(CONFIG / "rules.yml")]
    urls = {"gateway": [market.control_url], "supplier": [s.page_url for s in market.suppliers]}
    for job in config["scrape_configs"]:
        targets = [each.removeprefix("http://") for each in urls[job["job_name"]]]
        job["static_configs"] = [{"targets": targets}]
        job.pop("dns_sd_configs", None)
    return json.dumps(config)


def is_ready(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.HTTPError:
        return False


def test_every_panel_is_answered_by_a_prometheus_that_scrapes_a_market(prometheus: str) -> None:
    left: list[str] = []

    def all_answered() -> bool:
        left[:] = unanswered(prometheus)
        return not left

    try:
        wait_until(all_answered, "some panel has no data", 150.0, pause_s=2.0)
    finally:
        assert left == []
